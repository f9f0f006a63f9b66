"""Heavy work in a process of its own: a minute of computation and a hundred megabytes, which then go back.

A child ends with its parent, gives way to everybody who answers requests, and is told what to do over a pipe: addresses
of feeds and of Redis have passwords in them, so they are in no argument and no environment.
"""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from core.clock import Clock
from core.config import RedisSettings
from core.errors import ConflictError, GroszError, UnavailableError
from core.pools import background_pool

if TYPE_CHECKING:  # the client is imported where it is used: `grosz up` and most commands start children without it
    from core.redis.client import Pipelined

CHILD_NICENESS: Final = 10

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def in_child(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """What `function` returns in a new process; it and its arguments must be picklable.

    Errors of Grosz come back as UnavailableError with their text, ConflictError as itself. Raises UnavailableError if
    the process dies.
    """
    # A new process for each call: Python would keep the memory that the work took, and only the process's end frees it.
    executor = background_pool(CHILD_NICENESS)
    try:
        future = executor.submit(_called, function, arguments, named)
        result: Result = await asyncio.wrap_future(future)
        return result
    except concurrent.futures.process.BrokenProcessPool as error:
        raise UnavailableError(f"the process of {function.__name__} died", hint="it is tried again") from error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


@contextlib.asynccontextmanager
async def connected(redis: RedisSettings, clock: Clock) -> AsyncIterator["Pipelined"]:
    """A connection to Redis that the child process opens for itself: it cannot use its parent's."""
    from core.redis.opening import open_pipelined

    connection = await open_pipelined(redis, clock)
    try:
        yield connection
    finally:
        await connection.close()


def _called(function: Callable[..., Result], arguments: tuple[object, ...], named: dict[str, object]) -> Result:
    try:
        return function(*arguments, **named)
    except ConflictError as error:
        raise ConflictError(error.message) from None
    except GroszError as error:  # its other arguments would be lost on the way
        raise UnavailableError(error.message) from None
