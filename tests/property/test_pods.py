"""A pod is filled as a search of all subsets fills it: by value, then to the second."""

import itertools
from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.decision.pods import MAX_CANDIDATES, MAX_ROOMS, Candidate, Room, fill

ROOMS = st.lists(
    st.builds(Room, seconds=st.integers(0, 180) | st.just(2**31), most=st.integers(1, 6)),
    min_size=1, max_size=MAX_ROOMS,
)  # fmt: skip
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        value=st.integers(0, 6).map(lambda units: units * 500_000),
        seconds=st.sampled_from((5, 6, 10, 15, 20, 30, 60)),
        keys=st.frozensets(st.sampled_from(("a", "b", "c", "d", "e")), max_size=2),
        room=st.integers(0, MAX_ROOMS - 1),
    ),
    max_size=10,
)


def worth(chosen: Sequence[Candidate]) -> tuple[int, int]:
    return sum(each.value for each in chosen), sum(each.seconds for each in chosen)


def is_allowed(chosen: Sequence[Candidate], rooms: Sequence[Room]) -> bool:
    keys = [key for each in chosen for key in each.keys]
    own = [[each for each in chosen if each.room == number] for number in range(len(rooms))]
    return len(keys) == len(set(keys)) and all(
        len(some) <= room.most and worth(some)[1] <= room.seconds for some, room in zip(own, rooms, strict=True)
    )


def oracle(candidates: Sequence[Candidate], rooms: Sequence[Room], most: int) -> tuple[int, int]:
    """The best value, and with it the most seconds, of all subsets."""
    sensible = [each for each in candidates if each.value > 0]
    return max(worth(chosen) for chosen in _subsets(sensible, most) if is_allowed(chosen, rooms))


def _subsets(candidates: Sequence[Candidate], most: int) -> Iterator[tuple[Candidate, ...]]:
    for size in range(min(most, len(candidates)) + 1):
        yield from itertools.combinations(candidates, size)


@settings(max_examples=200, deadline=None)
@given(candidates=CANDIDATES, rooms=ROOMS, most=st.integers(1, 6))
def test_a_pod_is_filled_as_the_best_of_all_subsets(candidates: list[Candidate], rooms: list[Room], most: int) -> None:
    candidates = [each._replace(room=each.room % len(rooms)) for each in candidates]
    found = fill(candidates, rooms, most)
    chosen = tuple(candidates[at] for at in found)
    assert len(set(found)) == len(found) <= most
    assert is_allowed(chosen, rooms)
    assert worth(chosen) == oracle(candidates, rooms, most)


def test_many_candidates_are_cut_to_the_dearest() -> None:
    candidates = [Candidate(number, 10, frozenset((str(number),))) for number in range(1, 200)]
    assert sorted(candidates[at].value for at in fill(candidates, [Room(60, 6)], 6)) == list(range(194, 200))
    assert len(candidates) > MAX_CANDIDATES
