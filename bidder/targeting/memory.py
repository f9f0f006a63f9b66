"""One budget of bytes for everything that a snapshot remembers: answers of fields, positions, prices, creatives.

What is remembered is chosen by senders: each memo alone could grow as large as all of them together may be. So a memo
says what it takes before it takes it, and where all of them together would hold more than the budget, those that hold
most forget everything. The bytes are estimates; tests/unit/bidder/targeting/test_memory.py holds them to what the
allocator measures. Not counted: sets that were counted and forgotten, until the funnel's next harvest (5 s).
"""

import abc
import weakref

import msgspec

# Beside a snapshot of 100,000 line items (about 330 MB with its arrays) this leaves a process well below 1 GiB. A day
# of real traffic at 10,000 line items fills a fifth of it.
MEMO_BYTES = 192 * 1024 * 1024

# A remembered answer beside its key and its set: an object, an entry of a table that is at most two thirds full.
ANSWER_BYTES = 200
# Of each text, number or tuple in a key, beside its characters or members.
OBJECT_BYTES = 56
_REFERENCE_BYTES = 8


def bytes_of(key: object) -> int:
    """The approximate memory of a key in bytes: a sender decides how long its texts and lists are.

    It runs for every answer that is remembered: the commonest types come first, and a loop costs less than a generator.
    """
    if isinstance(key, str):
        # Beyond Latin-1 a character takes two or four bytes; the wider is assumed.
        return OBJECT_BYTES + (len(key) if key.isascii() else 4 * len(key))
    if isinstance(key, tuple):
        size = OBJECT_BYTES + _REFERENCE_BYTES * len(key)
        for part in key:
            size += OBJECT_BYTES if part is None or type(part) is int else bytes_of(part)
        return size
    if isinstance(key, msgspec.Struct):
        return bytes_of(msgspec.structs.astuple(key))
    if isinstance(key, bytes):
        return OBJECT_BYTES + len(key)
    return OBJECT_BYTES + int(getattr(key, "nbytes", 0))  # an object that says how large it is


class Memo(abc.ABC):
    """Something that remembers, under a budget once it has joined one. `nbytes` is roughly how much it holds."""

    __slots__ = ("__weakref__", "_budget", "nbytes")

    def __init__(self) -> None:
        self.nbytes = 0
        self._budget: MemoryBudget | None = None

    def join(self, budget: "MemoryBudget") -> None:
        """Count for this budget from now on, with all that is held already."""
        if self._budget is not budget:
            if self._budget is not None:
                self._budget.leave(self)
            self._budget = budget
            budget.add(self)

    def take(self, size: int) -> None:
        """Announce that `size` bytes will be remembered; this or another memo may have to forget everything first."""
        budget = self._budget
        if budget is not None:
            budget.used += size
            if budget.used > budget.most:
                budget.make_room(size)
        self.nbytes += size

    @abc.abstractmethod
    def forget(self) -> None:
        """Forget everything, and set `nbytes` to 0. What was counted is kept."""


class MemoryBudget:
    """Bytes that the memos of a snapshot share. It refers to them weakly, so it neither keeps them nor makes cycles."""

    __slots__ = ("_memos", "most", "used")

    def __init__(self, most: int = MEMO_BYTES) -> None:
        self.most = most
        self.used = 0  # at least what is held: memos are freed without telling
        self._memos: weakref.WeakSet[Memo] = weakref.WeakSet()

    def add(self, memo: Memo) -> None:
        """See `Memo.join`."""
        self.spend(memo.nbytes)
        self._memos.add(memo)

    def leave(self, memo: Memo) -> None:
        """Stop counting a memo, which joins another budget."""
        self._memos.discard(memo)
        self.used -= memo.nbytes

    def reserve(self, size: int) -> None:
        """Take bytes out of the budget for good: for arrays that are as large as they will ever be."""
        self.most -= size

    def spend(self, size: int) -> None:
        """Count `size` bytes more; where that is too much, the memos that hold most forget everything."""
        self.used += size
        if self.used > self.most:
            self.make_room(size)

    def make_room(self, size: int) -> None:
        """Let the memos that hold most forget everything, until these `size` bytes, which no memo counts yet, fit."""
        self.used = size + sum(memo.nbytes for memo in self._memos)
        for memo in sorted(self._memos, key=lambda memo: memo.nbytes, reverse=True):
            if self.used <= self.most:
                break
            self.used -= memo.nbytes
            memo.forget()
