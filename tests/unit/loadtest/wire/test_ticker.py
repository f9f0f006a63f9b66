import pytest

from loadtest.wire import ticker
from loadtest.wire.ticker import Ticker
from tests.kit.fake_bidder import until


@pytest.mark.parametrize("has_timer", [True, False])
async def test_it_ticks_until_it_is_closed(monkeypatch: pytest.MonkeyPatch, has_timer: bool) -> None:
    if not has_timer:
        monkeypatch.setattr(ticker, "_open_timer", lambda _: None)
    ticks: list[int] = []
    running = Ticker(lambda: ticks.append(1))
    await until(lambda: len(ticks) >= 5)
    running.close()
    seen = len(ticks)
    for _ in range(20):
        await until(lambda: True)
    assert len(ticks) == seen
