"""Windows that begin to count at one moment for everybody, although a pass of many minutes writes them.

Membership is a matter of clocks: a member while `enter <= now < leave`. So the pass cuts a profile's windows at the
moment, and lets the new ones begin there. No bid path has to know of it, and nothing is to be switched at the end.
"""

from collections.abc import Sequence, Set
from typing import Final

import msgspec

from segments.facts.layout import Window


class TakingOver(msgspec.Struct, frozen=True):
    """`at_s` (unix seconds): when new windows begin to count; until then the stored ones do. 0: at once.

    `put_off_s` are moments that were chosen earlier in the same pass and could not be kept: windows that end at one
    were cut there and go on, and windows that begin at one are dropped.
    """

    at_s: int = 0
    put_off_s: frozenset[int] = frozenset()

    def lies_ahead(self, now_s: int) -> bool:
        return self.at_s > now_s

    def before(self, stored: Sequence[Window]) -> list[Window]:
        """The stored windows as they were before they were cut at moments that are put off.

        Where a window that was cut would have ended by itself is not known any more: it goes on until `at_s`.
        """
        return [
            (segment, enter, self.at_s if leave in self.put_off_s else leave)
            for segment, enter, leave in stored
            if enter not in self.put_off_s
        ]

    def joined(self, before: Sequence[Window], new: Sequence[Window], kept: Set[int]) -> list[Window]:
        """All windows: until `at_s` the stored ones, `before`, of the segments in `kept`, from it on the `new` ones.

        A new window whose membership began with a stored one begins there, so that the two are one.
        """
        begun = {window[:2] for window in new if window[1] < self.at_s}
        old = [
            (segment, enter, min(leave, self.at_s))
            for segment, enter, leave in before
            if segment in kept and enter < self.at_s and (segment, enter) not in begun
        ]
        return sorted([*old, *new])


AT_ONCE: Final = TakingOver()
