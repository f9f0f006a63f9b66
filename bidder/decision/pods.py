"""Filling a pod, a commercial break: which spots bring most in its seconds, none beside its rival.

A pod is one room that takes several spots (dynamic), several rooms that take one each (structured), or both (hybrid).
Exact, by branch and bound: pods have a handful of ads, and only the best few candidates are looked at. What it
finds is held against a search of all subsets in tests/property/test_pods.py.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

# Candidates of one room that are looked at, the dearest first. A pod has up to six ads; with separation the next best
# of another advertiser is nearly always among so many.
MAX_CANDIDATES: Final = 24

# Rooms of one pod that are filled together, the first of the request: breaks have two to five.
MAX_ROOMS: Final = 6

# Steps of one search. 1,500 random pods of six ads and 24 candidates took up to 2,011; when they are used up, the best
# so far is taken.
MAX_STEPS: Final = 20_000


class Candidate(NamedTuple):
    """A spot that may be sent. Two that share a key must not be in the same pod."""

    value: int
    seconds: int
    keys: frozenset[str]
    room: int = 0
    """Which of the pod's rooms it would be in: a spot that fits into two is two candidates."""


class Room(NamedTuple):
    """A place for spots: one impression of the protocol."""

    seconds: int
    most: int


def fill(candidates: Sequence[Candidate], rooms: Sequence[Room], most: int) -> tuple[int, ...]:
    """Indices of at most `most` candidates that together bring most in `rooms`; of equal sums, those that fill more."""
    looked_at = Counter[int]()
    order = list[int]()
    for at in sorted(
        (at for at, each in enumerate(candidates) if each.value > 0 and each.seconds <= rooms[each.room].seconds),
        key=lambda at: (-candidates[at].value, candidates[at].seconds, at),
    ):
        room = candidates[at].room
        if looked_at[room] < MAX_CANDIDATES:
            looked_at[room] += 1
            order.append(at)
    return _PodSearch([candidates[at] for at in order], rooms, most).best(order)


class _PodSearch:
    """One search, over candidates by falling value."""

    def __init__(self, candidates: list[Candidate], rooms: Sequence[Room], most: int) -> None:
        self._candidates = candidates
        self._seconds = [room.seconds for room in rooms]  # left in each room
        self._ads = [room.most for room in rooms]
        self._most = min(most, sum(self._ads))
        self._longest = [
            max((c.seconds for c in candidates if c.room == room), default=0) for room in range(len(rooms))
        ]
        self._steps = 0
        self._found: tuple[int, int, tuple[int, ...]] = (0, 0, ())  # value, seconds, which
        self._of_all = self._best_of_groups()
        self._of_room = [self._best_of_room(room, min(self._ads[room], self._most)) for room in range(len(rooms))]

    def best(self, names: Sequence[int]) -> tuple[int, ...]:
        self._extend(0, (), 0, 0, frozenset())
        return tuple(names[at] for at in self._found[2])

    def _best_of_groups(self) -> list[list[int]]:
        """By candidate, the most that 0, 1, 2, ... candidates from it on can bring, with one of each group at most.

        A candidate's group is the key of its own that most others share. By one key alone the sum stays an upper bound.
        """
        shared = Counter(key for each in self._candidates for key in each.keys)
        best: list[tuple[str, int]] = []  # group, value
        sums = [[0] * (self._most + 1)]
        for at in range(len(self._candidates) - 1, -1, -1):
            each = self._candidates[at]
            group = max(each.keys, key=lambda key: (shared[key], key), default=f"/{at}")
            best = [(group, each.value), *(other for other in best if other[0] != group)][: self._most]
            sums.append(_sums([value for _group, value in best], self._most))
        return sums[::-1]

    def _best_of_room(self, room: int, most: int) -> list[list[int]]:
        """The same for the candidates of one room, without groups."""
        best = list[int]()
        sums = [[0] * (most + 1)]
        for each in reversed(self._candidates):
            if each.room == room:
                best = [each.value, *best][:most]
            sums.append(_sums(best, most))
        return sums[::-1]

    def _extend(self, start: int, taken: tuple[int, ...], value: int, filled: int, keys: frozenset[str]) -> None:
        if (value, filled) > self._found[:2]:
            self._found = (value, filled, taken)
        for at in self._promising(start, self._most - len(taken), value, filled):
            self._steps += 1
            if self._steps > MAX_STEPS:
                return
            each = self._candidates[at]
            room = each.room
            if self._ads[room] and each.seconds <= self._seconds[room] and keys.isdisjoint(each.keys):
                self._ads[room] -= 1
                self._seconds[room] -= each.seconds
                self._extend(at + 1, (*taken, at), value + each.value, filled + each.seconds, keys | each.keys)
                self._ads[room] += 1
                self._seconds[room] += each.seconds

    def _promising(self, start: int, left: int, value: int, filled: int) -> Iterator[int]:
        """Candidates from `start` on, as long as the best `left` from there could still surpass what was found."""
        if left <= 0:
            return
        rooms = range(len(self._ads))
        most_filled = filled + sum(min(self._seconds[at], self._ads[at] * self._longest[at]) for at in rooms)
        for at in range(start, len(self._candidates)):
            by_room = sum(self._of_room[room][at][min(self._ads[room], self._most)] for room in rooms)
            bound = value + min(self._of_all[at][left], by_room)
            if (bound, most_filled) <= self._found[:2]:
                return
            yield at


def _sums(values: Sequence[int], most: int) -> list[int]:
    """The sums of the first 0, 1, 2, ... `most` values."""
    sums = [0]
    for number in range(most):
        sums.append(sums[-1] + (values[number] if number < len(values) else 0))
    return sums
