"""What a user saw and clicked: the frequency ring that bids are capped by, and the touches that orders are credited to.

Both live in the user's slot and are written by one script. They follow the settlement and may be lost with a crash
between the two; they are never written twice for one bill, since a duplicate settles nothing.
"""

import enum
import struct
from typing import NamedTuple

import hiredis

from core import keys
from core.errors import UnavailableError
from core.ring import ANY_FORMAT, RING_RECORDS, record_number
from pacing.budgets.timing import MAX_CLOCK_SKEW_S
from pacing.budgets.transitions import Command, Transitions

# Orders are credited to a click for up to 30 days, the longest window that advertisers may choose.
TOUCH_LIFE_S = 30 * 86_400

# As many as the ring holds: one user who sees more ads than that in a month is a fault of the caps.
MAX_TOUCHES = 64

# An erasure is stamped by Redis, a bid by its bidder, whose clock may be ahead: a bid that is stamped up to this long
# after the erasure counts as made before it. A fifth of what tokens tolerate, beyond which a clock counts as wrong.
CLOCK_MARGIN_S = MAX_CLOCK_SKEW_S // 5

_TOUCH = struct.Struct("<BIIIIIIIQ")
# The layout of releases before, without the bid.
_TOUCH_BEFORE = struct.Struct("<BIIIIIII")


class TouchKind(enum.IntEnum):
    VIEW = 1
    CLICK = 2


class Touch(NamedTuple):
    """One billed impression or click."""

    kind: TouchKind
    advertiser_id: int
    campaign_id: int
    line_item_id: int
    creative_id: int
    exchange_id: int
    day: int  # that the bid is booked on
    at_s: int
    bid_id: int = 0  # nonce of the bid's token; 0 in records of releases before


def pack_touch(touch: Touch) -> bytes:
    return _TOUCH.pack(*touch)


def unpack_touch(packed: bytes) -> Touch | None:
    """A touch from a record of this layout or the one before; None for any other record."""
    layout = next((each for each in (_TOUCH, _TOUCH_BEFORE) if each.size == len(packed)), None)
    if layout is None:
        return None
    kind, *rest = layout.unpack(packed)
    return Touch(TouchKind(kind), *rest)


def touch_command(
    transitions: Transitions, user_id: str, touch: Touch, longest_window_s: int, issued_s: int, shown_as: int
) -> Command:
    """The command that notes a touch; an impression also enters the frequency ring.

    `shown_as` is the number of its format where a cap by format concerns it, otherwise ANY_FORMAT. The command writes
    nothing for a user who has opted out, or who was erased after the bid was made (`issued_s`, unix seconds).
    """
    number = record_number(touch.line_item_id, shown_as) if touch.kind is TouchKind.VIEW else 0
    return transitions.record_command(
        (keys.user_profile(user_id), keys.user_touches(user_id)),
        (
            touch.at_s, number, max(longest_window_s, 1), RING_RECORDS,
            pack_touch(touch), MAX_TOUCHES, TOUCH_LIFE_S, issued_s, CLOCK_MARGIN_S,
        ),
    )  # fmt: skip


async def record_touch(
    transitions: Transitions,
    user_id: str,
    touch: Touch,
    longest_window_s: int,
    issued_s: int,
    shown_as: int = ANY_FORMAT,
) -> None:
    """Note a touch. Raises UnavailableError."""
    command = touch_command(transitions, user_id, touch, longest_window_s, issued_s, shown_as)
    (reply,) = await transitions.run_many([command])
    if isinstance(reply, hiredis.ReplyError):
        raise UnavailableError(f"Redis refused to note a touch: {reply}") from reply
