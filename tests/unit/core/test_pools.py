import os

from core.pools import background_pool


def test_a_pool_s_child_leads_a_session_that_gives_way() -> None:
    with background_pool(7) as pool:
        child = pool.submit(os.getpid).result()
        assert pool.submit(os.getsid, 0).result() == child
        niceness = pool.submit(os.getpriority, os.PRIO_PROCESS, 0).result()
    assert niceness == max(7, os.getpriority(os.PRIO_PROCESS, 0))
