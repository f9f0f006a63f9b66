"""A loss that still matters to caps: the process that bid stops counting the bid when it next reads the user's profile.

It is noted in the hash that each bid reads anyway, so nobody is told by a round trip of its own. Only bids of line
items with a cap or a gap are noted, and only within the exchange's time to notice: later they do not count any more.
"""

from typing import Final

from core import keys
from core.model import Advertiser, Campaign, Catalogue, Exchange, LineItem
from pacing.budgets.blocks import BlockBook
from pacing.budgets.transitions import Command, Transitions
from pacing.caps import LOST_RECORDS
from pacing.notices.claims import Claims
from pacing.notices.touches import CLOCK_MARGIN_S

# Life of a hash that has nothing but lost bids, of a user whom no shop knows; the longest time to notice is 300 s.
_LIFE_S: Final = 600


class Capped:
    """The line items, campaigns and advertisers of one catalogue that have a cap or a gap."""

    __slots__ = ("_advertisers", "_campaigns", "_line_items")

    def __init__(self, catalogue: Catalogue, line_items: list[frozenset[int]]) -> None:
        self._line_items = frozenset().union(*line_items)
        self._campaigns = _with_caps(catalogue.campaigns)
        self._advertisers = _with_caps(catalogue.advertisers)

    def concerns(self, claims: Claims) -> bool:
        """Whether a cap or gap counts impressions of the bid's line item."""
        return (
            claims.line_item_id in self._line_items
            or claims.campaign_id in self._campaigns
            or claims.advertiser_id in self._advertisers
        )


class CappedBook:
    """Works out what is capped, for one catalogue after the other."""

    def __init__(self) -> None:
        self._blocks = BlockBook(lambda line_items, _owners: frozenset(filter(None, map(_capped_id, line_items))))

    def update(self, catalogue: Catalogue) -> Capped:
        return Capped(catalogue, self._blocks.update(catalogue))


def lost_command(transitions: Transitions, claims: Claims, exchange: Exchange | None, now_s: int) -> Command | None:
    """The command that notes a lost bid of a capped line item; None where the bid path no longer counts the bid."""
    counted_ms = 0 if exchange is None else exchange.time_to_notice_ms
    if not claims.user_id or (now_s - claims.issued_s) * 1000 > counted_ms:
        return None
    arguments = (claims.issued_s, CLOCK_MARGIN_S, claims.line_item_id, LOST_RECORDS, _LIFE_S)
    return transitions.record_command((keys.user_profile(claims.user_id),), arguments, "lost")


def _with_caps(owners: tuple[Campaign, ...] | tuple[Advertiser, ...]) -> frozenset[int]:
    return frozenset(owner.id for owner in owners if owner.caps)


def _capped_id(line_item: LineItem) -> int:
    """The line item's id if it has a cap or gap of its own, otherwise 0."""
    shares = any(share.caps for share in line_item.budget_shares)
    return line_item.id if line_item.caps or line_item.min_gap_s or shares else 0
