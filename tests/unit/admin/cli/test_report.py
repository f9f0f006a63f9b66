import io

from rich.console import Console

from admin.cli.report import show
from admin.reports.documents import Cell, ReportAnswer
from journal.figures import ColumnForm


def answered(rows: list[tuple[Cell, ...]], totals: list[tuple[Cell, ...]]) -> ReportAnswer:
    return ReportAnswer(
        ("phrase", "line_item", "currency", "impressions", "spend"),
        (ColumnForm.TEXT, ColumnForm.ID, ColumnForm.TEXT, ColumnForm.COUNT, ColumnForm.MONEY),
        rows, totals, len(rows), {"line_item": {"7": "[b]\x1b[31mshoes"}}, "", "", None,
    )  # fmt: skip


def shown(answer: ReportAnswer) -> list[str]:
    out = io.StringIO()
    show(answer, Console(file=out, width=120))
    return [line for line in out.getvalue().splitlines() if line]


def test_the_whole_is_told_in_each_currency() -> None:
    rows: list[tuple[Cell, ...]] = [("a", 7, "PLN", 3, "1.50"), ("b", 7, "PLN", 1, "0.50"), ("c", 7, "USD", 2, "9")]
    lines = shown(answered(rows, [(None, None, "PLN", 4, "2.00"), (None, None, "USD", 2, "9")]))
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]
    assert [row[2:5] for row in cells[-2:]] == [["PLN", "4", "2.00"], ["USD", "2", "9"]]
    assert [row[0] for row in cells] == ["a", "b", "c", "", ""]


def test_one_row_is_not_told_twice() -> None:
    lines = shown(answered([("a", 7, "PLN", 3, "1.50")], [(None, None, "PLN", 3, "1.50")]))
    assert sum("1.50" in line for line in lines) == 1


def test_the_whole_is_told_of_rows_that_the_limit_has_cut() -> None:
    answer = answered([("a", 7, "PLN", 3, "1.50")], [(None, None, "PLN", 4, "2.00")])
    answer.row_count = 2
    assert any("2.00" in line for line in shown(answer))


def test_what_strangers_wrote_says_nothing_to_the_terminal() -> None:
    text = "\n".join(shown(answered([("\x1b[2J[red]evil\r\nmore\x9b", 7, "PLN", 3, "1.50")], [])))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "[2J[red]evil  more" in text
    assert "7 [b] [31mshoes" in text
