import json
from pathlib import Path

import numpy as np
import pytest

from loadtest.exchange.landscape import log_normal, recorded


def test_the_best_of_several_log_normal_bids_has_their_median() -> None:
    landscape = log_normal(2.0, 0.5, bidders=1, silence=0.0, seed=1)
    prices = [landscape.best_competitor() for _ in range(20_000)]
    assert np.median(prices) == pytest.approx(200, rel=0.03)


def test_silent_competitors_leave_the_auction_to_us() -> None:
    landscape = log_normal(2.0, 0.5, bidders=2, silence=0.5, seed=1)
    prices = [landscape.best_competitor() for _ in range(20_000)]
    assert prices.count(0) / 20_000 == pytest.approx(0.25, abs=0.02)
    assert log_normal(2.0, 0.5, bidders=0, silence=0.0, seed=1).best_competitor() == 0


def test_recorded_prices_come_back_with_their_frequencies(tmp_path: Path) -> None:
    counts = [0] * 301
    counts[50], counts[200] = 3, 1
    (tmp_path / "histogram.json").write_text(json.dumps({"price_counter_train": counts}))
    landscape = recorded(tmp_path / "histogram.json", 2.0, seed=1)
    prices = [landscape.best_competitor() for _ in range(10_000)]
    assert set(prices) == {100, 400}
    assert prices.count(100) / 10_000 == pytest.approx(0.75, abs=0.02)


def test_a_file_without_a_histogram_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="no 'price_counter_train'"):
        recorded(tmp_path / "other.json", 1.0, seed=1)
