"""An impression that offers several formats is bid on in one of them: the one of the highest expected value."""

import random
from typing import Any

import msgspec
import numpy as np

from bidder.decision.model_file import FieldVocabulary, Model, load_model
from bidder.diagnosis.explain import Explainer
from core.model import Clearing, Creative, Format, FrequencyCap, Goal, LineItem
from core.money import parse_decimal
from core.reasons import NoBid
from core.ring import record_number
from core.terms import FORMATS_BY_NUMBER
from tests.kit.bidding import NOBODY, NOW_MS, KnownProfiles, Shopper, ShopState, TestBidder, bids_of
from tests.kit.catalogues import EXCHANGE, SIZES, catalogue, creative, line_item, native_creative
from tests.kit.naive_pricing import priced
from tests.kit.openrtb import body_of, native_imp, raw_request

MTYPES = {"banner": 1, "native": 4}
FIRST_BANNER = 10


def model_that_tells_formats_apart(seed: int) -> Model:
    """Random weights, with one row for native ads among those of sizes."""
    shipped = load_model()
    fields = dict(shipped.manifest.request_fields)
    rows = fields["size"].rows
    fields["size"] = FieldVocabulary(other=fields["size"].other, rows={**rows, "native": rows["468x60"]})
    manifest = msgspec.structs.replace(shipped.manifest, request_fields=fields)
    weights = np.random.default_rng(seed).normal(0, 0.6, shipped.weights.shape).astype(np.float32)
    return Model(manifest, weights)


MODELS = [model_that_tells_formats_apart(seed) for seed in range(20)]


def equal_ads() -> tuple[Creative, ...]:
    """The same ad as a banner of each size and as a native one."""
    banners = [creative(FIRST_BANNER + number, 1, size) for number, size in enumerate(SIZES)]
    return (native_creative(1, 1), *banners)


def random_place(chance: random.Random) -> dict[str, Any]:
    """Banner sizes, a native ad, or both."""
    width, height = chance.choice(SIZES)
    offers: dict[str, Any] = {
        "banner": {"w": width, "h": height, "pos": chance.choice((1, 3))},
        "native": native_imp(),
    }
    kept = chance.choice((("banner", "native"), ("banner", "native"), ("banner",), ("native",)))
    return {name: offers[name] for name in kept}


def random_line(chance: random.Random, ads: tuple[Creative, ...]) -> LineItem:
    goal = chance.choice((Goal.CPC, Goal.CPA, Goal.CPM))
    return line_item(
        1,
        goal=goal,
        bid_micros={Goal.CPC: 2_000_000, Goal.CPA: 40_000_000, Goal.CPM: 3_000_000}[goal],
        max_cpm_micros=chance.choice((500_000, 20_000_000, 900_000_000)),
        creative_ids=tuple(each.id for each in ads),
    )


def test_of_equal_ads_the_format_of_the_highest_expected_value_is_bid() -> None:
    chance, ads, decided, tied = random.Random(15), equal_ads(), 0, 0
    for number in range(1_000):
        model = MODELS[number % len(MODELS)]
        line = random_line(chance, ads)
        whole = catalogue(line, creatives=ads)
        bidder = TestBidder(whole, model=model)
        place = random_place(chance)
        shopper = Shopper(shops={1: ShopState(visits=chance.randint(1, 9))}) if chance.random() < 0.5 else NOBODY
        request = raw_request(
            id=f"r{number}", imp=[{"id": "1", **place}], regs={"gdpr": 0}, user={"buyeruid": "u" * 22}
        )
        prices = {
            name: priced(whole, line, 0, request, {"id": "1", name: offer}, shopper, NOW_MS, "PLN", model=model)
            for name, offer in place.items()
        }
        found = bids_of(bidder.answer(request, shopper))
        if not any(price.cpm for price in prices.values()):
            assert not found, "it is worth less than a grosz in each format"
            continue
        assert len(found) == 1
        values = {name: price.value for name, price in prices.items()}
        best = max(values.values())
        bid_in = next(name for name, mtype in MTYPES.items() if mtype == found[0]["mtype"])
        assert np.isclose(values[bid_in], best, rtol=1e-9), (number, values, bid_in)
        decided += len(place) > 1
        tied += len(place) > 1 and line.goal is Goal.CPM
    assert decided - tied > 200, "the formats were worth different amounts often enough"


def both(**members: object) -> dict[str, Any]:
    return raw_request(
        imp=[{"id": "1", "banner": {"w": 300, "h": 250}, "native": native_imp(), **members}], regs={"gdpr": 0}
    )


def test_the_format_that_somebody_has_is_bid_and_only_that() -> None:
    for ad in (creative(1, 1), native_creative(1, 1)):
        (bid,) = bids_of(TestBidder(catalogue(line_item(1), creatives=(ad,))).answer(both()))
        assert bid["mtype"] == MTYPES[ad.format]


def test_where_one_format_cannot_be_shown_the_other_is() -> None:
    """The native ad is worth more, and its publisher blocks what it does."""
    ads = (native_creative(1, 1, attributes=(3,)), creative(2, 1))
    dear, cheap = line_item(1, bid_micros=9_000_000, creative_ids=(1,)), line_item(2, creative_ids=(2,))
    bidder = TestBidder(catalogue(dear, cheap, creatives=ads))
    assert [bid["mtype"] for bid in bids_of(bidder.answer(both()))] == [4]
    blocked = native_imp(battr=[3])
    assert [bid["mtype"] for bid in bids_of(bidder.answer(both(native=blocked)))] == [1]


def test_a_rival_in_another_format_makes_the_second_price() -> None:
    """House clearing settles against the best bid of somebody else for the impression, whatever its format."""
    exchange = msgspec.structs.replace(EXCHANGE, clearing=Clearing.HOUSE)
    ads = (native_creative(1, 1), creative(2, 1))
    lines = line_item(1, bid_micros=5_000_000, creative_ids=(1,)), line_item(2, bid_micros=3_000_000, creative_ids=(2,))
    bidder = TestBidder(msgspec.structs.replace(catalogue(*lines, creatives=ads), exchanges=(exchange,)))
    (bid,) = bids_of(bidder.answer(both()))
    claims = bidder.claims(bid)
    assert (claims.format, claims.second_cpm) == ("native", 3_000_000)


def test_two_impressions_get_one_bid_each_and_a_line_item_one() -> None:
    ads = (native_creative(1, 1), creative(2, 1))
    lines = [line_item(number, creative_ids=(1, 2)) for number in (1, 2)]
    bidder = TestBidder(catalogue(*lines, creatives=ads))
    imps = [{"id": name, "banner": {"w": 300, "h": 250}, "native": native_imp()} for name in "ab"]
    found = bids_of(bidder.answer(raw_request(imp=imps, regs={"gdpr": 0})))
    assert sorted(str(bid["impid"]) for bid in found) == ["a", "b"]
    assert len({bidder.claims(bid).line_item_id for bid in found}) == 2


async def test_an_explanation_tells_of_each_format() -> None:
    bidder = TestBidder(catalogue(line_item(1), creatives=(native_creative(1, 1),)))
    explainer = Explainer(KnownProfiles(), bidder.policy, bidder.clock)
    told = await explainer.explain(body_of(both()), "demo", bidder.snapshot)
    outcomes = {each.format: (each.winner, [r.reason for r in each.line_items[0].reasons]) for each in told.impressions}
    assert outcomes == {"banner": (None, ["size"]), "native": (1, [])}
    assert parse_decimal(told.impressions[1].line_items[0].price.bid_cpm) == 2_000_000


ADS_OF_BOTH = (native_creative(1, 1), creative(2, 1))
ONE_NATIVE_AD = (FrequencyCap(impressions=1, window_s=3_600, format=Format.NATIVE),)


def capped_bidder() -> TestBidder:
    """A bidder of one line item with a banner and a native ad, of which a person sees one native ad an hour."""
    return TestBidder(catalogue(line_item(1, creative_ids=(1, 2), caps=ONE_NATIVE_AD), creatives=ADS_OF_BOTH))


def who_saw(*formats: str) -> Shopper:
    numbers = [record_number(1, FORMATS_BY_NUMBER.index(each)) for each in formats]
    return Shopper(shown=tuple((number, NOW_MS // 1000 - 60) for number in numbers))


def known(raw: dict[str, Any]) -> dict[str, Any]:
    return {**raw, "user": {"buyeruid": "u" * 22}}


def test_a_cap_of_one_format_leaves_the_others() -> None:
    only_native = known(raw_request(imp=[{"id": "1", "native": native_imp()}], regs={"gdpr": 0}))
    for shopper, mtypes, of_native in (
        (who_saw(), {1, 4}, True),
        (who_saw("banner", "banner"), {1, 4}, True),
        (who_saw("native"), {1}, False),
        (who_saw(""), {1}, False),
    ):
        bidder = capped_bidder()
        (bid,) = bids_of(bidder.answer(known(both()), shopper))
        assert bid["mtype"] in mtypes
        assert bool(bids_of(bidder.answer(only_native, shopper))) is of_native


def test_the_funnel_counts_a_cap_of_one_format_on_that_format_alone() -> None:
    bidder = capped_bidder()
    bidder.answer(known(both()), who_saw("native"))
    taken = bidder.snapshot.counts.take()
    list(taken.fold())
    assert taken.counts[NoBid.FREQUENCY_CAP.index].tolist() == [1], "of two places, one a format"


async def test_an_explanation_tells_of_a_cap_where_it_holds() -> None:
    bidder = capped_bidder()
    explainer = Explainer(KnownProfiles({"u" * 22: who_saw("native")}), bidder.policy, bidder.clock)
    told = await explainer.explain(body_of(known(both())), "demo", bidder.snapshot)
    reasons = {each.format: [r.detail for r in each.line_items[0].reasons] for each in told.impressions}
    assert reasons["banner"] == []
    (detail,) = reasons["native"]
    assert detail.startswith("line item cap 1 of 1 native impressions in 1 h, free again at ")
