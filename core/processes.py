"""What the kernel can do for a parent and its children: a child must never outlive the process that answers for it.

An embedded Redis left behind by a killed `grosz up` would hold the data directory, and a left-behind bidder would keep
its port and its leases. Linux can signal a child at its parent's death (PR_SET_PDEATHSIG); elsewhere children that are
Python watch `os.getppid()`, and the embedded server is adopted by the next start (core.redis.embedded).
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable

# <linux/prctl.h>
PR_SET_PDEATHSIG = 1

# The environment variable with the number of the pipe on which a supervised child says that it can serve.
READY_PIPE = "GROSZ_READY_PIPE"

# What a process has between SIGTERM and SIGKILL; container runtimes grant as much by default.
DRAIN_TIMEOUT_S = 10.0

# Whatever a role writes (catalogue, ledger, logs of events, the embedded server's data) is for its own user alone.
PRIVATE_UMASK = 0o077

# The exit code of children whose parent was gone before they could ask the kernel to be told of its death.
EXIT_ORPHANED = 3


def die_with_parent(signal_number: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """A `preexec_fn` for subprocess: the child gets `signal_number` when its parent dies. Does nothing off Linux.

    The kernel watches the parent's *thread* that forked, so fork from a thread that lives as long as the process.
    Everything is looked up here, in the parent: between fork and exec the child only makes two system calls.
    """
    parent = os.getpid()
    if sys.platform != "linux":
        return _nothing
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    number = ctypes.c_ulong(int(signal_number))

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before prctl: no signal will come
            os._exit(EXIT_ORPHANED)

    return in_child


def end_with_parent(parent: int) -> None:
    """The same for a child of multiprocessing, which calls this itself: it ends when process `parent` does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(int(signal.SIGKILL)), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(EXIT_ORPHANED)


def _nothing() -> None:
    """The `preexec_fn` off Linux, which has no signal for a parent's death."""


def give_way(pid: int, niceness: int) -> bool:
    """Lower the priority of a process that was just started and leads a session; False: try again in 0.1 s.

    Where Linux groups processes by session (autogroups, sched(7)), niceness counts only within a session, so that of
    the session is set, too; a user other than root may set only a few of these a second. Without it a bidder waited up
    to 0.25 s for its own compiling child and for the worker. A process that has ended is left alone.
    """
    if not niceness:
        return True
    try:
        present = os.getpriority(os.PRIO_PROCESS, pid)
        os.setpriority(os.PRIO_PROCESS, pid, max(present, niceness))
        with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as autogroup:
            autogroup.write(str(niceness))
    except BlockingIOError:
        return False
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        # Kernels without autogroups have no such file, and some containers let nobody write to it: nothing is left to
        # do.
        pass
    return True


def prepare_child(parent: int, niceness: int) -> None:
    """What a pool's process does first: end with its parent, and take a lower priority than others.

    It stands here because a pool's process imports the module of its initializer before it calls it: numpy and the
    compiler would take a second of processor time from processes that answer requests.
    """
    end_with_parent(parent)
    os.setsid()  # Linux sets priorities by session: in its parent's, the child would slow down its parent, too
    while not give_way(os.getpid(), niceness):
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    """Whether a process with this id exists and has not yet ended (a zombie has)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            # "pid (name) state ...": the name may hold anything, so look behind its last bracket.
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):  # no /proc (not Linux), or it ended meanwhile; os.kill has said it exists
        return False
