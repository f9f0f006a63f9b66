"""Recorded requests are decided again as they were, and what another version changes is told with its reason."""

import random
from pathlib import Path

import msgspec
import pytest

from bidder.decision.model_file import load_model
from bidder.diagnosis.replaying import Replayer, changes, recorded_decision, unpack_request, without_checks
from bidder.targeting.compiled import Compiled
from core.config import ConsentSettings
from core.errors import InputError
from core.ids import new_user_id
from core.model import Catalogue, Targeting
from tests.kit.bidding import TRACK, Shopper, ShopState, TestBidder
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request
from tests.kit.random_bidding import MOMENTS, random_catalogue, random_request, random_shopper
from tests.kit.recording import RecordingBidder

USER = "u" * 22


def replayer_of(found: Catalogue) -> Replayer:
    return Replayer(Compiled(without_checks(found)), load_model(), ConsentSettings(), TRACK)


@pytest.mark.parametrize("seed", range(12))
async def test_random_traffic_is_decided_again_to_the_byte(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    found = random_catalogue(chance)
    bidder = TestBidder(found, now_ms=MOMENTS[seed % len(MOMENTS)])
    recording = RecordingBidder(bidder, tmp_path, seed)
    for number in range(12):
        # Money and pacing of the moment: some pools have nothing, some are held back.
        for position in range(len(bidder.book.pools)):
            bidder.book.multiplier[position] = chance.choice((0.0, 0.3, 1.0, 1.0, 1.0))
            bidder.book.remaining[position] = chance.choice((0, 3_000, 10**15, 10**15))
            bidder.book.refused_until_ms[position] = chance.choice((0, 0, bidder.clock.now_ms() + 1))
        bidder.clock.advance(chance.random() * 600)
        bidder.refresh()
        raws = []
        for at in range(4):
            user = new_user_id()
            recording.profiles.shoppers[user] = random_shopper(chance, 12, bidder.clock.now_ms())
            raw = random_request(chance, 10 * number + at)
            if "page" in raw.get("site", {}):  # words of a query are not kept
                raw["site"]["page"] = raw["site"]["page"].partition("?")[0]
            raws.append(raw | {"user": {**raw.get("user", {}), "buyeruid": user}, "id": f"{number}/{at}"})
        await recording.decide(*raws, exchange=chance.choice(("demo", "house")))
    recorded = recording.recorded()
    assert len(recorded) == 48
    replayer = replayer_of(found)
    for request in recorded:
        again = replayer.decide(request)
        assert again.decision == recorded_decision(request), request.body
        assert again.decision.packed() == recorded_decision(request).packed()
        assert changes(request, recorded_decision(request), again, replayer) == []


async def one_recorded(found: Catalogue, folder: Path, **members: object) -> RecordingBidder:
    """One request of a user with a cart at shop 1, decided and recorded."""
    recording = RecordingBidder(TestBidder(found), folder)
    recording.profiles.shoppers[USER] = Shopper(segments=(7,), shops={1: ShopState(cart_micros=10**8, cart_age_s=9e3)})
    raw = raw_request(
        user={"buyeruid": USER}, regs={"gdpr": 0}, device={"devicetype": 2, "geo": {"country": "DEU"}}, **members
    )
    await recording.decide(raw)
    return recording


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"targeting": Targeting(countries=("POL",))}, "country is not targeted (DEU)"),
        ({"creative_ids": ()}, "no creative fits the format and size (300x250)"),
        ({"targeting": Targeting(segments_any=(8,))}, "user is not in a targeted segment"),
        ({"bid_micros": 1_000_000}, "another of our line items pays more (bid 1.00, floor 0.00)"),
    ],
)
async def test_a_bid_that_is_lost_is_told_with_its_reason(tmp_path: Path, members: dict[str, object], why: str) -> None:
    one, two = line_item(1, bid_micros=4_000_000), line_item(2, advertiser=2, bid_micros=3_000_000)
    (request,) = (await one_recorded(catalogue(one, two), tmp_path)).recorded()
    replayer = replayer_of(catalogue(msgspec.structs.replace(one, **members), two))
    told = changes(request, recorded_decision(request), replayer.decide(request), replayer)
    assert [(change.line_item_id, change.before_cpm, change.after_cpm) for change in told] == [
        (1, "4.00", ""), (2, "", "3.00"),
    ]  # fmt: skip
    assert told[0].why == why
    assert told[1].why == "bids more than line item 1, which won before"


async def test_another_price_is_told(tmp_path: Path) -> None:
    (request,) = (await one_recorded(catalogue(line_item(1)), tmp_path)).recorded()
    replayer = replayer_of(catalogue(line_item(1, bid_micros=2_500_000)))
    (change,) = changes(request, recorded_decision(request), replayer.decide(request), replayer)
    assert (change.before_cpm, change.after_cpm, change.why) == ("2.00", "2.50", "worth 2.00, now 2.50")


async def test_a_line_item_that_is_gone_or_stops_everybody_is_told(tmp_path: Path) -> None:
    (request,) = (await one_recorded(catalogue(line_item(1)), tmp_path)).recorded()
    replayer = replayer_of(catalogue(line_item(2, targeting=Targeting(countries=("POL",)))))
    (change,) = changes(request, recorded_decision(request), replayer.decide(request), replayer)
    assert change.why == "it is not in this catalogue, or not active"
    replayer = replayer_of(catalogue(line_item(1), exchanges=()))
    (change,) = changes(request, recorded_decision(request), replayer.decide(request), replayer)
    assert change.why == "no such exchange, or it is paused"


async def test_what_was_decided_by_what_is_not_kept_is_taken_as_recorded(tmp_path: Path) -> None:
    (request,) = (await one_recorded(catalogue(line_item(1)), tmp_path)).recorded()
    refused = msgspec.structs.replace(request, reason="data_centre", bids=())
    assert replayer_of(catalogue(line_item(1))).decide(refused).decision == recorded_decision(refused)


def test_a_row_that_cannot_be_read_is_named() -> None:
    with pytest.raises(InputError, match="recorded request 7"):
        unpack_request(7, 0, 1, 1.0, 1, b"{}", b"", b"x", b"", "", 0)
