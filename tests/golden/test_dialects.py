"""What each dialect makes of a request and of a price, as written down in `tests/golden/dialects`.

A case has a request and what is expected: the `status`, the whole `response`, members of the first `bid` (null:
absent), members of the whole `answer`, texts that a member `has`, how many `bids` and `seats`, the `seat`, and the
notice that `bills`. Or it has a `price` as a notice brings it, with its form and CPM micros. `exchange`, `advertiser`
and `creative` change what the case is played with.
"""

import json
from typing import Any

import msgspec
import pytest

from bidder.door.handler import BidderHandler
from bidder.door.metrics import BidMetrics
from bidder.door.port import STRANGER
from core.dialects import DIALECTS, GENERIC, spoken_by
from core.model import Catalogue, Deal, Exchange
from core.money import FxTable
from core.telemetry.metrics import Telemetry
from pacing.notices.claims import terms_of
from pacing.notices.price_forms import BidTerms, read_price
from tests.kit.bidding import KnownProfiles, TestBidder
from tests.kit.catalogues import catalogue, creative, line_item
from tests.kit.fixtures import REPOSITORY
from tests.kit.openrtb import body_of

Json = dict[str, Any]

LEAST = 5
FOLDER = REPOSITORY / "tests" / "golden" / "dialects"
FX = FxTable("PLN", {"USD": 4_000_000, "EUR": 4_300_000})


def cases() -> list[Any]:
    """Every case with its dialect, named by both."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        written = json.loads(path.read_text(encoding="utf-8"))
        for case in written["cases"]:
            members = {"dialect": path.stem} | written["exchange"] | case.get("exchange", {})
            found.append(pytest.param(members, case, id=f"{path.stem}: {case['name']}"))
    return found


def exchange_of(members: Json) -> Exchange:
    plain = {"id": 1, "key": "ssp", "default_currency": "USD"}
    return msgspec.convert(plain | members, Exchange)


def catalogue_of(exchange: Exchange, case: Json) -> Catalogue:
    made = {"sample_url": "https://cdn.example/sample.png"} | case.get("creative", {})
    made = {name: tuple(value) if isinstance(value, list) else value for name, value in made.items()}
    on_deal = line_item(2, targeting=msgspec.structs.replace(line_item(2).targeting, deals=(5,)))
    lines = (line_item(1, several_per_request=True), on_deal)
    deals = (Deal(id=5, exchange_id=1, deal_id="D-7"),)
    made_of = catalogue(*lines, exchanges=(exchange,), creatives=(creative(1, 1, **made),), deals=deals)
    shops = tuple(msgspec.structs.replace(shop, **case.get("advertiser", {})) for shop in made_of.advertisers)
    return msgspec.structs.replace(made_of, advertisers=shops)


async def answer_to(request: Json, configured: Catalogue) -> tuple[int, Json | None]:
    """Status and body, through the whole of a bidder but its socket."""
    bidder = TestBidder(configured)
    handler = BidderHandler(
        profiles=KnownProfiles(), signer=bidder.signer, policy=bidder.policy, clock=bidder.clock,
        metrics=BidMetrics(Telemetry()), tmax_cap_ms=100, fresh=lambda: True, check=bidder.check,
    )  # fmt: skip
    handler.install(bidder.snapshot)
    replies: list[tuple[int, bytes]] = []
    handler.submit("ssp", body_of(request), bidder.clock.monotonic(), lambda *reply: replies.append(reply), STRANGER)
    await handler.drain()
    ((status, body),) = replies
    return status, json.loads(body) if body else None


@pytest.mark.parametrize(("members", "case"), cases())
async def test_a_case_is_as_it_is_written_down(members: Json, case: Json) -> None:
    exchange = exchange_of(members)
    if "bills" in case:
        assert spoken_by(exchange).billing_event == case["bills"]
    if "price" in case:
        read = read_price(case["price"], None, BidTerms(10_000_000, "USD"), terms_of(exchange), exchange, FX)
        assert (read.form, read.cpm) == (case["form"], case["cpm"])
        return
    status, response = await answer_to(case["request"], catalogue_of(exchange, case))
    assert status == case.get("status", 200)
    if "response" in case or status == 204:
        assert response == case.get("response")
        return
    assert response is not None
    for name, value in case.get("answer", {}).items():
        assert response.get(name) == value, name
    bids = [bid for seat in response["seatbid"] for bid in seat["bid"]]
    for name, value in case.get("bid", {}).items():
        assert bids[0].get(name) == value, name
    for name, text in case.get("has", {}).items():
        assert text in bids[0][name]
    assert len(bids) == case.get("bids", 1)
    assert len(response["seatbid"]) == case.get("seats", 1)
    assert response["seatbid"][0].get("seat") == case.get("seat", exchange.seat)
    assert len({bid["id"] for bid in bids}) == len(bids)


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != GENERIC])
def test_every_dialect_has_cases_of_every_kind(name: str) -> None:
    written = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    assert len(written) >= LEAST
    kinds = {
        "no-bid": any(case.get("status") == 204 or case.get("response") for case in written),
        "price": any("price" in case for case in written),
        "seat": any("seat" in case or "wseat" in str(case) or "bseat" in str(case) for case in written),
        "deal": any("dealid" in case.get("bid", {}) for case in written),
    }
    assert all(kinds.values()), kinds
