"""Reports as files: what a spreadsheet would take for a formula is a text, and figures are numbers."""

import io
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from admin.reports.documents import ReportAnswer
from admin.reports.files import answer_of, csv_text, parquet_file, xlsx_file
from journal.columnar import Columnar, files_sql
from journal.figures import ColumnForm
from journal.reports import ReportTable

EVIL = ("=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1")
FORMS = (ColumnForm.TEXT, ColumnForm.ID, ColumnForm.COUNT, ColumnForm.MONEY, ColumnForm.RATIO)
COLUMNS = ("domain", "line_item", "bids", "spend", "ctr")
NAMES = {"line_item": {"7": "=Shoes"}}


def report(*rows: tuple[Any, ...], totals: tuple[tuple[Any, ...], ...] = ()) -> ReportTable:
    return ReportTable(COLUMNS, FORMS, rows, totals, len(rows), 0, 86_400_000, 1_000)


def answer(*rows: tuple[Any, ...], totals: tuple[tuple[Any, ...], ...] = ()) -> ReportAnswer:
    return answer_of(report(*rows, totals=totals), NAMES)


def sheets(body: bytes) -> Any:  # noqa: ANN401 - openpyxl has no types
    return openpyxl.load_workbook(io.BytesIO(body))


@pytest.mark.parametrize("text", EVIL)
def test_a_text_is_never_a_formula(text: str) -> None:
    made = answer((text, 7, 1, -1_500_000, None))
    assert "'=Shoes" in csv_text(made, names=True)
    assert csv_text(made).partition("\n")[2].lstrip('"').startswith("'")
    sheet = sheets(xlsx_file(made).body)["Report"]
    assert [(cell.data_type, cell.value) for cell in sheet[2]][1:3] == [("s", "7"), ("s", "=Shoes")]
    assert sheet["A2"].data_type == "s"
    assert sheet["A2"].value.endswith(text.strip())


def test_amounts_below_zero_stay_numbers() -> None:
    assert csv_text(answer(("a", 7, 1, -1_500_000, 0.5))).splitlines()[1] == "a,7,1,-1.50,0.5"


def test_figures_are_numbers_in_a_workbook_and_exact_to_the_micro() -> None:
    made = answer(("a", 7, 3, 12_345_678_901_234, 0.25), totals=((None, None, 3, 12_345_678_901_234, 0.25),))
    sheet = sheets(xlsx_file(made, title="of a day").body)
    cells = [cell.value for cell in sheet["Report"][2]]
    assert cells == ["a", "7", "=Shoes", 3, 12_345_678.901234, 0.25]
    about = {row[0].value: row[1].value for row in sheet["About"].rows}
    assert about["report"] == "of a day"
    assert about["fresh until"] == "1970-01-01T00:00:01.000Z"


def test_parquet_has_whole_micros_and_names_where_asked(tmp_path: Path) -> None:
    columnar = Columnar()
    made = parquet_file(report(("a", 7, 3, 5, 0.5)), NAMES, columnar, named=True)
    path = tmp_path / "report.parquet"
    path.write_bytes(made.body)
    found = columnar.ask(f"SELECT domain, line_item, line_item_name, bids, spend_micros, ctr FROM {files_sql([path])}")
    assert found == [("a", "7", "=Shoes", 3.0, 5, 0.5)]
    columnar.close()
