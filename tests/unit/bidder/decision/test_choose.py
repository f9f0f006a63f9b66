"""From pairs to bids: one a request, creatives in turns, money set aside; the auction's rules are in tests/property."""

import json
from typing import Any, cast

import msgspec
import pytest

from bidder.decision.choose import seed_of
from core.model import (
    AuctionType,
    BillingEvent,
    Clearing,
    Deal,
    Exchange,
    PriceEncryption,
    Targeting,
    UnreadablePrice,
)
from pacing.landscape.curve import BINS, FULL_VALUE, RATIOS
from pacing.landscape.messages import CellSteps
from pacing.notices.charges import notice_key
from pacing.notices.claims import Claims, terms_of
from pacing.notices.tokens import TokenSigner
from tests.kit.bidding import KEYS, TestBidder, bids_of, price_of
from tests.kit.catalogues import catalogue, creative, line_item
from tests.kit.openrtb import USER_ID, auction_of, raw_request

HOUSE = Exchange(id=1, key="demo", seat="grosz", default_currency="PLN", clearing=Clearing.HOUSE)


def request(count: int = 1, **imp: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    imps = [{"id": str(number), "banner": {"w": 300, "h": 250}, **imp} for number in range(count)]
    return raw_request(imp=imps, regs={"gdpr": 0})


def winners(bidder: TestBidder, raw: object) -> list[int]:
    return [bidder.claims(bid).line_item_id for bid in bids_of(bidder.answer(raw))]


def test_a_line_item_bids_on_one_impression_and_others_follow() -> None:
    lines = [line_item(number, bid_micros=number * 1_000_000) for number in (1, 2, 3)]
    assert winners(TestBidder(catalogue(*lines)), request(4)) == [3, 2, 1]


def test_unless_it_may_bid_several_times() -> None:
    assert winners(TestBidder(catalogue(line_item(1, several_per_request=True))), request(3)) == [1, 1, 1]


def test_the_same_line_item_may_bid_in_each_request_of_a_batch() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    assert winners(bidder, request()) == winners(bidder, {**request(), "id": "r2"}) == [1]


def test_the_next_one_bids_where_the_best_has_no_money_or_creative_left() -> None:
    lines = [line_item(number, bid_micros=number * 1_000_000, creative_ids=(number,)) for number in (1, 2, 3)]
    ads = (creative(1, 1), creative(2, 1), creative(3, 1, attributes=(7,)))
    bidder = TestBidder(catalogue(*lines, creatives=ads))
    assert winners(bidder, request()) == [3]
    blocked = request(banner={"w": 300, "h": 250, "battr": [7]})
    assert winners(bidder, blocked) == [2]
    bidder.book.remaining[1] = 1_999
    assert winners(bidder, blocked) == [1]


def test_each_bid_sets_its_full_price_aside() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    before = int(bidder.book.remaining[0])
    (bid,) = bids_of(bidder.answer(request()))
    claims = bidder.claims(bid)
    assert before - int(bidder.book.remaining[0]) == claims.reserved_micros == 2_000
    assert claims.lease_id == bidder.book.lease_id(0)


def test_creatives_that_fit_take_turns_by_the_auction() -> None:
    ads = tuple(creative(number, 1) for number in (1, 2, 3))
    bidder = TestBidder(catalogue(line_item(1, creative_ids=(1, 2, 3)), creatives=ads))
    shown = {
        str(bid["adid"]) for number in range(40) for bid in bids_of(bidder.answer({**request(), "id": f"r{number}"}))
    }
    assert shown == {"1", "2", "3"}


@pytest.mark.parametrize(("battr", "second"), [((), 2_000_000), ((7,), 1_000_000)])
def test_in_house_clearing_a_rival_that_could_not_be_shown_does_not_set_the_price(
    battr: tuple[int, ...], second: int
) -> None:
    lines = [line_item(number, bid_micros=number * 1_000_000, creative_ids=(number,)) for number in (1, 2, 3)]
    ads = (creative(1, 1), creative(2, 1, attributes=(7,)), creative(3, 1))
    bidder = TestBidder(catalogue(*lines, creatives=ads, exchanges=(HOUSE,)))
    (bid,) = bids_of(bidder.answer(request(banner={"w": 300, "h": 250, "battr": list(battr)})))
    claims = bidder.claims(bid)
    assert (claims.line_item_id, claims.second_cpm) == (3, second)


def test_in_house_clearing_a_dearer_bid_that_went_elsewhere_does_not_set_the_price() -> None:
    lines = [line_item(number, bid_micros=number * 1_000_000) for number in (1, 2)]
    bidder = TestBidder(catalogue(*lines, exchanges=(HOUSE,)))
    claims = [bidder.claims(bid) for bid in bids_of(bidder.answer(request(2)))]
    assert [(each.line_item_id, each.second_cpm) for each in claims] == [(2, 0), (1, 0)]


async def test_the_token_names_the_user_only_where_it_may() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    known = {**request(), "user": {"buyeruid": USER_ID}}
    for raw, user_id in ((known, USER_ID), ({**known, "regs": {"coppa": 1}}, ""), (request(), "")):
        answer = await bidder.answer_known(raw)
        assert answer is not None
        (bid,) = bids_of(json.loads(answer))
        assert bidder.claims(bid).user_id == user_id


def test_test_requests_are_marked() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    for value, marked in ((0, False), (1, True)):
        (bid,) = bids_of(bidder.answer({**request(), "test": value}))
        assert bidder.claims(bid).is_test is marked


def test_ties_depend_on_the_request_alone() -> None:
    assert seed_of(auction_of(id="a")) == seed_of(auction_of(id="a")) != seed_of(auction_of(id="b"))


def only_claims(bidder: TestBidder, raw: object) -> Claims:
    (bid,) = bids_of(bidder.answer(raw))
    return bidder.claims(bid)


@pytest.mark.parametrize(
    ("at", "first_price", "expected"),
    [
        (1, None, AuctionType.FIRST_PRICE),
        (2, None, AuctionType.SECOND_PRICE),
        (None, None, AuctionType.SECOND_PRICE),  # OpenRTB's default
        (500, None, AuctionType.FIRST_PRICE),
        (3, None, AuctionType.FIRST_PRICE),
        (1, False, AuctionType.SECOND_PRICE),
        (2, True, AuctionType.FIRST_PRICE),
    ],
)
def test_the_token_says_by_which_rule_the_auction_is_charged(
    at: int | None, first_price: bool | None, expected: AuctionType
) -> None:
    exchange = Exchange(id=1, key="demo", seat="grosz", default_currency="PLN", first_price=first_price)
    bidder = TestBidder(catalogue(line_item(1), exchanges=(exchange,)))
    assert only_claims(bidder, {**request(), "at": at}).auction_type is expected


@pytest.mark.parametrize(
    ("deal_at", "first_price", "expected"),
    [
        (None, None, AuctionType.SECOND_PRICE),
        (1, None, AuctionType.FIRST_PRICE),
        (3, None, AuctionType.FIXED_PRICE),
        (3, False, AuctionType.FIXED_PRICE),
        (1, False, AuctionType.SECOND_PRICE),
    ],
)
def test_on_a_deal_it_is_the_deal_s_rule(deal_at: int | None, first_price: bool | None, expected: AuctionType) -> None:
    exchange = Exchange(id=1, key="demo", seat="grosz", default_currency="PLN", first_price=first_price)
    deal = Deal(id=1, exchange_id=1, deal_id="d")
    line = line_item(1, targeting=Targeting(deals=(1,)))
    bidder = TestBidder(catalogue(line, exchanges=(exchange,), deals=(deal,)))
    pmp = {"deals": [{"id": "d", "bidfloor": 1.0, "bidfloorcur": "PLN", "at": deal_at}]}
    assert only_claims(bidder, {**request(pmp=pmp), "at": 2}).auction_type is expected


def test_the_token_carries_the_exchange_s_terms() -> None:
    exchange = Exchange(
        id=1, key="demo", seat="grosz", default_currency="PLN", billing_event=BillingEvent.WIN,
        clearing=Clearing.HOUSE, price_encryption=PriceEncryption.RUBICON, unreadable_price=UnreadablePrice.HOUSE,
    )  # fmt: skip
    claims = only_claims(TestBidder(catalogue(line_item(1), exchanges=(exchange,))), request())
    assert claims.terms == terms_of(exchange)
    assert claims.format == "banner"


def test_answers_to_equal_requests_are_different_bids() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    bidder.signer = TokenSigner(KEYS)
    bids = [bid for _ in range(4) for bid in bids_of(bidder.answer(request()))]
    assert len({notice_key(bidder.claims(bid)) for bid in bids}) == 4
    assert len({str(bid["burl"]).split("/n/bill/")[1].split("?")[0] for bid in bids}) == 4
    for bid in bids:  # and each says in all its places that it is itself
        token = str(bid["burl"]).split("/n/bill/")[1].split("?")[0]
        assert all(token in str(bid[name]) for name in ("nurl", "burl", "lurl", "adm"))


def shaded_bidder(step: int, min_cpm_micros: int = 0) -> TestBidder:
    """A bidder that believes in one part of the value at first price."""
    bidder = TestBidder(catalogue(line_item(1, bid_micros=8_000_000, min_cpm_micros=min_cpm_micros)))
    bidder.snapshot.shading.replace([CellSteps(1, "PLN", 0, 0, 1.0, bytes([step]) * BINS)])
    return bidder


def priced_by(at: int, **members: object) -> dict[str, object]:
    imp = {"id": "1", "banner": {"w": 300, "h": 250}, **members}
    return {"id": "r", "at": at, "imp": [imp], "cur": ["PLN"], "regs": {"gdpr": 0}}


async def test_at_second_price_answers_are_the_same_bytes_whatever_the_landscape_says() -> None:
    answers = {await shaded_bidder(step).answer_known(priced_by(2)) for step in (1, 20, FULL_VALUE)}
    assert len(answers) == 1
    assert None not in answers


def test_at_first_price_the_winner_bids_its_part_of_the_value_and_says_so() -> None:
    bidder = shaded_bidder(40)
    (bid,) = bids_of(bidder.answer(priced_by(1)))
    price = int(8 * RATIOS[39] * 100) / 100
    assert bid["price"] == price
    claims = bidder.claims(bid)
    assert claims.shading == round(price / 8 * 10_000 - 0.5)
    assert claims.reserved_micros == round(price * 1_000)


def test_a_shaded_bid_is_not_below_the_floor_or_the_least_that_is_bid() -> None:
    assert price_of(shaded_bidder(1).answer(priced_by(1, bidfloor=3.333, bidfloorcur="PLN"))) == 3.34
    assert price_of(shaded_bidder(1, min_cpm_micros=5_000_000).answer(priced_by(1))) == 5.0
    assert price_of(shaded_bidder(1).answer(priced_by(1))) == 0.12


def test_a_deal_says_itself_how_it_is_charged() -> None:
    def deal(kind: int) -> dict[str, object]:
        return {
            "pmp": {"private_auction": 0, "deals": [{"id": "d", "at": kind, "bidfloor": 1.0, "bidfloorcur": "PLN"}]}
        }

    def priced(at: int, kind: int) -> float:
        targeting = Targeting(deals=(1,))
        bidder = TestBidder(
            catalogue(
                line_item(1, bid_micros=8_000_000, targeting=targeting),
                deals=(Deal(id=1, exchange_id=1, advertiser_id=1, name="d", deal_id="d"),),
            )
        )
        bidder.snapshot.shading.replace([CellSteps(1, "PLN", 0, 0, 1.0, bytes([40]) * BINS)])
        return price_of(bidder.answer(priced_by(at, **deal(kind))))

    assert priced(1, 2) == 8.0
    assert priced(2, 1) < 8.0
    assert priced(1, 3) == 1.0


ON_DEAL = line_item(1, bid_micros=1_000_000, targeting=Targeting(deals=(1,)))
OPEN = (line_item(2, bid_micros=3_000_000), line_item(3, bid_micros=2_000_000))


def beside(*, private: int = 0, deal: str = "gold", **exchange: object) -> list[tuple[str, int, str | None]]:
    """(id, line item, deal) of the bids on an impression with a deal of line item 1, the cheapest of three."""
    house = msgspec.structs.replace(HOUSE, **exchange)
    made = catalogue(ON_DEAL, *OPEN, exchanges=(house,), deals=(Deal(id=1, exchange_id=1, deal_id="gold"),))
    bidder = TestBidder(made)
    raw = request(pmp={"private_auction": private, "deals": [{"id": deal, "bidfloor": 0.5, "bidfloorcur": "PLN"}]})
    bids = bids_of(bidder.answer(raw))
    return [(str(bid["id"]), bidder.claims(bid).line_item_id, cast("str | None", bid.get("dealid"))) for bid in bids]


def test_a_deal_is_bid_on_beside_a_dearer_open_bid() -> None:
    assert beside() == [("1", 2, None), ("1001", 1, "gold")]


def test_in_a_private_auction_and_without_a_deal_of_ours_there_is_one_bid() -> None:
    assert beside(private=1) == [("1", 1, "gold")]
    assert beside(deal="other") == [("1", 2, None)]


def test_where_the_dialect_does_not_say_that_two_are_taken_the_dearer_is_sent() -> None:
    assert beside(dialect="magnite") == [("1", 2, None)]


def test_both_bids_of_an_impression_are_paid_for() -> None:
    made = catalogue(ON_DEAL, *OPEN, exchanges=(HOUSE,), deals=(Deal(id=1, exchange_id=1, deal_id="gold"),))
    bidder = TestBidder(made)
    deals = [{"id": "gold", "bidfloor": 0.5, "bidfloorcur": "PLN"}]
    free, dear = bids_of(bidder.answer(request(pmp={"deals": deals})))
    claims = [bidder.claims(bid) for bid in (free, dear)]
    assert [(each.reserved_micros, each.second_cpm) for each in claims] == [(3_000, 2_000_000), (1_000, 2_000_000)]
    bidder.book.remaining[0] = 0
    assert len(bids_of(bidder.answer(request(pmp={"deals": deals})))) == 1, "the deal's line item has no money"


def test_a_deal_bid_goes_where_the_open_ones_have_no_money() -> None:
    made = catalogue(ON_DEAL, *OPEN, exchanges=(HOUSE,), deals=(Deal(id=1, exchange_id=1, deal_id="gold"),))
    bidder = TestBidder(made)
    bidder.book.remaining[1:] = 0
    (bid,) = bids_of(bidder.answer(request(pmp={"deals": [{"id": "gold", "bidfloor": 0.5, "bidfloorcur": "PLN"}]})))
    assert bid["dealid"] == "gold"
