from admin.diagnosis.deliverability import Scene
from admin.diagnosis.doctor import line_item_findings
from admin.diagnosis.findings import Report, Severity
from admin.diagnosis.funnels import window_of
from core.model import LineItem, Targeting
from pacing.budgets.levels import Amounts, Level
from tests.kit.catalogues import catalogue, line_item

NOW_MS = 1_790_000_000_000
UNLIMITED = Level(Amounts(-1, 0, 0, 0, 0), Amounts(-1, 0, 0, 0, 0))
DELIVERING = window_of({"seen": 100, "bids": 30}, {"wins": 9})


def report(*line_items: LineItem, sizes: dict[int, int]) -> Report:
    values = catalogue(*line_items)
    levels = {"a": UNLIMITED, "c1": UNLIMITED} | {f"l{one.id}": UNLIMITED for one in line_items}
    windows = {one.id: DELIVERING for one in line_items}
    return Report.of(line_item_findings(values, Scene.of(values, {1: levels}, sizes, windows, NOW_MS)))


def test_a_line_item_that_waits_for_its_audience_does_not_stop_delivery() -> None:
    empty = Targeting(segments_all=(10, 11))
    found = report(line_item(1), line_item(2, name="Carts", targeting=empty), sizes={10: 0, 11: 0})
    assert found.delivers
    rows = [one for one in found.findings if one.line_item_id is not None]
    assert [(one.where, one.severity) for one in rows] == [("line item 2 'Carts', audience", Severity.NOTE)]
    assert rows[0].more == 1, "one row a line item"
    assert found.findings[0].text == "1 of 2 active line items have nothing that stops them"


def test_delivery_stops_where_no_line_item_is_left_and_the_first_is_named() -> None:
    empty = Targeting(segments_all=(10,))
    carts, views = line_item(1, name="Carts", targeting=empty), line_item(2, name="Views", targeting=empty)
    found = report(carts, views, sizes={10: 0})
    assert not found.delivers
    assert found.findings[0].text.startswith(
        "none of 2 active line items can deliver; the first is line item 1 'Carts', audience: nobody is in"
    )
    assert found.findings[0].is_waiting, "nothing is broken"
