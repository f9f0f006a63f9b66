"""Fetches the declared files, politely and within bounds: nothing but what somebody declared is ever asked for.

Addresses are guarded at the connection (core.network.outgoing), redirects are followed a few times and stay guarded,
`robots.txt` is obeyed (ads.txt 1.1 section 3.2), each host is asked by one connection at a time. A file that cannot be
had leaves the one before in the table until that is too old to count; one that is gone (404) is taken out.
"""

import asyncio
import urllib.robotparser
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from admin.supply.reading import FileKind, read_file
from bidder.targeting.shapes import Domain
from core.errors import Fault, InputError, UnavailableError
from core.network.outgoing import check_url, guarded_connector
from core.supply import SupplyFile
from core.version import VERSION

AGENT: Final = f"Grosz/{VERSION} (ads.txt)"
ROBOT: Final = "Grosz"
MAX_DOMAINS: Final = 50_000
AT_ONCE: Final = 16
MAX_REDIRECTS: Final = 5
MAX_ROBOTS_BYTES: Final = 512 * 1024
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=10, sock_read=15)
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_GONE: Final = frozenset({404, 410})
_CHUNK: Final = 65_536


class Declared(NamedTuple):
    """A file that is to be fetched: its domain and its kind."""

    kind: FileKind
    domain: str


class FetchedFile(NamedTuple):
    """What came of one: the file; None with an empty `problem` where the server has none."""

    declared: Declared
    file: SupplyFile | None
    problem: str = ""


def declared_in(lines: Iterable[str]) -> list[Declared]:
    """The files that a list names, one a line: `buty.example`, `app-ads.txt gry.example`. Raises InputError."""
    found: dict[Declared, None] = {}
    faults = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            kind = FileKind(words[0]) if len(words) == 2 else FileKind.ADS_TXT
            found[Declared(kind, msgspec.convert(words[-1].lower(), Domain))] = None
            if len(words) > 2 or "." not in words[-1] or words[-1] in set(FileKind):
                raise ValueError
        except (ValueError, msgspec.ValidationError):
            hint = "for example `buty.example` or `sellers.json ssp.example`"
            faults.append(Fault(f"line {number}", "value", "is no domain, nor a file and a domain", hint))
    if len(found) > MAX_DOMAINS:
        faults.append(Fault("", "limit", f"has more than {MAX_DOMAINS} domains"))
    if faults:
        raise InputError("the list of domains cannot be read", faults=faults[:100])
    return list(found)


class Crawler:
    """Fetches files; `private` is for tests and one's own network: any address and port, and plain http."""

    def __init__(self, *, private: bool = False, resolver: AbstractResolver | None = None) -> None:
        self._private = private
        self._resolver = resolver

    async def fetch(self, wanted: Sequence[Declared], now_ms: int) -> list[FetchedFile]:
        """Fetch the files; what came of each, in the order of `wanted`."""
        connector = guarded_connector(
            allow_private=self._private, limit=AT_ONCE, limit_per_host=1, resolver=self._resolver
        )
        slots = asyncio.Semaphore(AT_ONCE)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=_TIMEOUT,
            headers={"User-Agent": AGENT, "Accept": "text/plain, application/json, */*;q=0.1"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        ) as session:

            async def one(declared: Declared) -> FetchedFile:
                async with slots:
                    return await self._found(session, declared, now_ms)

            return list(await asyncio.gather(*map(one, wanted)))

    async def _found(self, session: aiohttp.ClientSession, declared: Declared, now_ms: int) -> FetchedFile:
        """Fetch one file by https, otherwise by http (ads.txt 1.1 section 3.1)."""
        problem = ""
        for scheme in ("https", "http"):
            base = f"{scheme}://{declared.domain}/"
            try:
                if not await self._may_be_read(session, base, declared.kind):
                    return FetchedFile(declared, None, "robots.txt does not allow it")
                content = await self._content(session, base + declared.kind, declared.kind.max_bytes)
                if content is None:
                    return FetchedFile(declared, None)
                file = await asyncio.to_thread(read_file, declared.kind, content, now_ms)
                return FetchedFile(declared, file)
            except (InputError, UnavailableError) as error:
                problem = error.message
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                problem = f"cannot be fetched: {type(error).__name__}"
        return FetchedFile(declared, None, problem)

    async def _may_be_read(self, session: aiohttp.ClientSession, base: str, kind: FileKind) -> bool:
        content = await self._content(session, base + "robots.txt", MAX_ROBOTS_BYTES)
        if content is None:
            return True
        rules = urllib.robotparser.RobotFileParser()
        rules.parse(content.decode("utf-8", "replace").splitlines())
        return rules.can_fetch(ROBOT, base + kind)

    async def _content(self, session: aiohttp.ClientSession, url: str, most: int) -> bytes | None:
        """The bytes at an address; None where there are none (404). Raises UnavailableError."""
        for _ in range(MAX_REDIRECTS + 1):
            fault = check_url(url, allow_private=self._private, schemes=("https", "http"))
            if fault is not None:
                raise UnavailableError(f"may not be fetched: {fault.message}")
            async with session.get(url, allow_redirects=False) as answer:
                if answer.status in _MOVED:
                    url = urljoin(url, answer.headers.get("Location", ""))
                    if not urlsplit(url).hostname:
                        raise UnavailableError("redirects to nowhere")
                    continue
                if answer.status in _GONE:
                    return None
                if answer.status != 200:
                    raise UnavailableError(f"answered {answer.status}")
                return await _at_most(answer, most)
        raise UnavailableError(f"redirects more than {MAX_REDIRECTS} times")


async def _at_most(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The body of an answer. Raises UnavailableError for one of more than `most` bytes."""
    content = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        content += chunk
        if len(content) > most:
            raise UnavailableError(f"is larger than {most // 1024} KiB")
    return bytes(content)
