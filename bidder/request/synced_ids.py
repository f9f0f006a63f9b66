"""Where else than in `user.id` an exchange's requests have the id that cookie sync bound to one of our users.

An exchange's `user_id_sources` say so: `ifa` is the device's advertising id, `eids:SOURCE` an extended id of that
source, `data:PROVIDER` the segment of that provider in `user.data`. The first of them that a request has is looked up,
`user.id` where it has none, all in the same match table: ids of different kinds are linked by nobody but the exchange,
whose sync says that they are one browser's. An id that stands for nobody, for a session or for one publisher's pages is
none, and neither is a hash of a device's id.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from bidder.openrtb.types import BidRequest
from core.ids import device_id, means_nobody

DEVICE: Final = "ifa"

# Keys of the match table are bounded; the longest id of a known exchange has 64 characters.
MAX_EXCHANGE_USER_CHARS: Final = 128

# `device.ext.ifa_type` of ids that change with the session, or differ from publisher to publisher.
_NOT_OF_A_DEVICE: Final = frozenset({"sessionid", "ppid"})
# AdCOM list "ID Match Methods": by a login elsewhere, or inferred. Whoever is found so is perhaps somebody else.
_BRIDGED: Final = frozenset({3, 5})


class _ProvidedSegment(msgspec.Struct, gc=False):
    id: str | int | None = None
    value: str | int | None = None


class _Provider(msgspec.Struct, gc=False):
    id: str | int | None = None
    name: str | None = None
    segment: tuple[_ProvidedSegment, ...] | None = None


_data = msgspec.json.Decoder(tuple[_Provider, ...])


def synced_id(request: BidRequest, sources: Sequence[str]) -> str | None:
    """The first id that one of these sources, or `user.id`, has in a request; as the match table has it."""
    found = next((found for source in sources if (found := _read(request, source)) is not None), None)
    if found is None and request.user is not None and is_usable(request.user.id):
        found = request.user.id
    # The sync of an exchange that has devices' ids writes everything that looks like one in one way.
    return found if found is None or DEVICE not in sources else device_id(found) or found


def _read(request: BidRequest, source: str) -> str | None:
    kind, _colon, name = source.partition(":")
    return _READERS[kind](request, name)


def is_usable(identifier: str | None) -> bool:
    """Whether an exchange's id may be looked up: it is short enough and no placeholder."""
    return identifier is not None and 0 < len(identifier) <= MAX_EXCHANGE_USER_CHARS and not means_nobody(identifier)


def _ifa(request: BidRequest, _name: str) -> str | None:
    """The advertising id of a device; that of a screen out of home stands for no user."""
    device = request.device
    if device is None or not device.ifa or request.dooh is not None:
        return None
    kind = device.ext.ifa_type if device.ext is not None else None
    return None if kind and kind.strip().lower() in _NOT_OF_A_DEVICE else device_id(device.ifa)


def _eid(request: BidRequest, name: str) -> str | None:
    user = request.user
    for eid in user.eids or () if user is not None else ():
        if eid.source and eid.source.strip().lower() == name and eid.mm not in _BRIDGED:
            for uid in eid.uids or ():
                if is_usable(uid.id):
                    return uid.id
    return None


def _of_data(request: BidRequest, name: str) -> str | None:
    user = request.user
    if user is None:
        return None
    try:
        data = _data.decode(user.data)
    except msgspec.MsgspecError:  # of another shape: it names nobody
        return None
    for each in data:
        if name in (str(each.id).lower(), (each.name or "").strip().lower()):
            for segment in each.segment or ():
                found = segment.value or segment.id
                if found is not None and is_usable(str(found)):
                    return str(found)
    return None


_READERS: Final[dict[str, Callable[[BidRequest, str], str | None]]] = {DEVICE: _ifa, "eids": _eid, "data": _of_data}
