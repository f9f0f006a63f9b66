"""Small bid requests and auctions for tests, and the corpus of recorded ones."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bidder.dialects.table import speaker_of
from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import BidRequest
from bidder.request.auction import Auction
from core.model import Exchange
from core.money import FxTable

EXCHANGE = Exchange(id=1, key="demo", seat="grosz", default_currency="PLN")
FX = FxTable("PLN", {"USD": 4_000_000, "EUR": 4_300_000})
USER_ID = "aZ09_-aZ09_-aZ09_-aZ09"


def raw_request(**members: object) -> dict[str, Any]:
    """A request as JSON members: one banner of 300x250, changed by `members`; a member that is None is left out."""
    request = {"id": "r1", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], **members}
    return {name: value for name, value in request.items() if value is not None}


def body_of(raw: object) -> bytes:
    return json.dumps(raw).encode()


def request_of(**members: object) -> BidRequest:
    """`raw_request`, decoded as the bid path does it."""
    return decode_request(body_of(raw_request(**members)), Tolerances())


def auction_of(exchange: Exchange = EXCHANGE, **members: object) -> Auction:
    """An auction of `raw_request`, before any stage."""
    return Auction(request_of(**members), exchange, deadline=1.0, speaker=speaker_of(exchange))


def members_of(struct: msgspec.Struct) -> dict[str, Any]:
    """The members of a struct that are set, nested ones too."""
    built: dict[str, Any] = without_nulls(msgspec.to_builtins(struct, enc_hook=msgspec.json.decode))
    return built


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - JSON
    """JSON without its null members."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [without_nulls(item) for item in value]
    return value


def corpus_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of one of the corpus's files."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


NATIVE_REQUEST: dict[str, Any] = {
    "ver": "1.2",
    "assets": [
        {"id": 1, "required": 1, "title": {"len": 25}},
        {"id": 2, "required": 1, "img": {"type": 3, "wmin": 300, "hmin": 150}},
        {"id": 3, "data": {"type": 1}},
    ],
    "eventtrackers": [{"event": 1, "methods": [1, 2]}],
}
"""What a native request of the usual kind wants."""


def native_imp(request: object = None, **members: object) -> dict[str, Any]:
    """`imp.native` with a request, as its text."""
    return {"request": json.dumps(NATIVE_REQUEST if request is None else request), "ver": "1.2", **members}
