"""Rules between the fields of an object, and between an object and what it names: what must not be saved.

Each rule is a function from an object to its faults; pointers are those of the document. Shapes and ranges of single
fields are admin.validation.fields; what may be saved but cannot deliver is admin.validation.warnings.
"""

import ipaddress
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from admin.mail.message import checked_address
from admin.store.kinds import ObjectKind
from admin.store.model import ApiKey, Feed, Webhook
from admin.validation.convert import amounts_in
from admin.validation.targeting import check_modifier
from bidder.targeting.fields import FIELDS
from bidder.targeting.lists import MEMBERS
from core.dialects import spoken_by
from core.errors import Fault, GroszError, InputError
from core.model import (
    Advertiser,
    Campaign,
    Creative,
    Exchange,
    Format,
    FrequencyCap,
    InventoryList,
    LineItem,
    PriceEncryption,
    Segment,
)
from core.money import MAX_BUDGET_MICROS, format_micros
from core.network.outgoing import check_url
from creatives.feeds.columns import check_mapping
from creatives.formats.table import check_creative, is_known

RuleChecker = Callable[[str], object]
"""Checks a segment rule; raises a GroszError that says where it is wrong."""


def check_fields(value: object, check_rule: RuleChecker) -> list[Fault]:
    """All faults of one object that can be seen without looking at others."""
    if isinstance(value, Segment):
        found = _segment(value, check_rule)
    else:
        found = iter(_FAULTS_OF.get(type(value), _nothing)(value))
    return [*found, *_caps(getattr(value, "caps", ()), "/caps")]


def _nothing(_value: object) -> Iterable[Fault]:
    return ()


def check_currencies(document: object, currency: str) -> list[Fault]:
    """Every amount that names a currency must name the advertiser's."""
    return [
        Fault(
            pointer,
            "currency",
            f"the advertiser's currency is {currency}, this amount says {named}",
            "leave it out",
            (currency,),
        )
        for pointer, named in amounts_in(document)
        if named != currency
    ]


def check_references(kind: ObjectKind, value: Any, owners: Mapping[tuple[str, int], int | None]) -> list[Fault]:  # noqa: ANN401
    """What the object names must exist, not be archived, and belong to the same advertiser or to nobody.

    `owners` holds the advertiser of each (kind, id) that exists. One text for all cases: whether another advertiser's
    object exists is not told.
    """
    own = getattr(value, "advertiser_id", None)
    faults = []
    for pointer, target_kind, target in kind.references(value):
        owner = owners.get((target_kind, target), _ABSENT)
        exists = owner is not _ABSENT
        if not exists or (target_kind != "advertisers" and owner not in (None, own)):
            hint = f"see GET /v1/{target_kind}"
            faults.append(
                Fault(pointer, "no_such_object", f"there is no {target_kind[:-1].replace('-', ' ')} {target}", hint)
            )
    return faults


_ABSENT = object()


def check_change(kind: ObjectKind, old: Any, new: Any) -> list[Fault]:  # noqa: ANN401 - two structs of the kind
    """Fields that cannot change once the object exists: money and history are booked under them."""
    fixed: dict[str, Sequence[str]] = {
        "advertisers": ("currency",),
        "line-items": ("advertiser_id", "campaign_id"),
        "deals": ("exchange_id",),
    }
    fields = fixed.get(kind.name, ("advertiser_id",) if kind.tenant else ())
    return [
        Fault(f"/{field}", "fixed", f"{field} cannot change after creation", "copy the object instead")
        for field in fields
        if getattr(old, field) != getattr(new, field)
    ]


def _advertiser(value: Advertiser) -> Iterator[Fault]:
    if value.timezone not in zoneinfo.available_timezones():
        yield Fault("/timezone", "not_allowed", f"'{value.timezone}' is not a time zone", "for example Europe/Warsaw")
    yield from _budget("/balance", value.balance_micros)
    for place, origin in enumerate(value.origins):
        if (origin.startswith("https://") and origin.endswith(":443")) or (
            origin.startswith("http://") and origin.endswith(":80")
        ):
            text = f"browsers send {origin.rpartition(':')[0]}, without the port that the scheme has anyway"
            yield Fault(f"/origins/{place}", "value", text, "leave the port out")


def _budget(pointer: str, micros: int | None) -> Iterator[Fault]:
    if micros is not None and micros > MAX_BUDGET_MICROS:
        most = format_micros(MAX_BUDGET_MICROS)
        yield Fault(pointer, "range", f"money is counted exactly up to {most} only", "for no limit, set null")


def _flight(value: Campaign | LineItem) -> Iterator[Fault]:
    yield from _moments(value, "start", "end")
    if value.start_ms is not None and value.end_ms is not None and value.start_ms >= value.end_ms:
        yield Fault("/end", "order", "the end is not after the start")


# Times outside of this are slips of the pen, and other systems cannot always read them.
_EARLIEST_MS = 946_684_800_000  # 2000-01-01
_LATEST_MS = 4_102_444_800_000  # 2100-01-01


def _moments(value: object, *names: str) -> Iterator[Fault]:
    for name in names:
        moment = getattr(value, f"{name}_ms")
        if moment is not None and not _EARLIEST_MS <= moment < _LATEST_MS:
            yield Fault(f"/{name}", "range", "the time lies outside of 2000 to 2100")


def _line_item(value: LineItem) -> Iterator[Fault]:
    yield from _flight(value)
    yield from _budget("/daily_budget/spend", value.daily_budget.micros)
    yield from _budget("/total_budget/spend", value.total_budget.micros)
    if value.bid_micros <= 0:
        yield Fault("/bid", "range", "the bid must be above zero", "to stop bidding, pause the line item")
    if value.max_cpm_micros <= 0:
        yield Fault("/max_cpm", "range", "the maximum CPM must be above zero")
    if value.min_cpm_micros > value.max_cpm_micros:
        yield Fault("/min_cpm", "order", "the minimum CPM is above the maximum")
    if sum(share.percent for share in value.budget_shares) > 100:
        yield Fault("/budget_shares", "range", "the shares add up to more than 100 percent")
    segments = [share.segment_id for share in value.budget_shares]
    if len(set(segments)) != len(segments):
        yield Fault("/budget_shares", "duplicate", "two shares name the same segment")
    if len(set(value.creative_ids)) != len(value.creative_ids):
        yield Fault("/creative_ids", "duplicate", "a creative is named twice")
    for position, share in enumerate(value.budget_shares):
        yield from _caps(share.caps, f"/budget_shares/{position}/caps")
    for position, modifier in enumerate(value.bid_modifiers):
        yield from check_modifier(modifier, f"/bid_modifiers/{position}")


def _creative(value: Creative) -> Iterator[Fault]:
    strategies = value.products.strategies if value.products is not None else ()
    if len(set(strategies)) < len(strategies):
        yield Fault("/products/strategies", "duplicate", "a strategy is named twice", "the first place decides")
    if not is_known(value):
        return
    yield from check_creative(value)
    if not value.advertiser_domain:
        yield Fault("/advertiser_domain", "required", "exchanges want the advertiser's domain with every bid")


def _exchange(value: Exchange) -> Iterator[Fault]:
    dialect = spoken_by(value)
    if dialect.seat_required and not value.seat:
        yield Fault("/seat", "required", f"{dialect.title} takes no bid without a seat", "the exchange gives it")
    if dialect.one_seat and value.seats:
        yield Fault("/seats", "one_seat", f"{dialect.title} takes answers of one seat", "use seat alone")
    yield from _credentials(value)
    names = [(each.advertiser_id, each.campaign_id) for each in value.seats]
    if len(set(names)) < len(names):
        yield Fault("/seats", "duplicate", "an advertiser or campaign has two seats")
    if dialect.seat_is_number and value.seat and not (value.seat.isascii() and value.seat.isdigit()):
        yield Fault("/seat", "not_a_number", f"seats of {dialect.title} are numbers", "use digits alone")
    if dialect.campaign_is_seat and not value.seat:
        yield Fault("/seat", "required", f"{dialect.title} bills by what is here the seat", "enter the billing id")
    encryption = dialect.price_encryption
    if encryption is PriceEncryption.NONE:
        return
    if not value.encryption_key:
        yield Fault("/encryption_key", "required", "encrypted prices need the key", "the exchange's support gives it")
    if encryption is PriceEncryption.GOOGLE and not value.integrity_key:
        yield Fault("/integrity_key", "required", "this encryption needs the integrity key too")


def _credentials(value: Exchange) -> Iterator[Fault]:
    if bool(value.secret_header) != bool(value.header_secret):
        missing = "header_secret" if value.secret_header else "secret_header"
        yield Fault(f"/{missing}", "required", "a secret header needs its name and its value", "give both or none")
    for position, text in enumerate(value.networks):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            yield Fault(f"/networks/{position}", "value", str(error), "for example 203.0.113.0/24")


def _list(value: InventoryList) -> Iterator[Fault]:
    """Each value must be one that the field of its kind takes."""
    field = next(each for each in FIELDS if each.deny == MEMBERS[value.kind][1])
    for position, text in enumerate(value.values):
        try:
            msgspec.convert(text, field.item)
        except msgspec.ValidationError as error:
            yield Fault(f"/values/{position}", "value", f"{field.about}: {str(error).replace('`', chr(39))}")


def _webhook(value: Webhook) -> Iterator[Fault]:
    """Faults of a webhook that can never be called; the worker's setting allows private addresses, or not."""
    if value.url and value.mail:
        yield Fault("/mail", "contradiction", "a webhook has a URL or a mail address, not both", "make two webhooks")
    elif value.mail:
        try:
            checked_address(value.mail, "/mail")
        except InputError as error:
            yield from error.faults
    elif (fault := check_url(value.url, allow_private=True)) is not None:
        yield fault


def _segment(value: Segment, check_rule: RuleChecker) -> Iterator[Fault]:
    try:
        check_rule(value.rule)
    except GroszError as error:
        inner = error.faults or (Fault("/rule", "rule", error.message, error.hint),)
        for fault in inner:
            yield Fault("/rule", "rule", fault.message, fault.hint or error.hint)


def _caps(caps: Iterable[FrequencyCap], pointer: str) -> Iterator[Fault]:
    seen: set[tuple[int, Format | None]] = set()
    for position, cap in enumerate(caps):
        if (cap.window_s, cap.format) in seen:
            message = "two caps have the same window"
            if cap.format is not None:
                message = "two caps of one format have the same window"
            yield Fault(f"{pointer}/{position}/window_s", "duplicate", message)
        seen.add((cap.window_s, cap.format))


def prefixed(faults: Iterable[Fault], pointer: str) -> list[Fault]:
    """The faults of a part, with pointers from the whole."""
    return [msgspec.structs.replace(fault, pointer=pointer + fault.pointer) for fault in faults]


def _campaign(value: Campaign) -> Iterator[Fault]:
    yield from _flight(value)
    yield from _budget("/total_budget/spend", value.total_budget.micros)


def _feed(value: Feed) -> Iterable[Fault]:
    return check_mapping(value.mapping)


def _api_key(value: ApiKey) -> Iterator[Fault]:
    return _moments(value, "expires")


_FAULTS_OF: dict[type, Callable[[Any], Iterable[Fault]]] = {
    Advertiser: _advertiser,
    Campaign: _campaign,
    LineItem: _line_item,
    Creative: _creative,
    Exchange: _exchange,
    InventoryList: _list,
    Feed: _feed,
    ApiKey: _api_key,
    Webhook: _webhook,
}
"""What is looked at in each kind of object by itself; a segment's rule is checked by the given RuleChecker."""
