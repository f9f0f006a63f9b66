"""A process beside this one for heavy work, which lets those that answer requests go first."""

import concurrent.futures
import multiprocessing
import os

from core.processes import prepare_child


def background_pool(niceness: int, most_tasks: int | None = None) -> concurrent.futures.ProcessPoolExecutor:
    """A pool of one process that starts with its first task, ends with its parent, and is replaced after `most_tasks`.

    By itself a pool's process does not notice that its parent was killed: it would wait for work for ever.
    """
    return concurrent.futures.ProcessPoolExecutor(
        1,
        multiprocessing.get_context("spawn"),
        initializer=prepare_child,
        initargs=(os.getpid(), niceness),
        max_tasks_per_child=most_tasks,
    )
