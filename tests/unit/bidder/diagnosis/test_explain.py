"""Explanations say what the bidder does, give every loser a reason, and leave no trace."""

from pathlib import Path

import pytest

from admin.seed.catalogue import demo_catalogue
from bidder.diagnosis.explain import Explainer, Explanation
from bidder.openrtb.codec import Malformed
from bidder.targeting.counting import Window
from core.config import ConsentSettings
from core.model import BidModifier, CartValue, Catalogue, Goal, Targeting
from pacing.landscape.curve import BINS
from pacing.landscape.messages import CellSteps
from tests.kit.bidding import Shopper, ShopState, TestBidder, bids_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import USER_ID, body_of, corpus_lines, raw_request

CONSENT = ConsentSettings(trust_purposes_alone=True, vendor_id=7)


async def explained(bidder: TestBidder, raw: object, **options: object) -> Explanation:
    explainer = Explainer(bidder.profiles, bidder.policy, bidder.clock)
    line_item_id, user_id = options.get("line_item_id"), options.get("user_id")
    assert line_item_id is None or isinstance(line_item_id, int)
    assert user_id is None or isinstance(user_id, str)
    return await explainer.explain(body_of(raw), "demo", bidder.snapshot, line_item_id=line_item_id, user_id=user_id)


def reasons(explanation: Explanation, line_item_id: int) -> list[str]:
    return [
        reason.reason
        for impression in explanation.impressions
        for verdict in impression.line_items
        if verdict.line_item_id == line_item_id
        for reason in verdict.reasons
    ]


@pytest.mark.parametrize("settings", [CONSENT, ConsentSettings(bid_without_purpose_2=True)])
async def test_the_explained_winner_is_the_bidder_s_over_the_recorded_requests(
    corpus: Path, settings: ConsentSettings
) -> None:
    bidder = TestBidder(demo_catalogue(), consent=settings)
    winners = 0
    for line in list(corpus_lines(corpus / "requests.jsonl"))[::4]:
        explanation = await explained(bidder, line["request"])
        bids = bids_of(bidder.answer(line["request"]))
        won = {each.impression_id: each.winner for each in explanation.impressions if each.winner is not None}
        assert won == {str(bid["impid"]): bidder.claims(bid).line_item_id for bid in bids}
        assert explanation.outcome == ("bid" if bids else "no_bid")
        assert (explanation.reason is None) == bool(bids)
        winners += len(won)
        for impression in explanation.impressions:
            assert len(impression.line_items) == bidder.snapshot.index.count
            for verdict in impression.line_items:
                assert bool(verdict.reasons) == (verdict.outcome == "no_bid")
    assert winners > 20


def rows_of(bidder: TestBidder) -> Window:
    taken = bidder.snapshot.counts.take()
    list(taken.fold())
    return taken.counts


async def test_the_winner_at_first_price_tells_what_part_of_its_value_is_bid() -> None:
    bidder = TestBidder(catalogue(line_item(1, bid_micros=8_000_000), line_item(2, bid_micros=7_000_000)))
    bidder.snapshot.shading.replace([CellSteps(1, "PLN", 0, 0, 1.0, bytes([40]) * BINS)])
    raw = raw_request(at=1, regs={"gdpr": 0}, cur=["PLN"])
    (impression,) = (await explained(bidder, raw)).impressions
    told = {verdict.line_item_id: verdict.price for verdict in impression.line_items}
    (bid,) = bids_of(bidder.answer(raw))
    assert float(told[1].sent_cpm) == bid["price"]
    assert told[1].shading == bidder.claims(bid).shading / 10_000 < 1.0
    assert (told[1].bid_cpm, told[2].sent_cpm, told[2].shading) == ("8.00", "", 1.0)
    (second,) = (await explained(bidder, raw_request(at=2, regs={"gdpr": 0}, cur=["PLN"]))).impressions
    assert [verdict.price.shading for verdict in second.line_items] == [1.0, 1.0]


async def test_explaining_reserves_nothing_and_counts_nothing() -> None:
    bidder = TestBidder(catalogue(line_item(1), line_item(2, targeting=Targeting(positions=(1,)))))
    rows_of(bidder)
    remaining, impressions = bidder.book.remaining.copy(), bidder.book.impressions_left.copy()
    assert (await explained(bidder, raw_request(regs={"gdpr": 0}))).outcome == "bid"
    assert (bidder.book.remaining == remaining).all()
    assert (bidder.book.impressions_left == impressions).all()
    assert not rows_of(bidder).any()


async def test_near_misses_say_by_how_much() -> None:
    bidder = TestBidder(catalogue(line_item(1), line_item(2, bid_micros=1_050_000)))
    imp = {"id": "1", "bidfloor": 1.2, "bidfloorcur": "PLN", "banner": {"w": 300, "h": 250}}
    explanation = await explained(bidder, raw_request(imp=[imp], regs={"gdpr": 0}))
    (verdict,) = [item for item in explanation.impressions[0].line_items if item.line_item_id == 2]
    assert [(reason.reason, reason.detail) for reason in verdict.reasons] == [
        ("floor", "floor 1.20 PLN, your bid 1.05")
    ]
    assert explanation.impressions[0].winner == 1


async def test_losers_are_told_that_they_were_outranked() -> None:
    bidder = TestBidder(catalogue(line_item(1), line_item(2, bid_micros=1_050_000)))
    assert reasons(await explained(bidder, raw_request(regs={"gdpr": 0})), 2) == ["outranked"]


async def test_all_reasons_of_a_line_item_are_given() -> None:
    targeting = Targeting(countries=("POL",), positions=(7,), segments_any=(10,), environments=("app",))
    bidder = TestBidder(catalogue(line_item(1, targeting=targeting, max_cpm_micros=0)))
    explanation = await explained(bidder, raw_request(regs={"gdpr": 0}))
    assert set(reasons(explanation, 1)) == {"environment", "country", "position", "no_profile", "value_too_low"}
    assert explanation.reason is not None
    assert explanation.reason.reason == "not_targeted"


async def test_without_a_lease_that_is_the_reason() -> None:
    bidder = TestBidder(catalogue(line_item(1)), leases=False)
    assert set(reasons(await explained(bidder, raw_request(regs={"gdpr": 0})), 1)) == {"no_lease"}


async def test_one_line_item_can_be_asked_for_and_an_unknown_one_gives_nothing() -> None:
    bidder = TestBidder(catalogue(line_item(1), line_item(2)))
    request = raw_request(regs={"gdpr": 0})
    one = await explained(bidder, request, line_item_id=2)
    assert {verdict.line_item_id for verdict in one.impressions[0].line_items} == {2}
    none = await explained(bidder, request, line_item_id=99)
    assert none.impressions[0].line_items == ()
    assert none.outcome == "bid"


async def test_an_empty_catalogue_is_explained() -> None:
    explanation = await explained(TestBidder(catalogue()), raw_request(regs={"gdpr": 0}))
    assert (explanation.outcome, explanation.impressions[0].line_items) == ("no_bid", ())


def cart_catalogue() -> Catalogue:
    return catalogue(line_item(1, goal=Goal.CPA, bid_micros=30_000_000, cart=CartValue()))


async def test_a_user_may_be_assumed() -> None:
    shopper = Shopper((10,), {1: ShopState(cart_micros=640_000_000, cart_age_s=20_000.0)}, ((9, 5),))
    bidder = TestBidder(cart_catalogue(), shoppers={USER_ID: shopper})
    request = raw_request(regs={"gdpr": 0})
    plain, assumed = await explained(bidder, request), await explained(bidder, request, user_id=USER_ID)
    assert plain.user is not None
    assert not plain.user.found
    assert assumed.user is not None
    assert (assumed.user.found, assumed.user.segments, assumed.user.impressions_remembered) == (True, (10,), 1)
    assert assumed.user.shops[0]["cart_micros"] == 640_000_000
    prices = [each.impressions[0].line_items[0].price for each in (plain, assumed)]
    assert float(prices[0].bid_cpm) < float(prices[1].bid_cpm)
    assert prices[1].cart_value != "0.00"


async def test_a_request_that_stops_early_has_its_reason_and_faults() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    no_format = await explained(bidder, raw_request(imp=[{"id": "1"}], regs={"gdpr": 0}))
    assert no_format.reason is not None
    assert no_format.reason.reason == "no_biddable_impression"
    assert no_format.faults
    assert "no_format" not in no_format.faults[0]
    refused = await explained(bidder, raw_request(regs={"gdpr": 1}))
    assert refused.reason is not None
    assert refused.reason.reason == "consent_purpose_2"
    assert "no consent string" in refused.reason.detail
    assert "refused" not in refused.reason.hint, "nobody was asked"


async def test_whether_a_user_is_unknown_or_consent_forbids_the_profile_is_told() -> None:
    bidder = TestBidder(catalogue(line_item(1, targeting=Targeting(segments_any=(7,)))))
    details = []
    for device in ({}, {"lmt": 1}):
        verdict = (await explained(bidder, raw_request(regs={"gdpr": 0}, device=device))).impressions[0].line_items[0]
        details += [reason.detail for reason in verdict.reasons if reason.reason == "no_profile"]
    assert details[0] == "consent does not forbid it: the user is unknown"
    assert "limits tracking" in details[1]


async def test_what_is_not_a_request_is_refused() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    explainer = Explainer(bidder.profiles, bidder.policy, bidder.clock)
    with pytest.raises(Malformed):
        await explainer.explain(b"{}", "demo", bidder.snapshot)
    with pytest.raises(KeyError):
        await explainer.explain(body_of(raw_request()), "nobody", bidder.snapshot)


async def test_modifiers_of_a_bid_are_told_one_by_one() -> None:
    modifiers = (
        BidModifier("domain", ("news.example",), 50),
        BidModifier("environment", ("site",), 300),
        BidModifier("environment", ("app",), 1_000),
    )
    raw = raw_request(site={"domain": "news.example"}, regs={"gdpr": 0})
    modified = line_item(2, bid_modifiers=modifiers)
    found = {
        verdict.line_item_id: verdict.price
        for verdict in (await explained(TestBidder(catalogue(line_item(1), modified)), raw)).impressions[0].line_items
    }
    assert (found[1].bid_modifier, found[1].modifiers) == (1.0, ())
    assert found[2].bid_modifier == pytest.approx(1.5)
    applied = [(one.modifier, one.factor) for one in found[2].modifiers]
    assert applied == [("domain news.example", 0.5), ("environment site", 3.0)]
    assert float(found[2].bid_cpm) == pytest.approx(1.5 * float(found[1].bid_cpm))
