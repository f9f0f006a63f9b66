import os
import subprocess
import sys
import time
from pathlib import Path

from core.processes import die_with_parent, give_way, is_alive
from tests.kit.fixtures import REPOSITORY

PARENT = """
import subprocess, sys
from core.processes import die_with_parent
child = subprocess.Popen(["sleep", "60"], preexec_fn=die_with_parent())
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_running_process_is_alive_and_an_ended_one_is_not() -> None:
    assert is_alive(os.getpid())
    with subprocess.Popen(["sleep", "60"]) as child:
        assert is_alive(child.pid)
        child.kill()
        child.wait()
        assert not is_alive(child.pid)


def test_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(child.pid)
    assert child.wait() == 0


def test_child_of_a_killed_parent_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    while is_alive(child):  # the test's timeout is the bound
        pass


POOL_PARENT = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from core.processes import end_with_parent
if __name__ == "__main__":
    pool = ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), initializer=end_with_parent, initargs=(os.getpid(),)
    )
    print(pool.submit(os.getpid).result(), flush=True)
    sys.stdin.read()
"""


def test_a_pool_s_child_of_a_killed_parent_ends(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(POOL_PARENT)
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    while is_alive(child):  # the test's timeout is the bound
        pass


def test_preexec_function_does_not_disturb_a_normal_child() -> None:
    assert subprocess.run(["true"], preexec_fn=die_with_parent(), check=False).returncode == 0


def test_a_session_gives_way_as_a_whole() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        while not give_way(child.pid, 5):
            time.sleep(0.1)
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == max(5, os.getpriority(os.PRIO_PROCESS, 0))
        autogroup = Path(f"/proc/{child.pid}/autogroup")
        assert not autogroup.exists() or autogroup.read_text().endswith("nice 5\n")
        child.kill()
        child.wait()
        assert give_way(child.pid, 5), "a process that has ended is left alone"


LIGHT = """
import sys
import core.processes
print(sorted({"asyncio", "bidder", "creatives", "msgspec", "numpy"} & set(sys.modules)))
"""


def test_what_lets_others_go_first_imports_nothing_heavy() -> None:
    """A pool's process imports the module of its initializer before it has lowered its priority."""
    command = [sys.executable, "-c", LIGHT]
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout == "[]\n"


def test_who_is_as_important_as_others_is_left_alone() -> None:
    before = os.getpriority(os.PRIO_PROCESS, os.getpid())
    assert give_way(os.getpid(), 0)
    assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == before
