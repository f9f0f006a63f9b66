"""Which clicks do not count: they are kept and told apart, are in no rate, and no order is credited to them.

Whoever clicks arrives all the same: a judgement may be wrong, and a person must not pay for it.
"""

import enum
import hashlib
from typing import Final

from core.agents import Agent, agent_of
from pacing.notices.claims import Claims


class ClickFault(enum.StrEnum):
    """Why a click does not count: the value in the journal and in a label of metrics."""

    BOT = "bot"  # its user agent says that it is a crawler or a program, or the page was fetched ahead
    TOO_SOON = "too_soon"
    TOO_MANY = "too_many"


# A click sooner than this after the ad was shown is no person's.
LEAST_MS: Final = 1_000
# Clicks of one browser on ads of one advertiser in a day; people who come back often click two or three times.
MOST_A_DAY: Final = 10
BROWSERS_LIFE_S: Final = 2 * 86_400
_DIGEST_BYTES: Final = 8
_DAY_S: Final = 86_400


def fault_of(agent: str, purpose: str) -> ClickFault | None:
    """The fault that the request itself shows, by its user agent (empty: unknown) and its `Sec-Purpose` header."""
    if "prefetch" in purpose:
        return ClickFault.BOT
    return ClickFault.BOT if agent and agent_of(agent) is not Agent.UNKNOWN else None


def browser_of(claims: Claims) -> bytes:
    """The digest by which a browser's clicks of a day are counted; empty where the user may not be identified."""
    return hashlib.blake2b(claims.user_id.encode(), digest_size=_DIGEST_BYTES).digest() if claims.user_id else b""


def day_of(now_ms: int) -> int:
    """The day, since 1970, by which clicks of a browser are counted."""
    return now_ms // 1000 // _DAY_S
