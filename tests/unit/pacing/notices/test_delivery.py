from core.clock import ManualClock
from pacing.notices.delivery import (
    CLICKS,
    FIVE_MINUTES_S,
    HOUR_S,
    WINS,
    DeliveryCounts,
    buckets_until,
    delivery_by_line_item,
)

NOW_S = 1_790_000_000


def counts_at(clock: ManualClock) -> DeliveryCounts:
    return DeliveryCounts(clock)


def test_what_happens_is_counted_in_the_present_bucket_of_each_length() -> None:
    counts = counts_at(ManualClock(NOW_S * 1000))
    counts.add(7, WINS)
    counts.add(7, WINS, 2)
    counts.add(8, CLICKS)
    taken = counts.take_changed()
    assert set(taken) == {(FIVE_MINUTES_S, NOW_S // FIVE_MINUTES_S), (HOUR_S, NOW_S // HOUR_S)}
    for block in taken.values():
        assert delivery_by_line_item([block]) == {7: {WINS: 3}, 8: {CLICKS: 1}}


def test_only_changed_blocks_are_taken_and_they_are_whole() -> None:
    clock = ManualClock(NOW_S * 1000)
    counts = counts_at(clock)
    counts.add(7, WINS)
    counts.take_changed()
    assert counts.take_changed() == {}
    counts.add(7, WINS)
    assert [delivery_by_line_item([block]) for block in counts.take_changed().values()] == [{7: {WINS: 2}}] * 2


def test_a_bucket_that_is_over_is_written_once_more_and_forgotten() -> None:
    clock = ManualClock(NOW_S * 1000)
    counts = counts_at(clock)
    counts.add(7, WINS)
    clock.advance(HOUR_S)
    counts.add(7, CLICKS)
    taken = counts.take_changed()
    assert len(taken) == 4
    counts.add(7, CLICKS)
    assert [delivery_by_line_item([block]) for block in counts.take_changed().values()] == [{7: {CLICKS: 2}}] * 2


def test_blocks_of_several_processes_add_up() -> None:
    clock = ManualClock(NOW_S * 1000)
    blocks: list[bytes] = []
    for _ in range(3):
        counts = counts_at(clock)
        counts.add(7, WINS)
        counts.add(7, "loss.102", 2)
        blocks += counts.take_changed().values()
    assert delivery_by_line_item(blocks[::2]) == {7: {WINS: 3, "loss.102": 6}}


def test_an_hour_is_twelve_buckets_up_to_the_present_one() -> None:
    buckets = buckets_until(NOW_S, FIVE_MINUTES_S, 12)
    assert len(buckets) == 12
    assert buckets[-1] == NOW_S // FIVE_MINUTES_S
