from pathlib import Path

import pytest

from admin.cli.options import check_folder_of
from core.errors import InputError


def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    check_folder_of(None, "--xlsx")
    check_folder_of(tmp_path / "report.xlsx", "--xlsx")
    for path in (tmp_path / "none" / "report.xlsx", tmp_path):
        with pytest.raises(InputError, match=r"cannot be written\n  hint: make its folder, or give another --xlsx"):
            check_folder_of(path, "--xlsx")
