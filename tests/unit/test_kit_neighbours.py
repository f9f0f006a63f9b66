import os
import time

from tests.kit.neighbours import Neighbours


def test_what_this_process_and_its_own_use_is_not_the_neighbours() -> None:
    watch = Neighbours([os.getppid()])
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    busy, ours, whole = (now - before for now, before in zip(watch._read(), watch._before, strict=True))
    assert ours >= 0.19
    assert busy <= whole + 1e-9  # sums of hundredths
    assert 0.0 <= watch.share() <= 1.0


def test_a_process_that_has_gone_used_nothing() -> None:
    assert 0.0 <= Neighbours([2**22 + 1]).share() <= 1.0
