"""Calls to addresses that advertisers configure, made so that they cannot be turned against our own network.

Which addresses may be reached is decided when a connection is made (core.network.outgoing). Redirects are not followed.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver

from core.network.outgoing import check_url, guarded_connector

# A receiver that queues answers in milliseconds; one that works first should not hold a sender for long.
TIMEOUT_S: Final = 10


class Caller:
    """One HTTP session for outgoing calls; enter it in the running loop."""

    def __init__(self, *, allow_private: bool = False, resolver: AbstractResolver | None = None) -> None:
        self._allow_private = allow_private
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Caller":
        self._session = aiohttp.ClientSession(
            connector=guarded_connector(allow_private=self._allow_private, resolver=self._resolver),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> str:
        """'' when the receiver answered 2xx, otherwise why not. The answer's body is not read."""
        fault = check_url(url, allow_private=self._allow_private)
        if fault is not None:
            return fault.message
        if self._session is None:
            raise RuntimeError("enter the caller with `async with` first")
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return "" if 200 <= answer.status < 300 else f"answered {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
