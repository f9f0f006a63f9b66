"""docs/journal.md says of each column what it is, and what it tells of versions, bounds and settings holds."""

import re
from pathlib import Path

import pytest

from admin.roles.journal_shipping import MIN_KEY_CHARS
from core.config import JournalSettings, load_settings
from journal.folders import CLOSED_SUFFIX, REFUSED_SUFFIX
from journal.receiving import MAX_AGE_DAYS, MAX_PIECE_BYTES
from journal.rows import BILL, FORMAT_VERSION, KINDS, JournalKind
from tests.kit.fixtures import REPOSITORY
from tests.kit.journal_rows import JournalFolder, a_row

PAGE = (REPOSITORY / "docs" / "journal.md").read_text(encoding="utf-8")


def test_the_question_of_the_page_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (question,) = re.findall(r"`(SELECT \* FROM 'parquet/[^`]+)`", PAGE)
    journal = JournalFolder(tmp_path)
    journal.writer.append(BILL, a_row(BILL, bid_id=7))
    journal.writer.flush()
    journal.writer._hand_on()
    journal.convert()
    monkeypatch.chdir(tmp_path)
    names, rows = journal.columnar.ask_named(question)
    journal.close()
    assert tuple(names) == BILL.names
    assert [row[0] for row in rows] == [7]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_each_column_has_a_type_and_a_meaning_with_its_unit(kind: JournalKind) -> None:
    section = PAGE.partition(f"### {kind.name}\n")[2].partition("\n### ")[0]
    assert f"Filed under the hour of `{kind.hour_of}`" in section
    rows = dict(re.findall(r"^\| `(\w+)` \| [A-Z\[\]]+ \| (.+) \|$", section, re.MULTILINE))
    assert tuple(rows) == kind.names
    units = {"_ms": "unix milliseconds|end of the second|when", "_s": "seconds", "_minutes": "user"}
    for name, about in rows.items():
        assert len(about) > 3, name
        for ending, unit in units.items():
            if name.endswith(ending):
                assert re.search(unit, about), f"{name}: {about}"


def test_units_of_money_are_said_once_for_all_columns() -> None:
    for column in {column.name for kind in KINDS.values() for column in kind.columns}:
        if column.endswith("_cpm"):
            assert "a name that ends in `_cpm` is a price" in PAGE
        if column.endswith("_micros"):
            assert "`_micros` an amount" in PAGE


def test_what_the_page_says_of_versions_and_bounds_holds() -> None:
    assert f"The format of segment files is version {FORMAT_VERSION}" in PAGE
    assert f"taken for {MAX_AGE_DAYS} days" in PAGE
    assert f"erasures are\nrepeated for {MAX_AGE_DAYS + 1} days" in PAGE
    assert f"up to {MAX_PIECE_BYTES // 2**20} MiB" in PAGE
    assert f"one line of {MIN_KEY_CHARS} characters" in PAGE
    assert f"`*{REFUSED_SUFFIX}`" in PAGE
    assert f"`{CLOSED_SUFFIX}`" in PAGE


def test_settings_of_the_page_are_settings() -> None:
    environ = dict(re.findall(r"^    (GROSZ_\w+)=(\S+)$", PAGE, re.MULTILINE))
    assert len(environ) >= 5
    loaded = load_settings(None, environ).journal
    assert loaded.receive_port == 8083
    assert loaded.ship_to == "http://10.0.0.5:8083"
    for name in set(re.findall(r"`journal\.(\w+)`", PAGE)):
        assert name in JournalSettings.__struct_fields__, name
