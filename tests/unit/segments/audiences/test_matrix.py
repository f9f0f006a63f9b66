from collections.abc import Sequence

import pytest

from core.errors import InputError
from segments.audiences.matrix import Axis, axis, counted, matrix
from segments.facts.facts import DAY_S, Facts, Lifecycle
from segments.rules.evaluate import evaluate

NOW = 1_790_000_000
UNIT = 1_000_000

AXES = {
    "money": axis("lifetime_value", [100 * UNIT, 500 * UNIT], currency="PLN"),
    "moment": axis("last_purchase", [7 * DAY_S, 30 * DAY_S], currency="PLN"),
    "age": axis("cart.age", [3_600], currency="PLN"),
    "number": axis("purchases.count", [1, 2, 5], currency="PLN"),
    "class": axis("recency_class", [1, 3, 5], currency="PLN"),
    "duration": axis("purchases.cycle", [30 * DAY_S], currency="PLN"),
    "words": axis("lifecycle", currency="PLN"),
    "text": axis("country", ["POL", "CZE"], currency="PLN"),
    "attribute": axis("attribute.tier", ["gold", 'sil"ver'], currency="PLN"),
}
VISITORS = [
    Facts(),
    Facts(country="POL", lifetime_value_micros=100 * UNIT, purchases=1, last_purchase_s=NOW - 7 * DAY_S),
    Facts(country="cze", lifetime_value_micros=99 * UNIT, lifecycle=Lifecycle.SALES, last_visit_s=NOW),
    Facts(country="DEU", purchases=3, first_purchase_s=NOW - 90 * DAY_S, last_purchase_s=NOW, purchases_micros=1),
    Facts(attributes={"tier": "Gold"}, purchases=9, lifecycle=Lifecycle.RETENTION, last_visit_s=NOW - 99 * DAY_S),
    Facts(attributes={"tier": "bronze"}, last_purchase_s=NOW - 40 * DAY_S, purchases=2),
    Facts(attributes={"tier": 3}),
]


@pytest.mark.parametrize("name", AXES)
def test_every_visitor_is_in_exactly_one_band(name: str) -> None:
    for facts in VISITORS:
        inside = [band.label for band in AXES[name].bands if evaluate(band.rule, facts, NOW * 1000)]
        assert len(inside) == 1, (facts, inside)


def test_bands_are_labelled_as_people_read_them() -> None:
    assert [band.label for band in AXES["money"].bands] == ["< 100 PLN", "100 PLN to 500 PLN", ">= 500 PLN"]
    assert [band.label for band in AXES["moment"].bands] == ["< 7d ago", "7d to 30d ago", ">= 30d ago", "none"]
    assert [band.label for band in AXES["text"].bands] == ["POL", "CZE", "other", "none"]


async def test_the_cells_of_a_counted_grid_add_up_to_all_visitors() -> None:
    asked: list[str] = []

    async def count(rules: Sequence[str]) -> list[int]:
        asked.extend(rules)
        return [sum(evaluate(rule, facts, NOW * 1000) for facts in VISITORS) for rule in rules]

    grid = await counted(matrix(AXES["moment"], AXES["number"]), count)
    assert grid.visitors == len(VISITORS)
    assert len(asked) == 4 * 4
    by_label = {(cell.row, cell.column): cell.visitors for row in grid.cells for cell in row}
    assert by_label["7d to 30d ago", "1 to 2"] == 1


def test_a_grid_that_was_not_counted_has_no_visitors() -> None:
    assert matrix(AXES["text"], AXES["words"]).visitors == 0


@pytest.mark.parametrize(
    ("fact", "cuts", "problem"),
    [
        ("lifetime", [1], "no fact"),
        ("entries.source", ["a"], "cannot be an axis"),
        ("score", [], "needs ascending numbers"),
        ("score", [3, 1], "needs ascending numbers"),
        ("score", ["a"], "needs ascending numbers"),
        ("last_visit", [0], "above 0"),
        ("country", ["POL", "pol"], "one value twice"),
        ("country", [], "has 1 bands"),
        ("score", list(range(10)), "has 11 bands"),
        ("attribute.tier", [1], "cannot be an axis"),
    ],
)
def test_an_axis_that_makes_no_sense_is_refused(fact: str, cuts: list[int | str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        axis(fact, cuts, currency="PLN")


def test_an_axis_is_a_value() -> None:
    assert isinstance(AXES["words"], Axis)
    assert axis("lifecycle", currency="PLN") == AXES["words"]
