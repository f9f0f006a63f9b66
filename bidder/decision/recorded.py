"""A decided bid request as it is recorded: the request without what names a person, and all that decided it.

Recorded are the request, what was known of the user (segments.profiles.recording), the conditions of the moment that no
catalogue tells (pacing multipliers, missing leases, steps of shading), and what was bid. Of the request are left out:
ids of user and device, the address, the user agent (its families of system and browser stay), the page's query, the
consent string (what it permits stays), exact coordinates (two decimals, about a kilometre, stay).
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from bidder.request.auction import Auction, Consent
from bidder.request.consent import ConsentPolicy
from bidder.targeting import inventory
from bidder.targeting.normalise import browser, operating_system, primary_language
from segments.profiles.recording import RECORDED_USER, of_version

VERSION: Final = 1
"""Version of conditions and bids; the request is OpenRTB."""

CONSENT_MARK: Final = "recorded:"
"""In place of a consent string: what was permitted, as bits in the order of `_FLAGS`."""

_FLAGS: Final = ("identifiers", "ads", "profile_write", "segments", "measurement", "precise_geo")
_DEVICE_MEMBERS: Final = ("devicetype", "connectiontype")
_KEPT_MEMBERS: Final = (
    "id", "imp", "site", "app", "dooh", "test", "at", "tmax", "wseat", "bseat", "cur", "wlang", "wlangb", "acat",
    "bcat", "cattax", "badv", "bapp",
)  # fmt: skip

HELD: Final = 1
"""State of a position that fitted, but might not spend: paced out, or without a lease."""
LACKING: Final = 2
"""State of a position that was priced, but whose lease did not suffice."""
CAPPED: Final = 4
"""State of a position that another bid of the same moment capped."""

POSITIONS: Final = np.dtype(
    [("line_item", "<u4"), ("share", "<u2"), ("state", "u1"), ("multiplier", "<f8"), ("left", "<i8")]
)
"""`left`: micros of the lease as this request found it, where it did not suffice."""


class RecordedBid(msgspec.Struct, array_like=True, frozen=True):
    """A bid that was sent. Prices are CPM micros of the auction's currency."""

    impression_id: str
    format: str
    line_item_id: int
    share: int
    creative_id: int
    bid_cpm: int
    value_cpm: int  # what the impression was worth bidding, before shading
    floor_cpm: int
    deal_id: str
    auction_type: int
    shading: int
    bid_id: int  # the nonce of its token


class Conditions(msgspec.Struct, array_like=True, frozen=True):
    """What the decision depended on beside request, user and catalogue. `positions` is an array of POSITIONS."""

    version: int
    model: str
    positions: bytes
    steps: tuple[tuple[int, str, int, int, bytes], ...]  # of shading, by exchange, currency, width, height

    @property
    def table(self) -> NDArray[np.void]:
        """`positions` as an array."""
        return np.frombuffer(self.positions, dtype=POSITIONS)


class _Bids(msgspec.Struct, array_like=True):
    version: int
    bids: tuple[RecordedBid, ...]


_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_bids = msgspec.msgpack.Decoder(_Bids).decode
_conditions = msgspec.msgpack.Decoder(Conditions).decode


def pack_bids(bids: Sequence[RecordedBid]) -> bytes:
    return _to_msgpack(_Bids(VERSION, tuple(bids)))


def unpack_bids(packed: bytes) -> tuple[RecordedBid, ...]:
    """The inverse of `pack_bids`. Raises ValueError."""
    return of_version(VERSION, _bids, packed, "recorded bids").bids


def pack_conditions(conditions: Conditions) -> bytes:
    return _to_msgpack(conditions)


def unpack_conditions(packed: bytes) -> Conditions:
    """The inverse of `pack_conditions`. Raises ValueError."""
    return of_version(VERSION, _conditions, packed, "recorded conditions")


def request_of(auction: Auction) -> bytes:
    """The request of a decided auction as JSON, without what names a person; the bid path reads it like any other."""
    raw = _without_nulls(msgspec.to_builtins(msgspec.structs.replace(auction.request, user=None)))
    kept: dict[str, Any] = {name: raw[name] for name in _KEPT_MEMBERS if name in raw}
    site = kept.get("site")
    if site is not None and "page" in site:
        site["page"] = _without_query(site["page"])
    device = _device(auction, raw.get("device", {}))
    if device:
        kept["device"] = device
    kept["user"] = {"consent": consent_text(auction.consent)}
    if auction.user_id is not None:
        kept["user"]["buyeruid"] = RECORDED_USER
    elif auction.exchange_user is not None:
        kept["user"]["id"] = RECORDED_USER
    kept["regs"] = _regulations(raw.get("regs", {}))
    chain = raw.get("source", {}).get("schain")
    if chain is not None:
        for node in chain.get("nodes", ()):
            node.pop("rid", None)  # the seller's id of the request
        kept["source"] = {"schain": chain}
    return _to_json(kept)


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list | tuple) else value


def _without_query(page: str) -> str:
    try:
        return urlsplit(page)._replace(query="", fragment="", netloc=urlsplit(page).netloc.rpartition("@")[2]).geturl()
    except ValueError:
        return ""


def _device(auction: Auction, raw: dict[str, Any]) -> dict[str, Any]:
    device = auction.request.device
    kept: dict[str, Any] = {name: raw[name] for name in _DEVICE_MEMBERS if name in raw}
    place = auction.place
    geo: dict[str, Any] = {
        "country": place.country, "region": place.region, "city": place.city, "zip": place.postcode,
        "utcoffset": raw.get("geo", {}).get("utcoffset"),
    }  # fmt: skip
    if place.point is not None:
        geo["lat"], geo["lon"] = place.point
        geo["accuracy"] = None if place.accuracy_km is None else place.accuracy_km * 1000
    kept["geo"] = {name: value for name, value in geo.items() if value is not None}
    if device is None:
        return kept if kept["geo"] else {}
    system = operating_system(device.os, device.ua)
    family = browser(inventory.agent(auction))
    language = primary_language(device.language, device.langb)
    kept |= {"os": system[0]} if system else {}
    kept |= {"sua": {"browsers": [{"brand": family[0]}]}} if family else {}
    kept |= {"language": language[0]} if language else {}
    screen = raw.get("ext", {}).get("prebid")
    if screen:  # the least size of an interstitial depends on the screen
        kept |= {name: raw[name] for name in ("w", "h") if name in raw} | {"ext": {"prebid": screen}}
    return kept


def _regulations(raw: dict[str, Any]) -> dict[str, Any]:
    ext = {name: value for name, value in raw.get("ext", {}).items() if name == "s22580"}
    kept: dict[str, Any] = {"gdpr": 1}  # so that the recorded permission is asked for
    kept |= {name: raw[name] for name in ("coppa", "dsa") if name in raw}
    return kept | ({"ext": ext} if ext else {})


def consent_text(consent: Consent | None) -> str:
    """What stands in place of the consent string: CONSENT_MARK, and what was permitted as a number of bits."""
    bits = 0 if consent is None else sum(1 << at for at, name in enumerate(_FLAGS) if getattr(consent, name))
    return f"{CONSENT_MARK}{bits}"


_RECORDED: Final = {
    f"{CONSENT_MARK}{bits}": Consent(**{name: bool(bits >> at & 1) for at, name in enumerate(_FLAGS)})
    for bits in range(1 << len(_FLAGS))
}


class RecordedConsent(ConsentPolicy):
    """The consent policy for recorded requests: what was permitted stands in the request itself."""

    def permitted(self, tc_string: str) -> Consent:
        return _RECORDED.get(tc_string) or super().permitted(tc_string)

    def doubt(self, tc_string: str) -> str:
        return "" if tc_string.startswith(CONSENT_MARK) else super().doubt(tc_string)
