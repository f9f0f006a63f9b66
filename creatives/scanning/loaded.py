"""A creative's files and landing page as they load: weight, redirects, types, where the click ends."""

import asyncio
import html
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urljoin

import aiohttp
import msgspec

from core.errors import Fault
from core.model import Creative
from core.network.outgoing import check_url, guarded_connector
from creatives.formats.spots import spot_of
from creatives.macros import CACHE_BUSTER, CLICK_URL, CLICK_URL_ENCODED, HEIGHT, WIDTH
from creatives.scanning.declared import findings, host_of, is_same_site

# IAB "New Ad Portfolio" (2019): a fixed-size ad of a usual size loads 200 kB at most.
MAX_BANNER_BYTES: Final = 200_000
MAX_SPOT_BYTES: Final = 64 * 1024 * 1024
# One redirect is a tracker's. Each further one costs a visitor a second, and reviewers follow no more than three.
MAX_REDIRECTS: Final = 3
_FOLLOWED: Final = 10
_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_MANY: Final = 4  # files that are loaded at once
# What markup names and a browser loads by itself; other tags' `href` are links. More files than these are no banner.
_NAMED: Final = re.compile(
    r"""(?:\s(?:src|poster)\s*=\s*["']?\s*|\burl\(\s*["']?\s*|<link\s[^>]*?href\s*=\s*["']?\s*)((?:https?:)?//[^\s"'<>)]+)""",
    re.IGNORECASE,
)
_MOST_FILES: Final = 50


class LoadedFile(msgspec.Struct):
    """What became of one address. `bytes` is how much was read, at most as much as an ad may have."""

    pointer: str
    url: str
    status: int
    mime: str
    bytes: int
    redirects: list[str]
    problem: str


class ScanReport(msgspec.Struct):
    """All that was found, and what was loaded for it."""

    creative_id: int
    findings: list[Fault]
    files: list[LoadedFile]
    bytes: int


class CreativeScanner:
    """Loads what creatives name; `track_url` is our own tracker, which may be on any network."""

    def __init__(self, track_url: str, *, allow_private: bool = False) -> None:
        self._track_url = track_url
        self._allow_private = allow_private

    async def scan(self, creative: Creative, advertised: str) -> ScanReport:
        """All findings; what cannot be loaded is one. `advertised` is the domain of creatives that name none."""
        free = asyncio.Semaphore(_MANY)

        async def one(pointer: str, url: str, most: int) -> LoadedFile:
            async with free:
                return await self._load(pointer, url, most)

        wanted = [*_files(creative), ("/landing_url", creative.landing_url, MAX_BANNER_BYTES)]
        loaded = await asyncio.gather(*(one(*each) for each in wanted))
        *files, landing = loaded
        weight = sum(file.bytes for file in files)
        found = [
            *findings(creative, advertised),
            *(fault for file in loaded for fault in _faults_of(file)),
            *_weight(creative, weight),
            *_types(creative, files),
            *_end(creative, advertised, landing),
            *await self._privacy(creative),
        ]
        return ScanReport(creative.id, found, list(loaded), weight)

    async def _privacy(self, creative: Creative) -> list[Fault]:
        """What is wrong with the page behind the sign that says who advertises (AdChoices and its kin)."""
        if not creative.privacy_url:
            text = "it has no sign that says who advertises and how to object, which exchanges ask for"
            return [Fault("/privacy_url", "no_privacy_page", text, "name a page such as https://youradchoices.com")]
        return list(_faults_of(await self._load("/privacy_url", creative.privacy_url, MAX_BANNER_BYTES)))

    async def _load(self, pointer: str, url: str, most: int) -> LoadedFile:
        own = url.startswith(f"{self._track_url}/")
        private = own or self._allow_private
        found = LoadedFile(pointer, url, 0, "", 0, [], "")
        connector = guarded_connector(allow_private=private)
        async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False) as session:
            try:
                await _follow(session, found, most, private=private)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                found.problem = str(error) or type(error).__name__
        return found


async def _follow(session: aiohttp.ClientSession, found: LoadedFile, most: int, *, private: bool) -> None:
    url = found.url
    for _ in range(_FOLLOWED):
        fault = check_url(url, allow_private=private, schemes=("https", "http"))
        if fault is not None:
            found.problem = fault.message
            return
        async with session.get(url, allow_redirects=False) as answer:
            found.status = answer.status
            if answer.status in _MOVED and "Location" in answer.headers:
                url = urljoin(url, answer.headers["Location"])
                found.redirects.append(url)
                continue
            found.mime = answer.content_type
            async for chunk in answer.content.iter_chunked(65_536):
                found.bytes += len(chunk)
                if found.bytes > most:
                    return
            return
    found.problem = f"more than {_FOLLOWED} redirects"


def _files(creative: Creative) -> Iterator[tuple[str, str, int]]:
    """(pointer, address, most bytes) of what a page or player loads by itself."""
    if creative.frame_url:
        yield "/frame_url", _plain(creative.frame_url, creative), MAX_BANNER_BYTES
    if creative.image_url:
        yield "/image_url", creative.image_url, MAX_BANNER_BYTES
    named = dict.fromkeys(_NAMED.findall(html.unescape(creative.html)))
    for url in list(named)[:_MOST_FILES]:
        yield "/html", _plain(urljoin("https://", url), creative), MAX_BANNER_BYTES
    native = creative.native
    for number, picture in enumerate(native.images if native is not None else ()):
        yield f"/native/images/{number}/url", picture.url, MAX_BANNER_BYTES
    for name in ("icon", "logo"):
        if (small := getattr(native, name, None)) is not None:
            yield f"/native/{name}/url", small.url, MAX_BANNER_BYTES
    spot = spot_of(creative)
    for number, file in enumerate(spot.media if spot is not None else ()):
        yield f"/{creative.format.value}/media/{number}/url", file.url, MAX_SPOT_BYTES
    for number, beside in enumerate(spot.companions if spot is not None else ()):
        if shown := beside.image_url or beside.frame_url:
            yield f"/{creative.format.value}/companions/{number}", _plain(shown, creative), MAX_BANNER_BYTES


def _plain(url: str, creative: Creative) -> str:
    """An address without its macros."""
    values = {
        CLICK_URL_ENCODED: "", CLICK_URL: "", CACHE_BUSTER: "1", WIDTH: str(creative.width),
        HEIGHT: str(creative.height),
    }  # fmt: skip
    for macro, value in values.items():
        url = url.replace(macro, value)
    return url


def _faults_of(file: LoadedFile) -> Iterator[Fault]:
    if file.problem or file.status >= 400:
        text = f"{file.url} cannot be loaded: {file.problem or file.status}"
        yield Fault(file.pointer, "broken", text, "see that the address is right and public")
    if len(file.redirects) > MAX_REDIRECTS:
        text = f"{len(file.redirects)} redirects until it is loaded"
        yield Fault(file.pointer, "redirects", text, f"at most {MAX_REDIRECTS}")
    if file.url.startswith("https://") and any(url.startswith("http://") for url in file.redirects):
        yield Fault(
            file.pointer, "insecure", "it redirects to http://, which https pages do not load", "redirect by https"
        )


def _weight(creative: Creative, loaded: int) -> Iterator[Fault]:
    if spot_of(creative) is None and loaded + len(creative.html) > MAX_BANNER_BYTES:
        text = f"it loads more than {MAX_BANNER_BYTES // 1000} kB at once"
        yield Fault("", "weight", text, "smaller pictures, or others later")


def _types(creative: Creative, files: list[LoadedFile]) -> Iterator[Fault]:
    """Faults for files that their servers send as another type than is declared; naming no type is no fault."""
    spot = spot_of(creative)
    declared = {
        f"/{creative.format.value}/media/{n}/url": each.mime for n, each in enumerate(spot.media if spot else ())
    }
    for file in files:
        wanted = declared.get(file.pointer, "image/" if "image" in file.pointer else "")
        neutral = ("", "application/octet-stream", "binary/octet-stream")
        if file.status == 200 and wanted and file.mime not in neutral and not file.mime.startswith(wanted.lower()):
            text = f"{file.url} is {file.mime}, declared as {wanted.rstrip('/')}"
            yield Fault(file.pointer, "other_type", text, "declare what it is, or let its server say so")


def _end(creative: Creative, advertised: str, landing: LoadedFile) -> Iterator[Fault]:
    own = creative.advertiser_domain or advertised
    end = host_of(landing.redirects[-1]) if landing.redirects else ""
    if own and end and not is_same_site(end, own):
        text = f"the click ends on {end}, the advertised domain is {own}: reviewers reject that"
        yield Fault("/landing_url", "other_domain", text, "name the domain that the click ends at")
