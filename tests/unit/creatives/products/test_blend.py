"""The blend learns what a shop's visitors do next, and is better than each of its parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creatives.products.blend import DEFAULT_SHARES, LENGTHS, RULES_OF, SHARES
from creatives.products.learning import fit_blend
from creatives.products.sessions import ShopSessions, make_sessions

NONE = make_sessions([], [])


def log_of(*sessions: list[int]) -> ShopSessions:
    return make_sessions(list(sessions), [float(number) for number in range(len(sessions))])


def returning(share: float, seed: int, count: int = 800) -> ShopSessions:
    """Visits in which each next product is an earlier one with probability `share`, otherwise the next number."""
    chance = np.random.default_rng(seed)
    sessions = []
    for _ in range(count):
        session = [int(chance.integers(40))]
        for _ in range(5):
            again = chance.random() < share and len(session) > 1
            session.append(session[int(chance.integers(len(session) - 1))] if again else (session[-1] + 1) % 40)
        sessions.append(session)
    return log_of(*sessions)


def test_what_follows_often_is_next() -> None:
    blend = fit_blend(log_of(*([0, 1, 2],) * 30, *([0, 3],) * 5), NONE, 5)
    assert blend.rank([0], 3).numbers.tolist()[:2] == [1, 2] or blend.rank([0], 3).numbers.tolist()[0] == 1
    assert 4 not in blend.rank([0], 10).numbers


def test_what_was_seen_stays_a_candidate() -> None:
    blend = fit_blend(returning(0.3, 1), NONE, 40)
    ranked = blend.rank([7, 8, 9], 20).numbers.tolist()
    assert 10 in ranked[:3]
    assert {7, 8} <= set(ranked)


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_the_share_of_returns_is_that_of_the_shop(share: float) -> None:
    blend = fit_blend(returning(share, 2), NONE, 40)
    returns = blend.shares[LENGTHS - 1, 2 * RULES_OF : SHARES - 1].sum()
    assert (returns < 0.05) if share == 0 else (returns > 0.2)
    assert np.allclose(blend.shares.sum(axis=1), 1)


def test_a_shop_with_few_visits_has_the_usual_shares() -> None:
    blend = fit_blend(log_of([0, 1], [1, 2]), NONE, 3)
    assert np.allclose(blend.shares[0], DEFAULT_SHARES)
    assert fit_blend(NONE, NONE, 3).rank([1], 5).numbers.tolist() == [1]
    assert not len(fit_blend(NONE, NONE, 0).rank([], 5).numbers)


def test_default_shares_are_shares() -> None:
    assert len(DEFAULT_SHARES) == SHARES
    assert sum(DEFAULT_SHARES) == pytest.approx(1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=8), min_size=1, max_size=30),
    st.lists(st.integers(0, 9), min_size=1, max_size=8),
    st.integers(1, 12),
)
def test_a_ranking_is_sorted_without_repetition_and_a_part_of_a_longer_one(
    sessions: list[list[int]], seen: list[int], count: int
) -> None:
    blend = fit_blend(log_of(*sessions), NONE, 10)
    ranking, longer = blend.rank(seen, count), blend.rank(seen, 100)
    numbers = ranking.numbers.tolist()
    assert len(set(numbers)) == len(numbers)
    assert numbers == longer.numbers.tolist()[: len(numbers)]
    assert (np.diff(ranking.scores) <= 0).all()
    assert set(seen[-1:]) <= set(longer.numbers.tolist())
    assert blend.rank(seen, count).numbers.tolist() == numbers
