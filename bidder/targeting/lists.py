"""Reusable lists: their values join what a line item itself allows and denies, when the catalogue is compiled.

On the bid path they cost nothing: what is looked up are the fields of domains, apps, publishers, sellers and words.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from core.model import InventoryList, LineItem, ListKind, Status, Targeting

MEMBERS: Final[Mapping[ListKind, tuple[str, str]]] = {
    ListKind.DOMAINS: ("domains_allow", "domains_deny"),
    ListKind.APPS: ("apps_allow", "apps_deny"),
    ListKind.PUBLISHERS: ("publishers_allow", "publishers_deny"),
    ListKind.SELLERS: ("sellers_allow", "sellers_deny"),
    ListKind.WORDS: ("page_keywords", "page_keywords_deny"),
}
"""The members of targeting that allow and deny what a list of each kind holds."""

NOTHING: Final = ""
"""A value that no request has, for a line item that allows a list which is empty, paused or gone: it was meant for the
values of that list alone."""


class ListExpander:
    """Adds the values of lists to a line item's own. Equal choices of lists share one tuple of values."""

    def __init__(self, lists: Iterable[InventoryList]) -> None:
        self._lists = {each.id: each for each in lists if each.status is Status.ACTIVE}
        self._known: dict[tuple[str, tuple[int, ...], tuple[str, ...]], tuple[str, ...]] = {}

    def expanded(self, line: LineItem) -> LineItem:
        """The line item with the values of its lists in its targeting; itself where it names none."""
        targeting = line.targeting
        if not targeting.lists_allow and not targeting.lists_deny:
            return line
        changes: dict[str, tuple[str, ...]] = {}
        for which, chosen in enumerate((targeting.lists_allow, targeting.lists_deny)):
            changes |= self._members(line, targeting, chosen, which)
        return msgspec.structs.replace(line, targeting=msgspec.structs.replace(targeting, **changes))

    def _members(
        self, line: LineItem, targeting: Targeting, chosen: tuple[int, ...], which: int
    ) -> dict[str, tuple[str, ...]]:
        """New values of the members that the chosen lists change: those that allow (`which` 0) or deny (1)."""
        allows = which == 0
        found = [self._lists.get(number) for number in chosen]
        usable = [each for each in found if each is not None and each.advertiser_id in (None, line.advertiser_id)]
        members = {MEMBERS[each.kind][which]: () for each in usable}
        if allows and len(usable) < len(found):
            # The kind of a missing list is no longer known: it allowed some places, so now none is allowed.
            members.setdefault("domains_allow", ())
        return {member: self._values(member, getattr(targeting, member), usable, allows) for member in members}

    def _values(self, member: str, own: tuple[str, ...], usable: list[InventoryList], allows: bool) -> tuple[str, ...]:
        lists = [each for each in usable if member in MEMBERS[each.kind]]
        key = (member, tuple(each.id for each in lists), own)
        values = self._known.get(key)
        if values is None:
            merged = dict.fromkeys((*own, *(value for each in lists for value in each.values)))
            if allows and not merged:
                merged[NOTHING] = None
            values = self._known[key] = tuple(merged)
        return values
