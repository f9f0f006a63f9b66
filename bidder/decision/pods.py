"""Filling a pod, a commercial break: which spots bring most in its seconds, none beside its rival.

Exact, by branch and bound: pods have a handful of ads, and only the best few candidates are looked at. What it
finds is held against a search of all subsets in tests/property/test_pods.py.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

# Candidates that are looked at, the dearest first. A pod has up to six ads; with separation the next best of
# another advertiser is nearly always among so many.
MAX_CANDIDATES: Final = 24

# Steps of one search. 1,500 random pods of six ads and 24 candidates took up to 2,011; where they end, the best
# so far is taken.
MAX_STEPS: Final = 20_000


class Candidate(NamedTuple):
    """A spot that may be sent. Two that share a key must not be in the same pod."""

    value: int
    seconds: int
    keys: frozenset[str]


def fill(candidates: Sequence[Candidate], seconds: int, most: int) -> tuple[int, ...]:
    """Indices of the candidates that bring most in `seconds`, `most` at most; of equal ones, those that fill more."""
    order = sorted(
        (at for at, each in enumerate(candidates) if each.seconds <= seconds and each.value > 0),
        key=lambda at: (-candidates[at].value, candidates[at].seconds, at),
    )[:MAX_CANDIDATES]
    return _PodSearch([candidates[at] for at in order], seconds, most).best(order)


class _PodSearch:
    """One search, over candidates by falling value."""

    def __init__(self, candidates: list[Candidate], seconds: int, most: int) -> None:
        self._candidates = candidates
        self._seconds = seconds
        self._most = most
        self._steps = 0
        self._found: tuple[int, int, tuple[int, ...]] = (0, 0, ())  # value, seconds, which

    def best(self, names: Sequence[int]) -> tuple[int, ...]:
        self._extend(0, (), 0, 0, frozenset())
        return tuple(names[at] for at in self._found[2])

    def _extend(self, start: int, taken: tuple[int, ...], value: int, filled: int, keys: frozenset[str]) -> None:
        if (value, filled) > self._found[:2]:
            self._found = (value, filled, taken)
        left = self._most - len(taken)
        if left <= 0:
            return
        for at in self._promising(start, left, value):
            self._steps += 1
            if self._steps > MAX_STEPS:
                return
            each = self._candidates[at]
            if filled + each.seconds <= self._seconds and keys.isdisjoint(each.keys):
                self._extend(at + 1, (*taken, at), value + each.value, filled + each.seconds, keys | each.keys)

    def _promising(self, start: int, left: int, value: int) -> Iterator[int]:
        """Candidates from `start` on, as long as the best `left` from there could still reach what was found."""
        for at in range(start, len(self._candidates)):
            bound = value + sum(each.value for each in self._candidates[at : at + left])
            if bound < self._found[0]:
                return
            yield at
