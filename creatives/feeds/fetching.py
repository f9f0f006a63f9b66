"""Fetching a feed from an address that somebody else chose: bounded in every respect, to public addresses only.

The body goes to an unnamed file as it comes, packed or not; reading it begins when it has arrived whole.
"""

import asyncio
import base64
import re
import tempfile
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from core.network.outgoing import check_url, guarded_connector
from core.version import VERSION
from creatives.feeds.faults import FeedError
from creatives.feeds.unpacking import CHUNK_BYTES

MAX_REDIRECTS: Final = 5
# Of the feed as it comes over the wire, packed or not. A million products are 100 MB packed and 1.5 GB as plain XML.
MAX_BYTES: Final = 2 * 1024**3
# Shops make large feeds while they are asked: minutes until the first byte, then steadily.
TOTAL_S: Final = 1_800
CONNECT_S: Final = 15
SILENCE_S: Final = 180
PORTS: Final = frozenset({None, 80, 443})

_SECRET_NAME: Final = re.compile(r"key|token|secret|pass|pwd|auth|sig|hash|credential|session|access", re.IGNORECASE)
# A long run of letters and digits in a path is a key: /feeds/9f8e7d6c5b4a39281706f5e4d3c2b1a0.xml
_SECRET_PART: Final = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9_-]{20,}(?![A-Za-z0-9])"
)
_MASK: Final = "***"
_GONE: Final = frozenset({301, 302, 303, 307, 308})


class Validators(msgspec.Struct, frozen=True):
    """What the server said of the version that is loaded; sent back so that it may answer "not modified"."""

    etag: str = ""
    last_modified: str = ""


class Fetched(msgspec.Struct, frozen=True):
    """A feed that arrived whole. `file` is positioned at its beginning; None: the server says "not modified"."""

    file: IO[bytes] | None
    validators: Validators
    charset: str = ""
    modified_ms: int = 0  # Last-Modified; 0: not told
    size: int = 0


def mask_url(url: str) -> str:
    """The address for people's eyes: without password, keys in the query, and key-like parts of the path.

    An address without any of these comes back as it is, and so does one that is masked already.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return _MASK
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{_MASK}@{host}" if "@" in parts.netloc else parts.netloc
    pieces = [_masked_piece(piece) for piece in parts.query.split("&")]
    path = _SECRET_PART.sub(_MASK, parts.path)
    return urlunsplit((parts.scheme, netloc, path, "&".join(pieces), parts.fragment))


def _masked_piece(piece: str) -> str:
    """One `name=value` of a query."""
    name, equals, value = piece.partition("=")
    if not equals:
        return _SECRET_PART.sub(_MASK, name)
    is_secret = _SECRET_NAME.search(name) or _SECRET_PART.search(unquote(value))
    return f"{name}={_MASK}" if is_secret and value else piece


class FeedFetcher:
    """Fetches feeds, each over a guarded connector of its own (core.network)."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        directory: Path | None = None,
        max_bytes: int = MAX_BYTES,
        total_s: float = TOTAL_S,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """`allow_private`, for tests and shops beside the bidder, admits any address. `directory` takes the files."""
        self._allow_private = allow_private
        self._directory = directory
        self._max_bytes = max_bytes
        self._timeout = aiohttp.ClientTimeout(total=total_s, connect=CONNECT_S, sock_read=min(SILENCE_S, total_s))
        self._resolver = resolver

    async def fetch(self, url: str, known: Validators) -> Fetched:
        """The feed at `url`. Raises FeedError, whose text shows the address masked, for everything that can fail."""
        connector = guarded_connector(allow_private=self._allow_private, resolver=self._resolver)
        try:
            async with aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                requote_redirect_url=False,
            ) as session:
                return await self._follow(session, url, known)
        except FeedError:  # it is a ValueError, which is caught below
            raise
        except TimeoutError:
            raise FeedError("timeout", f"{mask_url(url)} did not answer in time") from None
        except aiohttp.ClientPayloadError:
            raise FeedError("truncated", f"{mask_url(url)} broke off before its end") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FeedError("unreachable", f"{mask_url(url)} cannot be fetched: {_reason(error)}") from None

    async def _follow(self, session: aiohttp.ClientSession, url: str, known: Validators) -> Fetched:
        self._checked(url)
        origin = urlsplit(url).netloc
        for _ in range(MAX_REDIRECTS + 1):
            plain, authorization = self._checked(url)
            headers = _headers(known, authorization if urlsplit(url).netloc == origin else "")
            async with session.get(plain, headers=headers, allow_redirects=False) as answer:
                if answer.status not in _GONE:
                    return await self._take(answer, url)
                target = answer.headers.get("Location", "")
            if not target:
                raise FeedError("unreachable", f"{mask_url(url)} redirects to nowhere")
            try:
                url = urljoin(plain, target)
            except ValueError:
                raise FeedError("unreachable", f"{mask_url(plain)} redirects to what is no address") from None
        raise FeedError("redirects", f"more than {MAX_REDIRECTS} redirects")

    def _checked(self, url: str) -> tuple[str, str]:
        """The address without user name and password, and the Authorization header they make."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise FeedError("address", "the feed's address is not a URL") from None
        plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
        fault = check_url(plain, allow_private=self._allow_private, schemes=("https", "http"))
        if fault is not None:
            raise FeedError("address", f"{mask_url(url)} may not be fetched: {fault.message}", hint=fault.hint)
        if port not in PORTS and not self._allow_private:
            raise FeedError("address", f"{mask_url(url)} may not be fetched: only ports 80 and 443 are")
        if "@" not in parts.netloc:
            return plain, ""
        user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        return plain, f"Basic {base64.b64encode(user.encode()).decode()}"

    async def _take(self, answer: aiohttp.ClientResponse, url: str) -> Fetched:
        validators = Validators(answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", ""))
        if answer.status == 304:
            return Fetched(None, validators)
        if answer.status != 200:
            hint = "check user name, password or key in the address" if answer.status in (401, 403) else ""
            raise FeedError("status", f"{mask_url(url)} answered {answer.status}", hint=hint)
        if answer.content_length is not None and answer.content_length > self._max_bytes:
            raise self._too_large()
        file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - the reader closes it
        try:
            size = 0
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                size += len(chunk)
                if size > self._max_bytes:
                    raise self._too_large()
                file.write(chunk)
                if size % (64 * CHUNK_BYTES) < len(chunk):
                    await asyncio.sleep(0)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return Fetched(file, validators, answer.charset or "", _unix_ms(validators.last_modified), size)

    def _too_large(self) -> FeedError:
        return FeedError("too_large", f"the feed is larger than {self._max_bytes // 1024**2} MiB")


def _headers(known: Validators, authorization: str) -> dict[str, str]:
    headers = {"User-Agent": f"Grosz/{VERSION} (product feed)", "Accept-Encoding": "gzip, identity", "Accept": "*/*"}
    if known.etag:
        headers["If-None-Match"] = known.etag
    if known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    if authorization:
        headers["Authorization"] = authorization
    return headers


def _unix_ms(http_date: str) -> int:
    try:
        return max(0, int(parsedate_to_datetime(http_date).timestamp() * 1000))
    except (ValueError, TypeError):
        return 0


def _reason(error: BaseException) -> str:
    """Why fetching failed, without addresses in it: aiohttp's texts repeat the URL."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error.strerror or error.os_error)
    if isinstance(error, OSError):
        return str(error.strerror or error)
    return type(error).__name__
