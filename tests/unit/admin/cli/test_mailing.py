from pathlib import Path

import pytest

from admin.cli.mailing import person_of, read_lines
from core.errors import InputError


def test_a_line_is_a_hash_or_a_user_id() -> None:
    assert person_of("a" * 64).email_sha256 == "a" * 64
    assert person_of("A" * 22).user_id == "A" * 22


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path / "nothing")
