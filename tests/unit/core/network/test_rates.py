from core.clock import ManualClock
from core.network.rates import MinuteRate


def test_a_key_asks_so_often_a_minute_and_waits_for_the_rest_of_it() -> None:
    clock = ManualClock()
    rate = MinuteRate(2, clock.monotonic)
    assert [rate.wait_s("a") for _ in range(2)] == [0, 0]
    clock.advance(20)
    assert rate.wait_s("a") == 40
    assert rate.wait_s("b") == 0
    clock.advance(40)
    assert rate.wait_s("a") == 0


def test_memory_is_bounded() -> None:
    clock = ManualClock()
    rate = MinuteRate(1, clock.monotonic, keys=3)
    for number in range(10):
        assert rate.wait_s(str(number)) == 0
    assert rate.wait_s("9") > 0
