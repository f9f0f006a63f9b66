import msgspec
from hypothesis import given
from hypothesis import strategies as st

from admin.reviews.states import (
    LONGEST_RETRY_MS,
    REFUSED_RETRY_MS,
    RENEW_MS,
    Decision,
    Review,
    ReviewState,
    asked_again,
    begun,
    decided,
    failed,
    set_by_hand,
)

DECISIONS = st.builds(Decision, st.just("7-1"), st.sampled_from(ReviewState), st.sampled_from(("", "no")))
STEPS = st.one_of(
    st.tuples(st.just("decided"), DECISIONS),
    st.tuples(st.just("failed"), st.booleans()),
    st.tuples(st.just("asked_again"), st.none()),
    st.tuples(st.just("set_by_hand"), st.sampled_from(ReviewState)),
)


def after(review: Review, name: str, value: object, now_ms: int) -> Review:
    if isinstance(value, Decision):
        return decided(review, value, now_ms)
    if name == "failed":
        return failed(review, "away", now_ms, refused=bool(value))
    if isinstance(value, ReviewState):
        return set_by_hand(review, value, "told", now_ms)
    return asked_again(review, now_ms)


@given(st.lists(STEPS, max_size=30))
def test_whatever_happens_a_review_keeps_to_its_rules(steps: list[tuple[str, object]]) -> None:
    review = begun(7, 2, 1, 1, 0)
    for number, (name, value) in enumerate(steps, 1):
        before, now_ms = review, number * 1_000
        review = after(before, name, value, now_ms)
        assert (review.changed_ms == now_ms) == (review.state is not before.state)
        assert (review.attempts > 0) == bool(review.problem)
        if review.problem:
            assert review.due_ms is not None
            assert now_ms < review.due_ms <= now_ms + REFUSED_RETRY_MS
        assert (review.creative_id, review.exchange_id, review.creative_version) == (7, 2, 1)
        if name in ("failed", "asked_again"):  # only the exchange, or a person in its name, decides
            assert review.state is before.state


def test_a_decision_needs_no_more_calls_but_an_expired_one_is_renewed() -> None:
    review = begun(7, 2, 1, 1, 0)
    assert decided(review, Decision("7-1", ReviewState.APPROVED), 5).due_ms is None
    assert decided(review, Decision("7-1", ReviewState.EXPIRED), 5).due_ms == 5 + RENEW_MS


def test_failures_are_tried_again_ever_more_rarely() -> None:
    review, pauses = begun(7, 2, 1, 1, 0), []
    for _ in range(12):
        review = failed(review, "away", 0, refused=False)
        pauses.append(review.due_ms)
    assert pauses[:4] == [1_000, 2_000, 4_000, 8_000]
    assert pauses[-1] == LONGEST_RETRY_MS
    assert msgspec.structs.replace(asked_again(review, 9), due_ms=0) == begun(7, 2, 1, 1, 0)
