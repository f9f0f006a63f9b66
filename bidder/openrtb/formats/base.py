"""What a format consists of on the side of the protocol: one `FormatCodec` a module, joined in `table`."""

from collections.abc import Callable

import msgspec

from bidder.openrtb.types import Imp
from core.errors import Fault
from creatives.formats.base import Ad
from creatives.formats.offer import Offer


class FormatCodec(msgspec.Struct, frozen=True):
    """One format: from a member of an impression to an offer, and from an ad to the members of a bid."""

    name: str
    """The same name as that of the format's half in `creatives/formats`."""

    member: str
    """The member of `imp` by which an impression offers the format: without it `read` is not called."""

    read: Callable[[Imp], Offer | Fault | None]
    """The offer; None where the member names another format; a Fault (with a pointer relative to the
    impression) where it names the format and cannot be served in it."""

    write: Callable[[Ad], dict[str, object]]
    """Members of a bid that say which of the impression's formats the markup is, and its measures."""
