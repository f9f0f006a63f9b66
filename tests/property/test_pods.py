"""A pod is filled as a search of all subsets fills it: by value, then to the second."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.decision.pods import MAX_CANDIDATES, Candidate, fill

CANDIDATES = st.lists(
    st.builds(
        Candidate,
        value=st.integers(0, 6).map(lambda units: units * 500_000),
        seconds=st.sampled_from((5, 6, 10, 15, 20, 30, 60)),
        keys=st.frozensets(st.sampled_from(("a", "b", "c", "d", "e")), max_size=2),
    ),
    max_size=11,
)


def worth(chosen: tuple[Candidate, ...]) -> tuple[int, int]:
    return sum(each.value for each in chosen), sum(each.seconds for each in chosen)


def is_allowed(chosen: tuple[Candidate, ...], seconds: int) -> bool:
    keys = [key for each in chosen for key in each.keys]
    return len(keys) == len(set(keys)) and sum(each.seconds for each in chosen) <= seconds


def oracle(candidates: list[Candidate], seconds: int, most: int) -> tuple[int, int]:
    """The best value, and with it the most seconds, of all subsets."""
    sensible = [each for each in candidates if each.value > 0]
    return max(
        worth(chosen)
        for size in range(min(most, len(sensible)) + 1)
        for chosen in itertools.combinations(sensible, size)
        if is_allowed(chosen, seconds)
    )


@settings(max_examples=400, deadline=None)
@given(candidates=CANDIDATES, seconds=st.integers(0, 180), most=st.integers(1, 6))
def test_a_pod_is_filled_as_the_best_of_all_subsets(candidates: list[Candidate], seconds: int, most: int) -> None:
    found = fill(candidates, seconds, most)
    chosen = tuple(candidates[at] for at in found)
    assert len(set(found)) == len(found) <= most
    assert is_allowed(chosen, seconds)
    assert worth(chosen) == oracle(candidates, seconds, most)


def test_many_candidates_are_cut_to_the_dearest() -> None:
    candidates = [Candidate(number, 10, frozenset((str(number),))) for number in range(1, 200)]
    assert sorted(candidates[at].value for at in fill(candidates, 60, 6)) == list(range(194, 200))
    assert len(candidates) > MAX_CANDIDATES
