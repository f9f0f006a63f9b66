"""From what a request says to what targeting names: the normalisation of each targeted field.

These functions run once per distinct request value (dimensions memoise), so they favour plainness over speed. The same
functions normalise the catalogue's side where both must agree.
"""

import functools
import math
import re
import urllib.parse
from collections.abc import Hashable, Iterator, Mapping

from bidder.openrtb.types import SupplyChain
from bidder.targeting import globs, pod_places
from core.model import Radius
from core.supply import seller_name
from creatives.formats.offer import OpenShape, Shape, shape_text

EARTH_RADIUS_KM = 6371.0088
# A longer text is no domain name (RFC 1035); its end counts, which has the parents.
MAX_DOMAIN_CHARS = 253
# Longer values are cut before they are looked up with all that lies above them: their beginning names the same.
MAX_POSTCODE_CHARS = 16
MAX_PATH_CHARS = 512  # of placement ids and venues
# Longer addresses of pages are cut before their path is read: browsers and servers stop at 2,000 to 8,000 characters.
# Longer than any targeted path, so one without a star never fits what was cut.
MAX_PAGE_CHARS = 2_048
# Longest phrase of words that is looked up in page keywords; "czerwone szpilki ślubne na platformie" has five.
MAX_PHRASE_WORDS = 5
# Offers of many sizes in one impression that are considered; each is tried on every size that any creative has.
MAX_OPEN_SHAPES = 16
# Words of a page that are considered; titles and keyword lists of real requests stay far below.
MAX_PAGE_WORDS = 400

TEXT_BREAK = " | "
"""Between two texts about a page: the end of one and the start of the next are no phrase."""

# Addresses of stores are short, and read anew with each request.
MAX_STORE_URL_CHARS = 1_000
_STORE_ID = re.compile(r"[?&]id=([\w.]+)|/id(\d+)(?![\w-])")
_SCHEME = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//")
_WORD = re.compile(r"\w+")
_OPERATING_SYSTEMS = {
    "mac os x": "macos", "mac os": "macos", "macos": "macos", "os x": "macos", "osx": "macos", "chrome os": "chromeos",
    "iphone os": "ios", "ipados": "ios", "ios": "ios", "iphone": "ios", "ipad": "ios", "tvos": "tvos",
}  # fmt: skip
_BROWSERS = {
    "chrome mobile": "chrome", "chrome mobile webview": "chrome", "chrome mobile ios": "chrome",
    "google chrome": "chrome",
    "mobile safari": "safari", "mobile safari ui/wkwebview": "safari", "firefox mobile": "firefox",
    "firefox ios": "firefox", "edge mobile": "edge",
    "microsoft edge": "edge", "opera mobile": "opera", "opera mini": "opera",
}  # fmt: skip


def domain_suffixes(domain: str | None) -> Iterator[str]:
    """A domain and all its parents: 'a.b.example' gives itself, 'b.example', 'example'. Scheme, port and 'www.' go."""
    name = normal_domain(domain or "")[-MAX_DOMAIN_CHARS:]
    while name:
        yield name
        _label, _dot, name = name.partition(".")


def normal_domain(text: str) -> str:
    """Lower-case host name without scheme, path, port, trailing dot, leading 'www.', '*.' or '.'."""
    name = text.strip().lower()
    name = re.split(r"[/:?#]", _SCHEME.sub("", name), maxsplit=1)[0].rstrip(".")
    return name.removeprefix("*").removeprefix(".").removeprefix("www.") or name


def blocked_domains(domains: tuple[str, ...] | None) -> Iterator[str]:
    """A request's blocked advertiser domains in normal form; `EVERYBODY` stays as it is."""
    return map(normal_domain, domains or ())


def each(values: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    """Several values to look up, as they are."""
    return values


def flag(value: int | None) -> tuple[int]:
    """1 for a flag that is set; one that is absent is not (OpenRTB 2.6 section 3.2.4, `instl` and `rwdd`)."""
    return (1 if value else 0,)


def said(*values: int | None) -> Iterator[int]:
    """The values that the video and the audio object have; a missing one is left out."""
    return (value for value in values if value is not None)


def pod_slots(video: int | None, video_s: int | None, audio: int | None, audio_s: int | None) -> Iterator[int]:
    """The places in a pod that an impression sells; one that takes several ads sells those that it guarantees."""
    yield from pod_places.sold(video, video_s)
    yield from pod_places.sold(audio, audio_s)


def members(packed: bytes | None) -> tuple[int, ...]:
    """Ids of a user's active segments, from little-endian uint32; none of a user who is not known."""
    return tuple(memoryview(packed).cast("I")) if packed else ()


def lower(value: str | None) -> tuple[str, ...]:
    """The folded text to look up; none for a missing one."""
    return (value.strip().casefold(),) if value else ()


def primary_language(language: str | None, tag: str | None) -> tuple[str, ...]:
    """Primary subtag of `device.language`, otherwise of `device.langb`: 'pl-PL' and 'PL' give 'pl'."""
    value = language or tag
    return (re.split(r"[-_]", value.strip().lower(), maxsplit=1)[0],) if value else ()


def postcode_prefixes(value: str | None) -> Iterator[str]:
    """All prefixes of a postcode without spaces and dashes: '00-950' gives '0', '00', ... '00950'."""
    code = normal_postcode((value or "")[: 2 * MAX_POSTCODE_CHARS])[:MAX_POSTCODE_CHARS]
    for length in range(1, len(code) + 1):
        yield code[:length]


def normal_postcode(value: str) -> str:
    return re.sub(r"[\s-]", "", value).lower()


def region_of(country: str | None, region: str | None) -> tuple[str, ...]:
    """'POL/MZ' of a country and a region, which exchanges send as 'MZ', 'mz' or 'PL-MZ'."""
    if not country or not region:
        return ()
    return (f"{country}/{region.strip().upper().rpartition('-')[2]}",)


@functools.lru_cache(maxsize=4096)  # os and browser are asked for the same agent; 47 us a parse
def _parse_agent(agent: str) -> tuple[str, str]:
    # Imported where agents are read: other roles compile no catalogue, and it would be a fifth of their start.
    import ua_parser

    result = ua_parser.parse(agent)
    system = result.os.family if result.os else ""
    browser = result.user_agent.family if result.user_agent else ""
    return system.lower(), browser.lower()


def operating_system(named: str | None, agent: str | None) -> tuple[str, ...]:
    """Family of the operating system: by `device.os` or the structured agent's platform, otherwise by the agent."""
    family = named.strip().lower() if named else _parse_agent(agent)[0] if agent else ""
    return (_OPERATING_SYSTEMS.get(family, family),) if family else ()


# What lists of brands also hold: the engine, and a made-up brand against those who look for known ones only
# (Client Hints, "GREASE"), such as "Not(A:Brand".
_ENGINE = "chromium"
_MADE_UP = re.compile(r"not.?a.?brand", re.IGNORECASE)


def browser(agent: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Family of the browser: of a user agent, or of the brands of a structured one."""
    if isinstance(agent, tuple):
        brands = [brand.strip().lower() for brand in agent if not _MADE_UP.search(brand)]
        family = next((brand for brand in brands if brand != _ENGINE), _ENGINE if brands else "")
    else:
        family = _parse_agent(agent)[1] if agent else ""
    return (_BROWSERS.get(family, family),) if family else ()


def publisher_of(exchange_key: str, publisher: str | None) -> tuple[str, ...]:
    """A publisher's id as targeting may name it: '815' for any exchange, 'demo/815' for that of one exchange."""
    return (publisher, f"{exchange_key}/{publisher}") if publisher else ()


# Nodes of a chain that are looked at; the longest of recorded traffic has six.
MAX_NODES = 32


def sellers_of(chain: SupplyChain | None) -> tuple[tuple[str, str], ...]:
    """(system, account) of each node that says both, in the chain's order: the last one sends the request."""
    if chain is None or not chain.nodes:
        return ()
    return tuple(
        (normal_domain(node.asi), node.sid.strip()) for node in chain.nodes[:MAX_NODES] if node.asi and node.sid
    )


def sender_of(sellers: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """What a list may call the sender of the request: the system, and the account there."""
    return (sellers[-1][0], seller_name(*sellers[-1])) if sellers else ()


def names_of_all(sellers: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """What a list may call the sellers in the chain: the system of each, and the account there."""
    for seller in sellers:
        yield seller[0]
        yield seller_name(*seller)


def gpid_and_parents(gpid: str | None) -> Iterator[str]:
    """A global placement id, without the part behind '#', and the path above it."""
    name = (gpid or "").strip()
    if "#" in name:
        yield name
        name = name.partition("#")[0]
    if len(name) > MAX_PATH_CHARS:
        yield name
        name = name[:MAX_PATH_CHARS].rpartition("/")[0]
    while name and name != "/":
        yield name
        name = name.rpartition("/")[0]


def venue_and_parents(venues: tuple[str, ...]) -> Iterator[str]:
    """OpenOOH venue types with those above: by name ('transit.airports') or by number, two digits a level ('101')."""
    for venue in venues:
        name = venue.strip().lower()[:MAX_PATH_CHARS]
        is_number = name.isascii() and name.isdigit()
        while name:
            yield name
            name = name[:-2] if is_number else name.rpartition(".")[0]


def store_id(url: str | None) -> str | None:
    """The id in an app's address in its store: `.../details?id=com.game`, `.../app/name/id123456`."""
    found = _STORE_ID.search(url[:MAX_STORE_URL_CHARS]) if url else None
    return (found[1] or found[2]) if found is not None else None


def phrases(text: str) -> Iterator[str]:
    """All runs of one to five whole words of a text, folded, to look up as keywords; none goes across a `TEXT_BREAK`.

    Whole words, since a shop of stilettos ("szpilki") does not want articles about something that merely contains them.
    """
    left = MAX_PAGE_WORDS
    for part in text.split(TEXT_BREAK):
        if not left:
            return
        words = _words(urllib.parse.unquote_plus(part) if "%" in part else part)[:left]
        left -= len(words)
        for start in range(len(words)):
            for end in range(start + 1, min(start + MAX_PHRASE_WORDS, len(words)) + 1):
                yield " ".join(words[start:end])


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold().replace("_", " "))


def normal_phrase(text: str) -> str:
    """A targeted keyword in the form in which `phrases` yields it."""
    return " ".join(_words(text))


def page_path(page: str | None) -> str:
    """Path of a page URL, percent-decoded; '/' when there is none. Of a long URL the beginning counts."""
    return _path_of((page or "")[:MAX_PAGE_CHARS])


@functools.lru_cache(64)  # a page is asked about once for each pattern that line items name
def _path_of(page: str) -> str:
    try:
        return urllib.parse.unquote(urllib.parse.urlsplit(page).path) or "/"
    except ValueError:  # "http://[broken": a page we cannot read has no path to match
        return "/"


def normal_path(pattern: str) -> str:
    """A targeted path pattern in the form of `page_path`."""
    return urllib.parse.unquote(pattern)


def path_matches(pattern: str, page: str | None) -> bool:
    """Whether the path of a page URL fits a glob such as '/buty/*'."""
    return globs.compiled(pattern)(page_path(page))


def circle_of(text: str) -> Radius:
    """A circle of "latitude,longitude,kilometres". Raises ValueError for another text."""
    latitude, longitude, kilometres = (float(part) for part in text.split(","))
    return Radius(latitude, longitude, kilometres)


def in_circle(circle: Radius, point: tuple[float, float] | None, accuracy_km: float | None) -> bool:
    """Whether a (latitude, longitude) in degrees lies in a circle on the earth (haversine).

    A point that is less exact than the circle is large says nothing about it.
    """
    if point is None or (accuracy_km is not None and accuracy_km > circle.kilometres):
        return False
    latitude, longitude = math.radians(point[0]), math.radians(point[1])
    centre_latitude, centre_longitude = math.radians(circle.latitude), math.radians(circle.longitude)
    a = (
        math.sin((latitude - centre_latitude) / 2) ** 2
        + math.cos(latitude) * math.cos(centre_latitude) * math.sin((longitude - centre_longitude) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, a))) <= circle.kilometres


def point_shown(point: tuple[float, float] | None, accuracy_km: float | None) -> str:
    """A point as a person reads it."""
    if point is None:
        return ""
    return f"{point[0]}, {point[1]}" + (f", exact to {accuracy_km:g} km" if accuracy_km is not None else "")


def fitting_shapes(named: Mapping[Shape, object], offered: tuple[Shape, ...]) -> list[Shape]:
    """Those of the named shapes that fit into an offered one; of offers of many sizes only the first few count."""
    found = [shape for shape in offered if shape in named]
    open_ones = [shape for shape in offered if isinstance(shape, OpenShape)][:MAX_OPEN_SHAPES]
    if open_ones:
        found += [shape for shape in named if any(each.holds(shape) for each in open_ones)]
    return found


def shapes_shown(shapes: tuple[Shape, ...]) -> str:
    """What an impression offers as a person reads it: sizes of a banner."""
    return " ".join(map(shape_text, shapes))
