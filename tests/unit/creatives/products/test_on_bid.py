"""The products of one bid: the strategies that need no tables, exclusions, and what is not known yet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model import Margin, ProductChoice, ProductStrategy
from creatives.product import Availability, FeedProduct
from creatives.products.choosing import Plan
from creatives.products.on_bid import BidProducts, choose

NOW_S = 1_790_000_000
CART, SEEN, REDUCED = ProductStrategy.CART, ProductStrategy.LAST_VISIT, ProductStrategy.REDUCED


def product(name: str, **members: object) -> FeedProduct:
    fields: dict[str, object] = {"id": name, "image": f"https://shop.example/{name}.png", "price_micros": 10}
    return FeedProduct(**{**fields, **members})  # type: ignore[arg-type]  # a test's keyword arguments


A, B, C = product("A"), product("B"), product("C")


def chosen(*strategies: ProductStrategy, rows: list[FeedProduct | None], of_cart: int = 1, **choice: object) -> str:
    plan = Plan(ProductChoice(strategies=strategies, **choice))  # type: ignore[arg-type]  # a test's keyword arguments
    return "".join(one.id for one in choose(plan, rows, of_cart, 0, NOW_S).products)


def test_products_come_in_the_order_of_the_strategies() -> None:
    rows: list[FeedProduct | None] = [A, B, C]
    assert chosen(CART, SEEN, rows=rows) == "ABC"
    assert chosen(SEEN, CART, rows=rows) == "BCA"
    assert chosen(SEEN, rows=rows) == "BC"
    assert chosen(CART, rows=rows, of_cart=2) == "AB"
    assert chosen(ProductStrategy.BESTSELLERS, CART, rows=rows) == "A"  # those with tables are for later


def test_reduced_ones_are_those_that_are_reduced_now() -> None:
    sale = product("S", sale_micros=5)
    over = product("O", sale_micros=5, sale_to_s=NOW_S)
    assert chosen(REDUCED, CART, rows=[A, sale, over]) == "SA"


@pytest.mark.parametrize(
    ("left_out", "member", "value"),
    [
        (product("X", availability=Availability.OUT_OF_STOCK), "in_stock", False),
        (product("X", image=""), "with_image", False),
        (product("X", margin="low"), "least_margin", None),
        (product("X", group="g"), "one_of_group", False),
    ],
)
def test_exclusions_hold_and_can_be_switched_off(left_out: FeedProduct, member: str, value: object) -> None:
    first = product("G", group="g", margin="high")
    rules: dict[str, object] = {"least_margin": Margin.MEDIUM} if member == "least_margin" else {}
    assert chosen(SEEN, rows=[first, left_out], of_cart=0, **rules) == "G"
    assert chosen(SEEN, rows=[first, left_out], of_cart=0, **{**rules, member: value}) == "GX"


def test_what_is_not_known_yet_is_told() -> None:
    plan = Plan(ProductChoice(strategies=(CART, SEEN), count=2))
    assert choose(plan, [A, None, B], 1, 1, NOW_S) == BidProducts((A, B), (CART, SEEN), 1, True)
    assert choose(plan, [None, None], 1, 2, NOW_S) == BidProducts((), (), 2, False)
    assert choose(plan, [], 0, 0, NOW_S) == BidProducts((), (), 0, False)


@given(
    st.permutations(list(ProductStrategy)).flatmap(lambda order: st.integers(1, 12).map(lambda many: order[:many])),
    st.lists(st.sampled_from("ABCDEFGH"), unique=True, max_size=8), st.integers(0, 8), st.integers(1, 4),
)  # fmt: skip
def test_no_product_is_shown_twice_and_never_more_than_asked(
    strategies: list[ProductStrategy], names: list[str], of_cart: int, count: int
) -> None:
    rows = [product(name, group="g" if name in "AB" else "") for name in names]
    plan = Plan(ProductChoice(strategies=tuple(strategies), count=count))
    first = choose(plan, rows, min(of_cart, len(rows)), 0, NOW_S)
    ids = [one.id for one in first.products]
    assert len(ids) == len(set(ids)) == len(first.strategies) <= count
    assert set(ids) <= set(names)
    assert not {"A", "B"} <= set(ids)
    assert choose(plan, rows, min(of_cart, len(rows)), 0, NOW_S) == first
