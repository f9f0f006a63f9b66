"""Golden cases of the bid path: a request, a piece of a catalogue, what comes of them; run by the real handler.

A case is JSON (tests/golden/bidding). `catalogue`, `request` and `setting` say only what differs from the smallest
catalogue and request that bid; objects of a catalogue are those of their id. `answer` is the reason of the whole
request, as the metrics count it, or "bid"; `reasons` are those that an explanation gives line item 1, exactly.
`neighbour` is what has to be changed of the case for line item 1 to bid.
"""

import ipaddress
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from admin.diagnosis.budgets import MoneyAsItStands
from admin.diagnosis.published import Published
from bidder.decision.model_file import load_model
from bidder.decision.snapshot import Snapshot
from bidder.diagnosis.explain import Explainer, Explanation
from bidder.door.handler import BidderHandler
from bidder.door.metrics import BidMetrics
from bidder.door.port import Sender
from bidder.openrtb.codec import Malformed
from bidder.targeting.compiled import Compiled
from bidder.targeting.field import Field
from bidder.targeting.fields import FIELDS
from bidder.targeting.quality import AddressRanges, Quality
from core.config import ConsentSettings
from core.model import Catalogue
from core.ring import record_number
from core.supply import SupplyFile, SupplyTable, packed
from core.telemetry.metrics import Telemetry
from core.terms import FORMATS_BY_NUMBER
from pacing.budgets.levels import Amounts, Level
from pacing.budgets.pools import UNLIMITED
from segments.profiles.reading import ProfileBatch, UserLookup
from tests.kit.bidding import NOW_MS, TRACK, KnownProfiles, Shopper, TestBidder, bids_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import USER_ID, body_of, raw_request

BID = "bid"
TMAX_CAP_MS = 100


class Setting(msgspec.Struct, forbid_unknown_fields=True):
    """What a case says besides its catalogue and request."""

    exchange: str = "demo"
    authorization: str = ""
    fields: dict[str, str] = {}  # other headers
    address: str = "192.0.2.1"  # the sender's
    before: int = 0  # how many requests come before it in the same second
    data_centres: tuple[str, ...] = ()
    supply: dict[str, dict[str, tuple[str, ...]]] = {}
    """Names in each file, for `sites`, `apps` and `systems`."""
    arrived_ms_ago: int = 0
    clock_off: bool = False  # by more than the tolerance allows
    stale: bool = False  # the catalogue is older than is allowed
    leases: bool = True
    lease_micros: int | None = None  # of the advertiser's currency, in each lease
    multiplier: float | None = None  # pacing's, for every line item
    spent: tuple[int, int] | None = None  # micros of line item 1's total budget: budget, spent
    bid_without_purpose_2: bool = False
    look_up_fails: bool = False  # Redis does not answer in time for the user
    user: dict[str, Any] | None = None
    """Of the request's user: `segments`, and `shown` as (line item, seconds ago[, format where it was noted])."""


class SilentProfiles(KnownProfiles):
    """A profile store that does not answer in time."""

    __slots__ = ()

    async def fetch(self, users: Sequence[UserLookup], now_ms: int, deadline: float) -> ProfileBatch:
        batch = ProfileBatch([user[0] for user in users])
        batch.failed.update(range(len(users)))
        return batch


class Case(msgspec.Struct, forbid_unknown_fields=True):
    """One file."""

    about: str
    answer: str
    catalogue: dict[str, list[dict[str, Any]]] = {}
    request: dict[str, Any] = {}
    setting: Setting = msgspec.field(default_factory=Setting)
    reasons: list[str] = []
    neighbour: dict[str, Any] = {}


class Outcome(NamedTuple):
    """The outcome of a case."""

    answer: str
    reasons: list[str] | None  # of line item 1; None where no line item was looked at
    bids: list[dict[str, object]]


def read_case(path: Path) -> Case:
    """A case. Raises msgspec.ValidationError for one of another form."""
    return msgspec.json.decode(path.read_bytes(), type=Case)


def neighbour_of(case: Case) -> Case:
    """The case after its `neighbour`'s changes."""
    changed: dict[str, Any] = json.loads(msgspec.json.encode(case))
    for name, change in case.neighbour.items():
        if name == "catalogue":
            changed[name] = _with_objects(changed[name], change)
        else:
            changed[name] = merged(changed[name], change)
    return msgspec.convert({**changed, "neighbour": {}}, Case)


def merged(base: Any, change: Any) -> Any:  # noqa: ANN401 - JSON
    """A merge patch (RFC 7396) applied: null removes a member, objects merge, everything else replaces."""
    if not isinstance(change, dict):
        return change
    found = dict(base) if isinstance(base, dict) else {}
    for name, value in change.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def _with_objects(
    base: Mapping[str, Sequence[dict[str, Any]]], change: Mapping[str, Sequence[dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """Objects by kind; those of an id that is there are merged into it."""
    found = {kind: list(objects) for kind, objects in base.items()}
    for kind, objects in change.items():
        known = {each["id"]: each for each in found.get(kind, [])}
        for each in objects:
            known[each["id"]] = merged(known.get(each["id"]), each)
        found[kind] = list(known.values())
    return found


def catalogue_of(case: Case) -> Catalogue:
    """The smallest catalogue that bids, with the case's piece."""
    base: dict[str, Any] = json.loads(msgspec.json.encode(catalogue(line_item(1))))
    plain: dict[str, Any] = json.loads(msgspec.json.encode(line_item(1)))
    kinds = {kind: each for kind, each in base.items() if isinstance(each, list)}
    piece = {kind: list(objects) for kind, objects in case.catalogue.items()}
    for each in piece.get("line_items", []):
        if each["id"] != 1:
            kinds["line_items"] = [*kinds["line_items"], {**plain, "id": each["id"]}]
    return msgspec.convert({**base, **_with_objects(kinds, piece)}, Catalogue)


def _request_of(case: Case) -> bytes:
    base = raw_request(regs={"gdpr": 0})
    if case.setting.user is not None:
        base["user"] = {"buyeruid": USER_ID}
    return body_of(merged(base, case.request))


def _shopper(case: Case) -> dict[str, Shopper]:
    user = case.setting.user
    if user is None:
        return {}
    shown = tuple(
        (record_number(number, FORMATS_BY_NUMBER.index("".join(noted))), NOW_MS // 1000 - ago)
        for number, ago, *noted in user.get("shown", ())
    )
    return {USER_ID: Shopper(segments=tuple(user.get("segments", ())), shown=shown)}


async def outcome_of(case: Case, fields: tuple[Field, ...] = FIELDS) -> Outcome:
    """Sends the case's request to a bidder of its catalogue, and asks why."""
    configured, setting = catalogue_of(case), case.setting
    published = Published.compile(configured)
    bidder = TestBidder(
        configured,
        compiled=Compiled(configured, fields),
        leases=setting.leases,
        consent=ConsentSettings(bid_without_purpose_2=setting.bid_without_purpose_2),
        shoppers=_shopper(case),
    )
    if setting.lease_micros is not None:
        bidder.book.remaining[:] = setting.lease_micros
        bidder.refresh()
    if setting.multiplier is not None:
        bidder.book.multiplier[:] = setting.multiplier
        bidder.refresh()
    _make_quality(bidder.snapshot.quality, setting)
    if setting.look_up_fails:
        bidder.profiles = SilentProfiles()
    answer, body = await _answer(case, bidder)
    bids = bids_of(json.loads(body)) if answer == BID else []
    unread = ("malformed", "exchange_access", "rate_capped")
    if setting.exchange not in bidder.snapshot.index.exchanges or answer in unread:
        return Outcome(answer, None, bids)
    return Outcome(answer, _reasons(await _explanation(case, bidder, published)), bids)


def _make_quality(quality: Quality, setting: Setting) -> None:
    quality.data_centres = AddressRanges(map(ipaddress.ip_network, setting.data_centres))
    files = {
        kind: {name: SupplyFile(NOW_MS, packed(names)) for name, names in named.items()}
        for kind, named in setting.supply.items()
    }
    quality.supply = SupplyTable(made_ms=NOW_MS, **files)


def _sender(setting: Setting) -> Sender:
    fields = {name.encode(): value.encode() for name, value in setting.fields.items()}
    return Sender(setting.authorization.encode(), setting.address, fields)


async def _answer(case: Case, bidder: TestBidder) -> tuple[str, bytes]:
    telemetry, replies = Telemetry(), list[tuple[int, bytes]]()
    handler = BidderHandler(
        profiles=bidder.profiles,
        signer=bidder.signer,
        policy=bidder.policy,
        clock=bidder.clock,
        metrics=BidMetrics(telemetry),
        tmax_cap_ms=TMAX_CAP_MS,
        fresh=lambda: not (case.setting.stale or case.setting.clock_off),
        clock_off=lambda: case.setting.clock_off,
    )
    handler.install(bidder.snapshot)
    for _ in range(case.setting.before):
        handler.submit(case.setting.exchange, _request_of(case), 1e9, lambda *_reply: None, _sender(case.setting))
    handler.submit(
        case.setting.exchange,
        _request_of(case),
        bidder.clock.monotonic() - case.setting.arrived_ms_ago / 1000,
        lambda status, body: replies.append((status, body)),
        _sender(case.setting),
    )
    await handler.drain()
    ((_status, body),) = replies
    return _counted(telemetry), body


def _counted(telemetry: Telemetry) -> str:
    """The reason that metrics counted, otherwise the outcome."""
    counted: dict[str, str] = {}
    for family in telemetry.families():
        for sample in family.samples:
            if sample.value and family.name in ("grosz_no_bids_total", "grosz_bid_requests_total"):
                counted[family.name] = sample.labels.get("reason") or sample.labels["outcome"]
    return counted.get("grosz_no_bids_total") or counted["grosz_bid_requests_total"]


async def _explanation(case: Case, bidder: TestBidder, published: Published) -> Explanation:
    snapshot, background, now_ms = bidder.snapshot, None, bidder.clock.now_ms()
    if case.setting.spent is not None:
        budget, spent = case.setting.spent
        amounts = Amounts(budget, spent, 0, budget - spent, 0)
        unlimited = Amounts(UNLIMITED, 0, 0, 0, 0)
        background = MoneyAsItStands(published, {1: {"l1": Level(amounts, unlimited)}}, now_ms)
        snapshot = Snapshot(published.compiled, load_model(), background.book, TRACK)
        snapshot.live.refresh(now_ms, background.book)
    explainer = Explainer(bidder.profiles, bidder.policy, bidder.clock)
    return await explainer.explain(
        _request_of(case), case.setting.exchange, snapshot, line_item_id=1, background=background
    )


def _reasons(explanation: Explanation) -> list[str] | None:
    if not explanation.impressions:
        return None
    told = (verdict for impression in explanation.impressions for verdict in impression.line_items)
    found = itertools.chain.from_iterable(verdict.reasons for verdict in told)
    return list(dict.fromkeys(reason.reason for reason in found))


def holds(case: Case, outcome: Outcome) -> bool:
    """Whether the outcome is what the case says."""
    return outcome.answer == case.answer and (outcome.reasons or []) == case.reasons


__all__ = ["BID", "Case", "KnownProfiles", "Malformed", "Outcome", "Setting", "holds", "neighbour_of", "outcome_of"]
