import subprocess
import sys

from journal.rows import KINDS
from tests.kit.fixtures import REPOSITORY


def test_names_and_numbers_are_given_once() -> None:
    numbers = [kind.number for kind in KINDS.values()]
    assert sorted(numbers) == sorted(set(numbers))
    assert 0 not in numbers
    assert 100 not in numbers, "batches of bids have it"
    for kind in KINDS.values():
        assert len(kind.names) == len(set(kind.names))
        assert kind.hour_of in kind.names
        assert set(kind.personal) <= set(kind.names)


def test_the_page_lists_every_column() -> None:
    printed = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "make-journal", "--print"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    page = (REPOSITORY / "docs" / "journal.md").read_text(encoding="utf-8")
    assert page == printed, "run scripts/make-journal"
