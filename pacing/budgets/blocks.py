"""What is worked out of line items, block by block, and again only for the blocks that a change concerns.

The catalogue's objects never change in place, and those that a change leaves alone stay the same objects. To see that
100,000 line items in 400 blocks are as they were takes 5 ms; to work out all of their budgets takes 2 s.
"""

import bisect
import operator
from collections.abc import Callable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

from core.model import Budget, Campaign, Catalogue, LineItem
from pacing.budgets.pools import Owners, owners_of

# A block is 256 neighbouring ids. To work a changed one out costs 5 ms, about as much as to compare 400 of them.
BLOCK_BITS: Final = 8

_id_of = operator.attrgetter("id")
_T = TypeVar("_T")


class Frame(NamedTuple):
    """What a line item's pools depend on besides itself: its campaign, and whether both owners may spend."""

    may_spend: bool
    is_limited: bool = False
    start_ms: int | None = None
    end_ms: int | None = None


class _Known(NamedTuple, Generic[_T]):
    line_items: tuple[LineItem, ...]
    belongings: tuple[tuple[int, int], ...]  # (advertiser, campaign)
    frames: tuple[Frame, ...]
    result: _T


class BlockBook(Generic[_T]):
    """Remembers what `work_out` made of each block. `work_out` is given line items and which of their owners may spend.

    Of the owners its result may depend on nothing but the members of a Frame.
    """

    def __init__(self, work_out: Callable[[tuple[LineItem, ...], Owners], _T]) -> None:
        self._work_out = work_out
        self._known: dict[int, _Known[_T]] = {}

    def update(self, catalogue: Catalogue) -> list[_T]:
        """The results of all blocks, in the catalogue's order: the same objects as before where nothing has changed."""
        owners, frames = owners_of(catalogue), dict[tuple[int, int], Frame]()
        present: dict[int, _Known[_T]] = {}
        results: list[_T] = []
        for number, line_items in _blocks(catalogue.line_items):
            known = self._known.get(number)
            is_same = known is not None and known.line_items == line_items
            belongings = known.belongings if known is not None and is_same else _belongings(line_items)
            for belonging in belongings:
                if belonging not in frames:
                    frames[belonging] = _frame(owners, *belonging)
            around = tuple(frames[belonging] for belonging in belongings)
            if known is None or not is_same or known.frames != around:
                known = _Known(line_items, belongings, around, self._work_out(line_items, owners))
            present[number] = known
            results.append(known.result)
        self._known = present
        return results


def _blocks(line_items: tuple[LineItem, ...]) -> Iterator[tuple[int, tuple[LineItem, ...]]]:
    """Groups line items by block. In a catalogue that is not sorted by id the groups differ, which does no harm."""
    start = 0
    while start < len(line_items):
        number = line_items[start].id >> BLOCK_BITS
        end = bisect.bisect_left(line_items, (number + 1) << BLOCK_BITS, start, key=_id_of)
        yield number, line_items[start:end]
        start = end


def _belongings(line_items: tuple[LineItem, ...]) -> tuple[tuple[int, int], ...]:
    return tuple({(line_item.advertiser_id, line_item.campaign_id): None for line_item in line_items})


def _frame(owners: Owners, advertiser_id: int, campaign_id: int) -> Frame:
    campaign: Campaign | None = owners.campaigns.get(campaign_id)
    if campaign is None or advertiser_id not in owners.advertisers:
        return Frame(False)
    return Frame(True, campaign.total_budget != Budget(), campaign.start_ms, campaign.end_ms)
