"""Asking once: what a command opens, asks and closes again, in an event loop of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

Access = TypeVar("Access")
Answer = TypeVar("Answer")


def ask(opened: AbstractAsyncContextManager[Access], question: Callable[[Access], Awaitable[Answer]]) -> Answer:
    """The answer to a question about what `opened` gives, in an event loop of its own. Raises what either raises."""

    async def asked() -> Answer:
        async with opened as access:
            return await question(access)

    return asyncio.run(asked())
