"""Calls of one exchange's Ad Management API."""

import urllib.parse
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import msgspec

from admin.reviews.adcom import AdCollection, AuditedAd, Json, read_ads
from core.errors import InputError, UnavailableError
from core.model import Exchange
from core.network.bodies import read_answer

TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
# A poll that finds more reads on in the next one.
MAX_PAGES: Final = 20

# Statuses below 500 that say nothing about what was sent (RFC 9110; RFC 6585): later it may be taken.
_LATER: Final = frozenset({401, 403, 404, 408, 425, 429})


class ReviewClient:
    """Speaks with the service at `exchange.review_url`, over a session that others share."""

    def __init__(self, exchange: Exchange, session: aiohttp.ClientSession) -> None:
        self._base = exchange.review_url.rstrip("/")
        self._session = session
        self._headers = {"Accept": "application/json"}
        if exchange.review_token:
            self._headers["Authorization"] = f"Bearer {exchange.review_token}"

    async def submit(self, ad: Json) -> AuditedAd:
        """Send an ad. Raises UnavailableError, InputError where the service calls it wrong."""
        return _only(await self._call("POST", f"{self._base}/ads", ad))

    async def touch(self, reference: str, ad: Json) -> AuditedAd:
        """Send an ad again that the service knows, to be looked at anew. Raises as `submit`."""
        return _only(await self._call("PUT", f"{self._base}/ads/{urllib.parse.quote(reference, safe='')}", ad))

    async def changes(self, since_ms: int) -> AsyncIterator[AuditedAd]:
        """Ads whose audit was changed after a moment, the oldest first. Raises UnavailableError, InputError."""
        url = f"{self._base}/ads?auditStart={since_ms}"
        for _ in range(MAX_PAGES):
            found = await self._call("GET", url)
            for ad in found.ads:
                yield ad
            url = found.nextPage or ""
            # Another place than the service's own would be handed our token.
            if not found.more or not url.startswith(f"{self._base}/"):
                return

    async def _call(self, method: str, url: str, body: Json | None = None) -> AdCollection:
        try:
            async with self._session.request(
                method, url, json=body, headers=self._headers, timeout=TIMEOUT, allow_redirects=False
            ) as answer:
                content = await read_answer(answer.content, MAX_ANSWER_BYTES)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(
                f"the review service cannot be called: {str(error) or type(error).__name__}"
            ) from None
        if status < 300:
            return read_ads(content)
        text = f"the review service answered {status}: {content[:200].decode(errors='replace')}"
        raise (InputError if 400 <= status < 500 and status not in _LATER else UnavailableError)(text)


def _only(found: AdCollection) -> AuditedAd:
    if len(found.ads) != 1:
        raise UnavailableError(f"the review service answered with {len(found.ads)} ads instead of the one")
    return found.ads[0]


def session() -> aiohttp.ClientSession:
    """A session for calls to addresses that the operator has set."""
    return aiohttp.ClientSession(json_serialize=lambda value: msgspec.json.encode(value).decode())
