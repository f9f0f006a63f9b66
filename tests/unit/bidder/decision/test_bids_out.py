"""Bids that are out count against caps: within a batch, within a process, until their impression or their time."""

import random
from typing import Any

import msgspec
import pytest

from bidder.decision.bids_out import MAX_BIDS_OUT, BidsOut
from bidder.decision.pipeline import respond, screen
from bidder.request.auction import Auction
from core.model import Exchange, Format, FrequencyCap
from core.ring import pack_record, record_number
from core.terms import FORMATS_BY_NUMBER
from tests.kit.bidding import Shopper, TestBidder, bids_of, profile_batch
from tests.kit.catalogues import catalogue, creative, line_item, native_creative
from tests.kit.openrtb import USER_ID, native_imp, raw_request

DAY_S = 86_400
CAP_1 = (FrequencyCap(impressions=1, window_s=DAY_S),)
KNOWN = Shopper()
EXCHANGE = Exchange(id=1, key="demo", seat="grosz", default_currency="PLN")


def bidder_of(*lines: Any, **changes: Any) -> TestBidder:  # noqa: ANN401 - line items and a catalogue's members
    bidder = TestBidder(catalogue(*lines, **changes))
    bidder.snapshot.out = BidsOut()
    return bidder


def request(number: int, imps: int = 1) -> dict[str, Any]:
    imp = [{"id": str(at), "banner": {"w": 300, "h": 250}} for at in range(imps)]
    return raw_request(id=f"r{number}", imp=imp, regs={"gdpr": 0}, user={"buyeruid": USER_ID})


Moments = tuple[tuple[int, int], ...]


def batch(bidder: TestBidder, *requests: dict[str, Any], shown: Moments = (), lost: Moments = ()) -> list[list[int]]:
    """Line items that bid on each request of one batch, all of one user."""
    auctions: list[Auction] = [bidder.auction(raw) for raw in requests]
    for auction in auctions:
        assert screen(auction, bidder.snapshot, bidder.policy)
    profiles = profile_batch([msgspec.structs.replace(KNOWN, shown=shown, lost=lost)] * len(auctions))
    found = respond(auctions, profiles, bidder.snapshot, bidder.signer, bidder.clock.now_ms())
    answers = [msgspec.json.decode(found[at]) if at in found else None for at in range(len(auctions))]
    return [[int(str(bid["tactic"])) for bid in bids_of(each)] for each in answers]


def test_three_slots_of_a_page_in_three_auctions_at_once_are_one_ad() -> None:
    bidder = bidder_of(line_item(1, caps=CAP_1))
    assert batch(bidder, request(1), request(2), request(3)) == [[1], [], []]


def test_one_after_the_other_they_are_one_ad_too() -> None:
    bidder = bidder_of(line_item(1, caps=CAP_1))
    assert [batch(bidder, request(number)) for number in range(3)] == [[[1]], [[]], [[]]]


def test_several_slots_of_one_request_are_as_many_as_the_cap_allows() -> None:
    caps = (FrequencyCap(impressions=2, window_s=DAY_S),)
    bidder = bidder_of(line_item(1, caps=caps, several_per_request=True))
    assert batch(bidder, request(1, imps=4)) == [[1, 1]]


def test_the_next_line_item_takes_the_slot() -> None:
    bidder = bidder_of(line_item(1, caps=CAP_1, bid_micros=3_000_000), line_item(2, bid_micros=1_000_000))
    assert batch(bidder, request(1), request(2), request(3)) == [[1], [2], [2]]


@pytest.mark.parametrize("owner", ["campaign", "advertiser"])
def test_caps_of_campaigns_and_advertisers_count_the_bids_of_all_their_line_items(owner: str) -> None:
    lines = (line_item(1, bid_micros=3_000_000), line_item(2, bid_micros=2_000_000))
    made = catalogue(*lines)
    members = f"{owner}s"
    capped = tuple(msgspec.structs.replace(each, caps=CAP_1) for each in getattr(made, members))
    bidder = TestBidder(msgspec.structs.replace(made, **{members: capped}))
    bidder.snapshot.out = BidsOut()
    assert batch(bidder, request(1), request(2)) == [[1], []]


def test_a_minimum_gap_counts_from_the_bid() -> None:
    bidder = bidder_of(line_item(1, min_gap_s=60))
    assert batch(bidder, request(1), request(2)) == [[1], []]


def test_a_bid_counts_until_the_exchange_s_time_to_notice() -> None:
    for wait_s, expected in ((4.9, [[]]), (5.1, [[1]])):
        bidder = bidder_of(line_item(1, caps=CAP_1))
        assert batch(bidder, request(1)) == [[1]]
        bidder.clock.advance(wait_s)
        assert batch(bidder, request(2)) == expected


@pytest.mark.parametrize(("time_ms", "expected"), [(0, [[1]]), (1_000, [[]])])
def test_an_exchange_has_its_own_time_to_notice(time_ms: int, expected: list[list[int]]) -> None:
    exchange = msgspec.structs.replace(EXCHANGE, time_to_notice_ms=time_ms)
    bidder = bidder_of(line_item(1, caps=CAP_1), exchanges=(exchange,))
    assert batch(bidder, request(1)) == [[1]]
    bidder.clock.advance(0.5)
    assert batch(bidder, request(2)) == expected


def test_a_bid_that_was_billed_counts_once() -> None:
    bidder = bidder_of(line_item(1, caps=(FrequencyCap(impressions=2, window_s=DAY_S),)))
    assert batch(bidder, request(1)) == [[1]]
    bidder.clock.advance(1.0)
    billed = ((1, bidder.clock.now_ms() // 1000),)
    assert batch(bidder, request(2), request(3), shown=billed) == [[1], []]


def test_a_bid_whose_loss_was_told_counts_no_more() -> None:
    bidder = bidder_of(line_item(1, caps=CAP_1))
    assert batch(bidder, request(1)) == [[1]]
    told = ((1, bidder.clock.now_ms() // 1000),)
    bidder.clock.advance(1.0)
    assert batch(bidder, request(2), request(3), lost=told) == [[1], []], "one bid again, and that counts"


def test_the_loss_of_another_bid_does_not_end_the_count() -> None:
    bidder = bidder_of(line_item(1, caps=CAP_1))
    assert batch(bidder, request(1)) == [[1]]
    made_s = bidder.clock.now_ms() // 1000
    bidder.clock.advance(1.0)
    assert batch(bidder, request(2), lost=((1, made_s - 1), (2, made_s), (1, made_s + 1))) == [[]]


def test_of_two_bids_in_one_second_one_loss_ends_the_count_of_one() -> None:
    caps = (FrequencyCap(impressions=2, window_s=DAY_S),)
    bidder = bidder_of(line_item(1, caps=caps))
    assert batch(bidder, request(1), request(2)) == [[1], [1]]
    told = ((1, bidder.clock.now_ms() // 1000),)
    assert batch(bidder, request(3), request(4), lost=told) == [[1], []]


def test_an_impression_of_before_is_not_the_bid_s() -> None:
    bidder = bidder_of(line_item(1, caps=(FrequencyCap(impressions=2, window_s=DAY_S),)))
    earlier = ((1, bidder.clock.now_ms() // 1000 - 600),)
    assert [batch(bidder, request(number), shown=earlier) for number in range(2)] == [[[1]], [[]]]


def test_other_users_tests_and_line_items_without_caps_are_not_concerned() -> None:
    bidder = bidder_of(line_item(1))
    assert batch(bidder, request(1), request(2)) == [[1], [1]]
    assert len(bidder.snapshot.out or ()) == 0
    bidder = bidder_of(line_item(1, caps=CAP_1))
    assert batch(bidder, {**request(1), "test": 1}, request(2)) == [[1], [1]]


NATIVE = record_number(1, FORMATS_BY_NUMBER.index("native"))


def of_two_formats(*caps: FrequencyCap) -> TestBidder:
    """A bidder of one line item, which has a banner and a native ad."""
    return bidder_of(line_item(1, creative_ids=(1, 2), caps=caps), creatives=(native_creative(1, 1), creative(2, 1)))


def place(number: int, *formats: str) -> dict[str, Any]:
    offers = {"banner": {"w": 300, "h": 250}, "native": native_imp()}
    return {**request(number), "imp": [{"id": "1", **{name: offers[name] for name in formats}}]}


def test_a_bid_in_one_format_leaves_room_for_the_other() -> None:
    bidder = of_two_formats(FrequencyCap(1, DAY_S, Format.NATIVE))
    assert batch(bidder, place(1, "native"), place(2, "native"), place(3, "banner")) == [[1], [], [1]]
    assert batch(bidder, place(4, "native")) == [[]]
    assert batch(bidder, place(5, "banner")) == [[1]]


def test_a_place_of_two_formats_gets_the_one_that_a_bid_of_the_batch_left() -> None:
    bidder = of_two_formats(FrequencyCap(1, DAY_S, Format.NATIVE), FrequencyCap(2, DAY_S, Format.BANNER))
    assert batch(bidder, *(place(number, "native", "banner") for number in range(5))) == [[1], [1], [1], [], []]


def test_a_bid_of_a_format_counts_until_that_format_is_in_the_ring() -> None:
    bidder = of_two_formats(FrequencyCap(2, DAY_S, Format.NATIVE))
    assert batch(bidder, place(1, "banner"), place(2, "native")) == [[1], [1]]
    bidder.clock.advance(1.0)
    billed = ((NATIVE, bidder.clock.now_ms() // 1000),)
    assert batch(bidder, place(3, "native"), place(4, "native"), shown=billed) == [[1], []]


def test_a_loss_ends_the_count_of_a_bid_of_any_format() -> None:
    bidder = of_two_formats(FrequencyCap(1, DAY_S, Format.NATIVE))
    assert batch(bidder, place(1, "native")) == [[1]]
    told = ((1, bidder.clock.now_ms() // 1000),)
    bidder.clock.advance(1.0)
    assert batch(bidder, place(2, "native"), place(3, "native"), lost=told) == [[1], []]


def test_what_is_remembered_is_bounded_and_forgotten_in_time() -> None:
    out = BidsOut()
    for number in range(MAX_BIDS_OUT + 10):
        out.add(f"user {number}", 1, 0, 5_000)
    assert len(out) == MAX_BIDS_OUT
    assert (out.ring("user 9", b"", 0), out.ring("user 10", b"", 0)) == (b"", pack_record(1, 0))
    out.add("last", 1, 5_000, 5_000)
    assert len(out) == 1


def test_a_cap_1_line_item_delivers_as_before_where_no_loss_is_told() -> None:
    """Users who come every 30 s, an exchange where we win three auctions of ten and never hear of the others."""
    delivered = [impressions(counts_out=counts) for counts in (False, True)]
    assert delivered[1] >= 0.95 * delivered[0]


def impressions(*, counts_out: bool) -> int:
    chance, bidder, seen = random.Random(1), bidder_of(line_item(1, caps=CAP_1)), 0
    if not counts_out:
        bidder.snapshot.out = None
    for _ in range(60):
        shown: tuple[tuple[int, int], ...] = ()
        for visit in range(8):
            bidder.clock.advance(30.0)
            if batch(bidder, request(visit), shown=shown) == [[1]] and chance.random() < 0.3:
                shown = (*shown, (1, bidder.clock.now_ms() // 1000))
                seen += 1
    return seen
