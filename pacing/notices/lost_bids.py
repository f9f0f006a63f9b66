"""A loss that still matters to caps: the process that bid stops counting the bid when it next reads the user's profile.

It is noted in the hash that each bid reads anyway, so nobody is told by a round trip of its own. Only bids of line
items with a cap or a gap are noted, and only within the exchange's time to notice: later they do not count any more.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from core import keys
from core.model import Advertiser, Campaign, Catalogue, Exchange, FrequencyCap, LineItem
from core.ring import LOST_RECORDS
from pacing.budgets.blocks import BlockBook
from pacing.budgets.transitions import Command, Transitions
from pacing.notices.claims import Claims
from pacing.notices.touches import CLOCK_MARGIN_S

# Life of a hash that has nothing but lost bids, of a user whom no shop knows; the longest time to notice is 300 s.
_LIFE_S: Final = 600


class CappedOwners(NamedTuple):
    """Ids of line items, campaigns and advertisers."""

    line_items: frozenset[int]
    campaigns: frozenset[int]
    advertisers: frozenset[int]

    def own(self, claims: Claims) -> bool:
        """Whether the bid's line item is one of these, or belongs to one."""
        return (
            claims.line_item_id in self.line_items
            or claims.campaign_id in self.campaigns
            or claims.advertiser_id in self.advertisers
        )


class Capped(NamedTuple):
    """What one catalogue caps."""

    owners: CappedOwners
    """Who has a cap or a gap."""
    by_format: CappedOwners
    """Who has a cap of one format: the ring says of their impressions which format was shown."""


_Ids = tuple[frozenset[int], frozenset[int]]  # of line items with a cap or a gap, and of those with a cap by format


class CappedBook:
    """Works out what is capped, for one catalogue after the other."""

    def __init__(self) -> None:
        self._blocks = BlockBook(lambda line_items, _owners: _capped_ids(line_items))

    def update(self, catalogue: Catalogue) -> Capped:
        blocks = self._blocks.update(catalogue)
        line_items, by_format = (frozenset().union(*(ids[at] for ids in blocks)) for at in (0, 1))
        return Capped(
            CappedOwners(line_items, _with(bool, catalogue.campaigns), _with(bool, catalogue.advertisers)),
            CappedOwners(by_format, _with(_has_format, catalogue.campaigns), _with(_has_format, catalogue.advertisers)),
        )


def lost_command(transitions: Transitions, claims: Claims, exchange: Exchange | None, now_s: int) -> Command | None:
    """The command that notes a lost bid of a capped line item; None where the bid path no longer counts the bid."""
    counted_ms = 0 if exchange is None else exchange.time_to_notice_ms
    if not claims.user_id or (now_s - claims.issued_s) * 1000 > counted_ms:
        return None
    arguments = (claims.issued_s, CLOCK_MARGIN_S, claims.line_item_id, LOST_RECORDS, _LIFE_S)
    return transitions.record_command((keys.user_profile(claims.user_id),), arguments, "lost")


def _has_format(caps: Sequence[FrequencyCap]) -> bool:
    return any(cap.format is not None for cap in caps)


def _with(
    wanted: Callable[[Sequence[FrequencyCap]], bool], owners: tuple[Campaign, ...] | tuple[Advertiser, ...]
) -> frozenset[int]:
    return frozenset(owner.id for owner in owners if wanted(owner.caps))


def _capped_ids(line_items: Iterable[LineItem]) -> _Ids:
    """Ids of line items with a cap or gap of their own, and of those with a cap by format."""
    capped: list[int] = []
    by_format: list[int] = []
    for line_item in line_items:
        caps = (*line_item.caps, *(cap for share in line_item.budget_shares for cap in share.caps))
        if caps or line_item.min_gap_s:
            capped.append(line_item.id)
            if _has_format(caps):
                by_format.append(line_item.id)
    return frozenset(capped), frozenset(by_format)
