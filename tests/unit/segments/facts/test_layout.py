"""Packed profiles."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import product_reference
from segments.facts.facts import Bought, CartLine, Cooldown, Entry, Facts, Order, PathVisit, Product, Traits
from segments.facts.layout import (
    BOUGHT_S,
    CYCLES_S,
    HEADER,
    HEADER_BYTES,
    LayoutError,
    Window,
    biddable_cart_micros,
    cycle_class,
    pack_cold,
    pack_hot,
    unpack_cold,
    unpack_header,
    unpack_references,
    unpack_windows,
    windows_end,
)
from segments.profiles.reading import _FACTS, ProfileBatch, decode

NOW_S = 1_790_000_000
DAY_S = 86_400


def busy_facts(seed: int, products: int = 50) -> Facts:
    """A visitor of a month: six visits, fifty products, a cart, two campaigns."""
    draw = random.Random(seed)
    visits = [NOW_S - draw.randrange(30 * DAY_S) for _ in range(6)]
    seen = sorted(draw.choice(visits) + draw.randrange(1_500) for _ in range(products))
    facts = Facts(first_visit_s=NOW_S - 30 * DAY_S, last_visit_s=NOW_S, visits=6, pages=80, score=33.25)
    facts.products = [
        Product(
            str(draw.randrange(10**6)), draw.choice(["shoes", "boots", "bags/leather"]), moment,
            (draw.randrange(20, 900) * 100 - 1) * 10_000, draw.randrange(1, 5), draw.random() < 0.1,
        )
        for moment in seen
    ]  # fmt: skip
    facts.cart = [CartLine("123", "shoes", 300_000_000, 1, NOW_S)]
    facts.cart_micros = 300_000_000
    facts.entries = [Entry(NOW_S, "google", "cpc", "autumn", "szpilki czerwone", "/buty")] * 2
    facts.events = dict.fromkeys(("page_view", "view_item", "add_to_cart", "search", "begin_checkout"), NOW_S - 5)
    facts.paths = [PathVisit(f"/buty/{index}", NOW_S - 100 * index) for index in range(8)]
    return facts


def test_the_header_has_the_size_that_the_bid_path_cuts_at() -> None:
    assert HEADER.itemsize == HEADER_BYTES == len(pack_hot(Facts(), [], NOW_S, NOW_S + 1))


@pytest.mark.parametrize("seed", range(20))
def test_20_segments_and_50_products_stay_under_a_kibibyte(seed: int) -> None:
    draw = random.Random(seed)
    windows = [(index + 100, NOW_S - 5, NOW_S + draw.randrange(1, 10**6)) for index in range(20)]
    facts = busy_facts(seed)
    hot = pack_hot(facts, windows, NOW_S, NOW_S + 90 * DAY_S)
    assert len(unpack_windows(hot)) == 20
    references = len(hot) - windows_end(hot)
    assert references <= 72
    assert len(hot) - references + len(pack_cold(facts)) < 1_024


@pytest.mark.parametrize("products", [0, 1, 2, 50])
def test_facts_survive_packing(products: int) -> None:
    facts = busy_facts(5, products)
    assert unpack_cold(pack_cold(facts)) == facts


TRAITS = (Traits("high", "Gino Rossi", ("outlet",), True, 5, 9), Traits("low"), None)


def with_traits(facts: Facts) -> Facts:
    """As of a shop whose rules ask for everything."""
    for index, product in enumerate(facts.products):
        product.traits = TRAITS[index % 3]
    return facts


@pytest.mark.parametrize("products", [1, 2, 3, 50])
def test_traits_survive_packing(products: int) -> None:
    facts = with_traits(busy_facts(5, products))
    facts.bought = [Bought("b", "", 7, price_micros=5, traits=TRAITS[0])]
    facts.cart = [CartLine("a", "shoes", 5, traits=TRAITS[1])]
    cold = pack_cold(facts)
    assert cold[0] == 2
    assert unpack_cold(cold) == facts


def test_without_traits_the_version_before_is_written() -> None:
    assert pack_cold(busy_facts(5))[0] == 1


def test_traits_of_50_products_take_little() -> None:
    plain = len(pack_cold(busy_facts(5)))
    assert len(pack_cold(with_traits(busy_facts(5)))) - plain < 90


def test_packing_leaves_the_facts_as_they_were() -> None:
    facts = busy_facts(5)
    products = facts.products
    pack_cold(facts)
    assert facts.products is products


def test_the_facts_lie_where_the_reader_takes_them_from() -> None:
    names = ("visits", "products", "last_visit_s", "last_purchase_s", "cart_idle_s")
    offsets = [HEADER.fields[name][1] for name in names]  # type: ignore[index]  # numpy's stub has no string keys
    assert tuple(offset // 4 for offset in offsets) == _FACTS


def test_the_hot_field_holds_only_windows_that_go_on_and_cuts_them_at_the_retention() -> None:
    windows = [(1, 0, NOW_S), (2, 0, NOW_S + 1), (3, NOW_S + 5, 2**32 - 1), (4, NOW_S + 200, NOW_S + 300)]
    assert unpack_windows(pack_hot(Facts(), windows, NOW_S, NOW_S + 100)) == [
        (2, 0, NOW_S + 1),
        (3, NOW_S + 5, NOW_S + 100),
    ]


def test_the_header_carries_what_the_price_needs() -> None:
    facts = Facts(last_visit_s=7, cart_idle_s=8, visits=3, last_purchase_s=2, products_count=4, score=1.5, cart_stage=2)
    facts.cart, facts.cart_micros = [CartLine("a", "", 5_000_000)], 5_000_000
    header = unpack_header(pack_hot(facts, [], NOW_S, NOW_S + 9))
    values = {name: header[name][0] for name in HEADER.names or ()}
    assert values == {
        "version": 3, "stage": 2, "windows": 0, "last_visit_s": 7, "cart_micros": 5_000_000, "cart_idle_s": 8,
        "expires_s": NOW_S + 9, "last_purchase_s": 2, "visits": 3, "products": 4, "score": 1.5,
    }  # fmt: skip


def test_lines_of_a_category_that_was_just_bought_are_not_bid_on() -> None:
    facts = Facts(cart_micros=50, cart=[CartLine("a", "shoes", 20), CartLine("b", "hats", 15, 2)])
    facts.cooldowns = [Cooldown("shoes", NOW_S + 10)]
    assert biddable_cart_micros(facts, NOW_S) == 30
    assert biddable_cart_micros(facts, NOW_S + 10) == 50


@pytest.mark.parametrize(
    "damage", [b"", b"\x02", b"\x03\x00\x00", b"\x01\xff\xff", b"\x01\x00\x00rubbish", pack_cold(Facts())[:-4]]
)
def test_a_damaged_cold_field_is_refused(damage: bytes) -> None:
    with pytest.raises(LayoutError):
        unpack_cold(damage)


@pytest.mark.parametrize(
    "damage", [b"", b"\x01" * 39, b"\x02" * 39, b"\x04" + bytes(39), bytes(40), b"\x02\x00\x01" + bytes(37)]
)
def test_a_damaged_hot_field_is_refused(damage: bytes) -> None:
    with pytest.raises(LayoutError):
        unpack_windows(damage)


def referred(facts: Facts) -> tuple[list[int], int]:
    hot = pack_hot(facts, [(1, 0, NOW_S + 9)] * 3, NOW_S, NOW_S + 99)
    assert len(hot) - windows_end(hot) <= 72
    references, of_cart = unpack_references(hot)
    return list(references), of_cart


def numbers(*product_ids: str) -> list[int]:
    return [product_reference(product_id) for product_id in product_ids]


def test_products_are_the_dearest_cart_lines_then_those_seen_last() -> None:
    facts = Facts(products=[Product(f"p{number}", seen_s=NOW_S - 100 + number) for number in range(20)])
    facts.cart = [CartLine("cheap", "", 10, 1), CartLine("many", "", 20, 30), CartLine("p19", "", 500, 1)]
    assert referred(facts) == (numbers("many", "p19", "cheap", "p18", "p17", "p16", "p15", "p14"), 3)


def test_a_cart_of_many_lines_leaves_no_room_for_others() -> None:
    facts = Facts(products=[Product("seen", seen_s=NOW_S)], cart=[CartLine(f"c{n}", "", n) for n in range(30)])
    assert referred(facts) == (numbers(*(f"c{n}" for n in range(29, 21, -1))), 8)


def test_what_was_just_bought_is_not_referred_to() -> None:
    facts = Facts(cart=[CartLine("cooling", "shoes", 90), CartLine("kept", "hats", 10)])
    facts.cooldowns = [Cooldown("shoes", NOW_S + 10)]
    seen = {"again": NOW_S - 5, "just": NOW_S - 5, "bought": NOW_S - BOUGHT_S, "cooling": 0}
    facts.products = [Product(name, seen_s=seen_s) for name, seen_s in seen.items()]
    bought = {"again": NOW_S - BOUGHT_S, "just": NOW_S - BOUGHT_S + 1, "bought": NOW_S - BOUGHT_S}
    facts.bought = [Bought(name, "", bought_s) for name, bought_s in bought.items()]
    assert referred(facts) == (numbers("kept", "again"), 1)


def test_without_products_nothing_is_added() -> None:
    assert referred(Facts()) == ([], 0)


def old_hot(facts: Facts, windows: list[Window]) -> bytes:
    """A field of version 1: the same without references."""
    hot = bytearray(pack_hot(facts, windows, NOW_S, NOW_S + 99))
    hot[0] = 1
    return bytes(hot[: windows_end(bytes(hot))])


def test_a_field_of_version_1_is_read() -> None:
    facts = Facts(visits=3, products=[Product("a", seen_s=NOW_S)])
    windows = [(1, 0, NOW_S + 9), (2, NOW_S, NOW_S + 5)]
    old, new = old_hot(facts, windows), pack_hot(facts, windows, NOW_S, NOW_S + 99)
    assert len(new) - len(old) == 9
    assert unpack_windows(old) == unpack_windows(new) == windows
    assert unpack_header(old)["visits"][0] == 3
    assert unpack_references(old) == ((), 0)


@pytest.mark.parametrize("rest", [b"x", b"x" * 8, b"x" * 10, b"x" * 73, b"x" * 81])
def test_damaged_references_are_none(rest: bytes) -> None:
    assert unpack_references(pack_hot(Facts(), [], NOW_S, NOW_S + 9) + rest) == ((), 0)
    assert unpack_windows(pack_hot(Facts(), [], NOW_S, NOW_S + 9) + rest) == []


def test_the_purchase_cycle_shares_a_byte_with_the_stage() -> None:
    orders = [Order(number, NOW_S - 60 * DAY_S * number, 10) for number in range(3)]
    facts = Facts(
        purchases=3, first_purchase_s=NOW_S - 120 * DAY_S, last_purchase_s=NOW_S, orders=orders, cart_stage=4,
        purchases_micros=30,
    )  # fmt: skip
    batch = ProfileBatch(["u"])
    decode(batch, [0], [[b"7", pack_hot(facts, [], NOW_S, NOW_S + 99)]], NOW_S * 1000)
    assert CYCLES_S[batch.purchase_cycle[0]] == pytest.approx(60 * DAY_S, rel=0.09)
    assert pack_hot(facts, [], NOW_S, NOW_S + 99)[1] & 7 == 4
    stranger = Facts(cart_stage=2)
    assert pack_hot(stranger, [], NOW_S, NOW_S + 99)[1] == 2


@given(st.integers(0, 2**32))
def test_a_cycle_is_kept_to_a_twelfth_between_three_days_and_a_year(cycle_s: int) -> None:
    kept = float(CYCLES_S[cycle_class(cycle_s)])
    if cycle_s == 0:
        assert kept == 0.0
    else:
        assert kept == pytest.approx(min(max(cycle_s, 3 * DAY_S), 365 * DAY_S), rel=0.09)
