import array

import pytest

from bidder.targeting import normalise
from bidder.targeting.bitmaps import from_positions, to_flags
from bidder.targeting.dimensions import (
    SLICE,
    Allowed,
    AllowedAndDenied,
    DealAccess,
    Denied,
    Dimension,
    Layered,
    Offered,
    PositionLists,
    PrivateAuction,
    SegmentMembership,
    Strangers,
)
from bidder.targeting.field import Patterns, Values, one
from bidder.targeting.memory import MemoryBudget
from core.model import Radius
from core.reasons import NoBid

COUNT = 4


def lists(*named: tuple[object, ...]) -> PositionLists:
    made = PositionLists()
    for position, values_of_position in enumerate(named):
        made.add(position, values_of_position)
    return made


def members(bits: int) -> set[int]:
    return {position for position in range(COUNT) if bits >> position & 1}


def packed(*segments: int) -> bytes:
    return b"".join(segment.to_bytes(4, "little") for segment in segments)


def test_unrestricted_line_items_are_in_every_answer() -> None:
    country = Allowed(NoBid.COUNTRY, COUNT, lists((), ("POL",), ("POL", "DEU"), ("CZE",)), Values(one))
    assert members(country.get(("POL",)).bits) == {0, 1, 2}
    assert members(country.get(("FRA",)).bits) == {0}
    assert members(country.get((None,)).bits) == {0}


def test_a_dimension_that_nobody_restricts_says_so() -> None:
    assert not Allowed(NoBid.COUNTRY, COUNT, lists((), ()), Values(one)).restricts
    assert Allowed(NoBid.COUNTRY, COUNT, lists((), ("POL",)), Values(one)).restricts


def test_denied_values_exclude_and_win_over_allowed_ones() -> None:
    allowed = Allowed(
        NoBid.DOMAIN, COUNT, lists((), ("news.example",), ("example",), ()), Values(normalise.domain_suffixes)
    )
    denied = Denied(
        NoBid.DOMAIN, COUNT, lists((), (), ("bad.example",), ("bad.example",)), Values(normalise.domain_suffixes)
    )
    domain = AllowedAndDenied(allowed, denied)
    assert members(domain.get(("www.news.example",)).bits) == {0, 1, 2, 3}
    assert members(domain.get(("sub.bad.example",)).bits) == {0}
    assert members(domain.get(("other.test",)).bits) == {0, 3}


def test_patterns_are_tried_on_the_key() -> None:
    warsaw = Radius(52.23, 21.01, 10)
    circle = Allowed(NoBid.RADIUS, COUNT, lists((), (warsaw,)), Patterns(normalise.in_circle))
    assert members(circle.get(((52.25, 21.0), None)).bits) == {0, 1, 2, 3}
    assert members(circle.get(((50.06, 19.94), None)).bits) == {0, 2, 3}
    assert members(circle.get((None, None)).bits) == {0, 2, 3}


def test_a_circle_includes_its_inside_and_excludes_its_outside() -> None:
    warsaw = Radius(52.23, 21.01, 10)
    circle = Allowed(NoBid.RADIUS, 1, lists((warsaw,)), Patterns(normalise.in_circle))
    assert circle.get(((52.25, 21.0), None)).bits == 1
    assert circle.get(((50.06, 19.94), None)).bits == 0


def test_sizes_offer_nothing_without_a_creative() -> None:
    size = Offered(NoBid.SIZE, COUNT, lists(((300, 250),), (), ((300, 250), (728, 90))), Values(normalise.each))
    assert members(size.get((((300, 250),),)).bits) == {0, 2}
    assert members(size.get((((728, 90), (300, 250)),)).bits) == {0, 2}
    assert members(size.get(((),)).bits) == set()


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (packed(), {0}),
        (packed(7), {0, 1}),
        (packed(7, 8), {0, 1, 2}),
        (packed(8), {0}),
        (packed(9), {0}),
        (packed(7, 8, 9), {0, 1, 2, 3}),
    ],
)
def test_any_and_all_segments_are_both_needed(held: bytes, expected: set[int]) -> None:
    any_of = lists((), (7,), (), (9,))
    all_of: dict[tuple[int, ...], array.array[int]] = {(7, 8): array.array("q", [2, 3])}
    assert members(SegmentMembership(COUNT, any_of, all_of).get(held).bits) == expected


def test_a_stranger_is_told_so_by_line_items_for_members_of_segments() -> None:
    membership = SegmentMembership(COUNT, lists((), (7,)), {(8,): array.array("q", [2])})
    strangers = Strangers(membership)
    assert members(strangers.get(None).bits) == {0, 3}
    assert members(strangers.get(packed()).bits) == {0, 1, 2, 3}
    assert members(membership.get(None).bits) == {0, 1, 2, 3}, "one reason is enough"
    assert members(membership.get(packed()).bits) == {0, 3}


def test_a_private_auction_admits_only_holders_of_an_offered_deal() -> None:
    deals = DealAccess(COUNT, lists((), ((1, "gold"),), ((1, "silver"),), ((2, "gold"),)))
    private = PrivateAuction(deals)

    def admitted(*key: object) -> set[int]:
        return members(deals.get(key).bits & private.get(key).bits)

    assert admitted(1, ("gold",), False) == {0, 1}
    assert admitted(1, ("gold",), True) == {1}
    assert admitted(1, (), True) == set()
    assert members(private.get((1, ("gold",), True)).bits) == {1, 2, 3}, "who has deals is judged by them alone"
    assert deals.held(1, 1, ["silver", "gold"]) == ["gold"]


def test_harvest_counts_impressions_by_answered_set_and_starts_again() -> None:
    country = Allowed(NoBid.COUNTRY, COUNT, lists((), ("POL",)), Values(one))
    country.get(("POL",)).hits += 3
    country.get(("DEU",)).hits += 2
    country.get(("FRA",)).hits += 1

    counts = country.harvest()

    assert counts == {from_positions([0, 1, 2, 3], COUNT): 3, from_positions([0, 2, 3], COUNT): 3}
    assert country.harvest() == {}


def test_a_full_memo_is_emptied_without_losing_counts() -> None:
    domain = Allowed(NoBid.DOMAIN, COUNT, lists(("a.example",)), Values(normalise.domain_suffixes))
    budget = MemoryBudget(100_000)
    domain.join(budget)
    for number in range(2_000):
        domain.get((f"site{number}.test",)).hits += 1
        assert domain.nbytes <= 100_000

    assert len(domain.memo) < 500
    assert sum(domain.harvest().values()) == 2_000


def test_flags_of_an_answer_have_one_element_a_line_item() -> None:
    country = Allowed(NoBid.COUNTRY, COUNT, lists((), ("POL",)), Values(one))
    assert to_flags(country.get(("POL",)).bits, COUNT).tolist() == [True, True, True, True]


def test_long_keys_empty_a_memo_long_before_it_has_many_answers() -> None:
    """Senders choose keys: a page's words, a list of blocked domains."""
    phrase = Allowed(NoBid.PAGE_KEYWORD, COUNT, lists((), ("a",), (), ()), Values(normalise.each))
    phrase.join(MemoryBudget(1_000_000))
    for number in range(40):
        phrase.get(((f"{number}", "x" * 100_000),)).hits += 1
    assert len(phrase.memo) <= 10
    assert sum(phrase.harvest().values()) == 40


def test_long_lists_of_a_sender_do_not_fill_the_memo() -> None:
    dimension = Offered(NoBid.SIZE, COUNT, lists(((300, 250),)), Values(normalise.each))
    dimension.join(MemoryBudget(16_000_000))
    for number in range(40):
        dimension.get((tuple((width, number + 1) for width in range(1, 11_000)),))  # a `format` that fills a request
    assert len(dimension.memo) <= 10, "of 2 MB each"


def in_slices(dimension: Dimension, key: object) -> int:
    """The pauses in working out an answer; it must be the one that is given at once."""
    at_once = dimension.evaluate(key)
    pauses = sum(1 for _pause in dimension.prepare(key))
    assert dimension.memo[key].bits == at_once
    assert sum(1 for _pause in dimension.prepare(key)) == 0, "it is remembered"
    return pauses


def test_an_answer_is_worked_out_in_slices() -> None:
    named = lists((), ("a",), ("a", "v300"), ("v1999",))
    values = Values(normalise.each)
    allowed = Allowed(NoBid.TAG_ID, COUNT, named, values)
    denied = Denied(NoBid.TAG_ID, COUNT, named, values)
    key = (tuple(f"v{number}" for number in range(2_000)),)
    slices = 2_000 // SLICE
    assert in_slices(allowed, key) == in_slices(denied, key) == slices
    assert in_slices(AllowedAndDenied(allowed, denied), key) == 2 * slices
    fresh = Denied(NoBid.TAG_ID, COUNT, named, values)
    assert sum(1 for _pause in Layered(fresh, allowed).prepare(key)) == 2 * slices
    assert members(allowed.get(key).bits) == {0, 2, 3}


def test_deals_that_nobody_targets_are_not_looked_at_twice() -> None:
    deals = DealAccess(COUNT, lists((), ((1, "d1"),)))
    assert deals.targeted(1, ["d0", "d1", "d2"]) == ["d1"]
    assert deals.targeted(2, ["d1"]) == []
