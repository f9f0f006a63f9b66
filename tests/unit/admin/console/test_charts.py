"""Charts of the console."""

import datetime

from admin.console.charts import MAX_LINES, Chart, ChartLine, days_between, moment_of, pivoted, spark
from admin.console.words import words_of

DAY = datetime.date(2026, 11, 29)


def test_times_of_reports_are_moments() -> None:
    assert moment_of("2026-11-29T13+01:00") - moment_of("2026-11-29") == 13 * 3_600
    assert moment_of("2026-12") - moment_of("2026-11") == 30 * 86_400


def test_rows_become_lines_with_the_largest_first_and_gaps_where_nothing_is_known() -> None:
    rows: list[tuple[str, str, str]] = [("2026-11-28", "a", "1.50"), ("2026-11-29", "b", "7"), ("2026-11-29", "a", "2")]
    moments, lines = pivoted(rows)
    assert moments == [moment_of("2026-11-28"), moment_of("2026-11-29")]
    assert lines == [ChartLine("b", [None, 7.0]), ChartLine("a", [1.5, 2.0])]
    moments, lines = pivoted(rows, days_between(DAY, DAY + datetime.timedelta(days=1)), 0.0)
    assert len(moments) == 3
    assert lines[0].values == [0.0, 7.0, 0.0]


def test_a_chart_has_as_many_lines_as_can_be_told_apart() -> None:
    rows = [("2026-11-28", str(name), name) for name in range(MAX_LINES + 3)]
    assert [line.name for line in pivoted(rows)[1]] == ["7", "6", "5", "4", "3"]


def test_a_spark_stays_in_its_box() -> None:
    points = [tuple(map(float, point.split(","))) for point in spark([0, None, 5, 2.5]).split()]
    assert [y for _, y in points] == [23.0, 23.0, 1.0, 12.0]
    assert points[0][0] == 1.0
    assert points[-1][0] == 95.0
    assert spark([1.0]) == ""
    assert spark([0.0, 0.0]).endswith(",23.0")


def test_values_are_written_as_the_language_does() -> None:
    words = words_of("pl")
    assert Chart("k", "t", [], [], currency="PLN").shown(1234.5, words).replace("\xa0", " ") == "1 234,50 zł"
    assert Chart("k", "t", [], [], currency="PLN").shown(0.002, words).replace("\xa0", " ") == "0,002 zł"
    assert Chart("k", "t", [], [], is_share=True).shown(0.0123, words) == "1,23%"
    assert Chart("k", "t", [], []).shown(None, words) == ""
