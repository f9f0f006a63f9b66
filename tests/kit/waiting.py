"""Waiting for what other processes bring about."""

import math
import time
from collections.abc import Callable
from typing import Any

PAUSE_S = 0.02


def wait_until(ask: Callable[[], Any], within_s: float = math.inf) -> Any:  # noqa: ANN401 - whatever is asked for
    """The first answer that is one. Without `within_s` the test's own timeout is the bound."""
    end = time.monotonic() + within_s
    while not (answer := ask()):
        assert time.monotonic() < end, f"nothing within {within_s} s"
        time.sleep(PAUSE_S)
    return answer
