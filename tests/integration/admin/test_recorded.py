"""Recorded requests over HTTP: listed, explained as of their moment, decided again, and nobody else's."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from admin.roles.journal import catalogues_beside
from core.clock import ManualClock
from core.model import Segment, Targeting
from journal.erasing import erase_people
from journal.rows import BILL, NOTICE, REQUEST
from tests.integration.admin.conftest import make_shop
from tests.kit.api import Api, running_api
from tests.kit.bidding import NOW_MS, Shopper, ShopState, TestBidder
from tests.kit.catalogues import catalogue, creative, line_item
from tests.kit.journal_rows import JournalFolder, a_row
from tests.kit.openrtb import raw_request
from tests.kit.processes import grosz
from tests.kit.recording import RecordingBidder

USER = "u" * 22
CATALOGUE = catalogue(
    line_item(1, bid_micros=4_000_000, targeting=Targeting(segments_any=(7,))),
    line_item(2, advertiser=2, bid_micros=3_000_000),
    line_item(3, targeting=Targeting(countries=("POL", "CZE"), device_types=(4, 5), segments_any=(8,))),
    line_item(4, advertiser=2, creative_ids=(2, 5)),
    creatives=(creative(1, 1), creative(2, 2, (970, 250)), creative(5, 2, (728, 90)), creative(6, 2)),
    segments=(
        Segment(id=7, advertiser_id=1, name="carts", rule="visits >= 1"),
        Segment(id=8, advertiser_id=1, name="others", rule="visits >= 2"),
    ),
    version=5,
)  # fmt: skip
CATALOGUE = msgspec.structs.replace(
    CATALOGUE,
    line_items=tuple(
        msgspec.structs.replace(line, creative_ids=(6,)) if line.id == 2 else line for line in CATALOGUE.line_items
    ),
)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[JournalFolder]:
    folder = JournalFolder(tmp_path / "journal", ManualClock(NOW_MS))
    yield folder
    folder.close()


@pytest.fixture
async def recorded(valkey: str, tmp_path: Path, journal: JournalFolder) -> AsyncIterator[Api]:
    """Three requests from Germany: of a user of shop 1, whose bid was lost, of a stranger, and of another size."""
    recording = RecordingBidder(TestBidder(CATALOGUE, now_ms=NOW_MS - 60_000), journal.segments)
    recording.bidder.signer.nonces = itertools.count(1)
    recording.profiles.shoppers[USER] = Shopper(segments=(7,), shops={1: ShopState(visits=3.0)})
    common = {"regs": {"gdpr": 0}, "device": {"devicetype": 2, "geo": {"country": "DEU"}}, "cur": ["PLN"]}
    await recording.decide(raw_request(user={"buyeruid": USER}, **common))
    recording.bidder.clock.advance(1)
    await recording.decide(raw_request(**common))
    recording.bidder.clock.advance(1)
    await recording.decide(raw_request(imp=[{"id": "1", "banner": {"w": 120, "h": 600}}], **common))
    (bid,) = recording.recorded()[0].bids
    at_ms = NOW_MS - 60_000
    journal.writer.append(
        NOTICE,
        a_row(NOTICE, bid_id=bid.bid_id, bid_ms=at_ms, event="loss", loss_code="102", minimum_to_win_cpm=4_500_000,
              price_cpm=None),
    )  # fmt: skip
    journal.writer.append(BILL, a_row(BILL, bid_id=99, bid_ms=at_ms, entry="bill"))
    await journal.writer.close()
    await recording.writer.close()
    journal.convert()
    assert catalogues_beside(journal.archive).keep(CATALOGUE)
    database = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    async with running_api(database, valkey, ManualClock(NOW_MS), archive=journal.archive) as api:
        yield api


async def test_a_recorded_request_is_listed_with_what_became_of_its_bid(recorded: Api) -> None:
    owner = await recorded.caller()
    page = (await owner.get("/v1/recorded-requests")).body["requests"]
    assert [one["reason"] for one in page] == ["not_targeted", "", ""]
    (bid,) = page[2]["bids"]
    assert (bid["line_item_id"], bid["outcome"], bid["loss_code"], bid["minimum_to_win_cpm"]) == (
        1,
        "lost",
        "102",
        "4.50",
    )
    assert page[1]["bids"][0]["outcome"] == "unknown"
    only = (await owner.get("/v1/recorded-requests?line_item_id=2&exchange=demo")).body["requests"]
    assert [one["id"] for one in only] == [page[1]["id"]]
    assert (await owner.get("/v1/recorded-requests?exchange=nowhere")).status == 422


async def test_it_is_explained_as_of_its_moment_with_what_was_near(recorded: Api) -> None:
    owner = await recorded.caller()
    small, _stranger, of_cart = (await owner.get("/v1/recorded-requests")).body["requests"]
    told = (await owner.get(f"/v1/recorded-requests/{of_cart['id']}")).body
    assert (told["catalogue"], told["recorded"]["bids"][0]["loss_code"]) == (5, "102")
    (impression,) = told["explanation"]["impressions"]
    assert impression["winner"] == 1
    details = {
        (one["line_item_id"], reason["reason"]): reason.get("detail", "")
        for one in impression["line_items"]
        for reason in one["reasons"]
    }
    assert details[3, "country"] == "wants POL, CZE, request DEU"
    assert details[3, "device_type"] == "wants 4, 5, request 2"
    assert details[3, "segment"] == "wants one of 8 (others), user is in 7 (carts)"
    assert details[4, "size"] == "offers 300x250, creatives 970x250, 728x90"
    assert (2, "outranked") in details
    one = (await owner.get(f"/v1/recorded-requests/{small['id']}?line_item_id=4")).body["explanation"]
    assert [each["line_item_id"] for each in one["impressions"][0]["line_items"]] == [4]


async def test_a_restricted_key_sees_what_its_own_line_items_bid_on(recorded: Api) -> None:
    shop = (await make_shop(recorded, "szpilka"), await make_shop(recorded, "obcas"))[1]
    assert shop.advertiser["id"] == 2
    mine = shop.caller
    everything = (await (await recorded.caller()).get("/v1/recorded-requests")).body["requests"]
    page = (await mine.get("/v1/recorded-requests")).body["requests"]
    assert [one["id"] for one in page] == [everything[1]["id"]]
    told = await mine.get(f"/v1/recorded-requests/{page[0]['id']}")
    shown = {one["line_item_id"] for one in told.body["explanation"]["impressions"][0]["line_items"]}
    assert shown == {2, 4}
    for other in (everything[0], everything[2]):
        assert (await mine.get(f"/v1/recorded-requests/{other['id']}")).status == 404
    assert (await mine.get(f"/v1/recorded-requests/{page[0]['id']}?line_item_id=1")).status == 404
    assert (await mine.post("/v1/replay", {})).status == 403


async def test_what_others_bid_on_does_not_crowd_out_what_is_one_s_own(recorded: Api, journal: JournalFolder) -> None:
    """Twelve newer requests of shop 1, where ten times the limit are looked at."""
    shop = (await make_shop(recorded, "szpilka"), await make_shop(recorded, "obcas"))[1]
    before = (await shop.caller.get("/v1/recorded-requests?limit=1")).body
    assert len(before["requests"]) == 1
    rival = RecordingBidder(TestBidder(CATALOGUE, now_ms=NOW_MS - 30_000), journal.segments, seed=2)
    rival.bidder.signer.nonces = itertools.count(100)
    rival.profiles.shoppers[USER] = Shopper(segments=(7,), shops={1: ShopState(visits=3.0)})
    for _ in range(12):
        rival.bidder.clock.advance(1)
        await rival.decide(raw_request(user={"buyeruid": USER}, regs={"gdpr": 0}, cur=["PLN"]))
    await rival.writer.close()
    journal.convert()
    everything = (await (await recorded.caller()).get("/v1/recorded-requests")).body["requests"]
    assert [bid["line_item_id"] for one in everything[:12] for bid in one["bids"]] == [1] * 12
    assert (await shop.caller.get("/v1/recorded-requests?limit=1")).body == before


async def test_all_are_decided_again_as_they_were_and_differently_by_another_version(
    recorded: Api, journal: JournalFolder
) -> None:
    owner = await recorded.caller()
    same = await owner.post("/v1/replay", {})
    assert (same.body["requests"], same.body["same"], same.body["changes"]) == (3, 3, [])
    dearer = tuple(
        msgspec.structs.replace(line, bid_micros=5_000_000) if line.id == 2 else line for line in CATALOGUE.line_items
    )
    catalogues_beside(journal.archive).keep(msgspec.structs.replace(CATALOGUE, version=6, line_items=dearer))
    other = (await owner.post("/v1/replay", {"catalogue": 6})).body
    assert (other["same"], other["other_catalogue"]) == (1, 0)
    why = {(one["line_item_id"], one["before_cpm"], one["after_cpm"]): one["why"] for one in other["changes"]}
    assert why[1, "4.00", ""] == "another of our line items pays more (bid 4.00, floor 0.00)"
    assert why[2, "", "5.00"] == "bids more than line item 1, which won before"
    assert why[2, "3.00", "5.00"] == "worth 3.00, now 5.00"
    gone = await owner.post("/v1/replay", {"catalogue": 7})
    assert (gone.status, gone.body["detail"]) == (404, "catalogue 7 is not kept")


async def test_names_that_name_nothing_are_answered(recorded: Api) -> None:
    owner = await recorded.caller()
    assert (await owner.get("/v1/recorded-requests/nothing")).status == 422
    assert (await owner.get("/v1/recorded-requests/1790000000000-00000000000000aa")).status == 404
    assert (await recorded.anonymous.get("/v1/recorded-requests")).status == 401


async def test_who_is_erased_is_in_no_recorded_request(recorded: Api, journal: JournalFolder) -> None:
    (person,) = {row[0] for row in journal.rows(REQUEST, "person", "person <> 0")}
    erase_people(journal.archive, journal.columnar, [int(str(person))])
    page = (await (await recorded.caller()).get("/v1/recorded-requests")).body["requests"]
    assert len(page) == 2
    assert journal.rows(REQUEST, "person", "person <> 0") == []


async def test_without_a_journal_nothing_is_recorded(valkey: str, tmp_path: Path, clock: ManualClock) -> None:
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite'}", valkey, clock) as api:
        assert (await (await api.caller()).get("/v1/recorded-requests")).status == 404


async def test_decisions_of_one_release_are_compared_with_another_s(
    recorded: Api, journal: JournalFolder, tmp_path: Path
) -> None:
    page = (await (await recorded.caller()).get("/v1/recorded-requests")).body["requests"]
    again = ("replay", "--recorded", "--hours", "1000000", "--data", str(tmp_path), "--json")
    saved = tmp_path / "decisions.jsonl"
    first = await asyncio.to_thread(grosz, *again, "--save", str(saved))
    assert first.returncode == 0, first.stderr
    assert [json.loads(line)["id"] for line in saved.read_text().splitlines()] == [one["id"] for one in page]
    dearer = msgspec.structs.replace(CATALOGUE.line_items[1], bid_micros=3_500_000)
    lines = (CATALOGUE.line_items[0], dearer, *CATALOGUE.line_items[2:])
    catalogues_beside(journal.archive).keep(msgspec.structs.replace(CATALOGUE, version=6, line_items=lines))
    second = await asyncio.to_thread(grosz, *again, "--against", str(saved), "--catalogue", "6")
    assert second.returncode == 1
    (change,) = json.loads(second.stdout)["changes"]
    assert (change["line_item_id"], change["why"]) == (2, "worth 3.00, now 3.50")
    saved.write_text(saved.read_text().splitlines()[0])
    third = await asyncio.to_thread(grosz, *again, "--against", str(saved))
    told = json.loads(third.stdout)
    assert (told["requests"], told["same"]) == (1, 1)
    nowhere = await asyncio.to_thread(grosz, *again, "--save", str(tmp_path / "none" / "decisions"))
    assert "decisions' cannot be written" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr
