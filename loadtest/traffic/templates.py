"""Requests for the wire: templates made once from realistic distributions, patched with an id and a user for each send.

Serialising a 3 kB request costs 10 us; joining five prebuilt pieces costs one. The variety is in the templates (some
hundred), the users are drawn for every request.
"""

import base64
import codecs
import hashlib
import random
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson

from loadtest.traffic import vocabulary
from loadtest.traffic.consent import ALL_PURPOSES, HIGHEST_VENDOR, consent_string
from loadtest.traffic.facts import RequestFacts, facts_of
from loadtest.traffic.scenario import ScenarioError, TrafficPlan

Object = dict[str, Any]

REQUEST_ID_CHARS = 20
_ID_MARK = "@" * REQUEST_ID_CHARS
USER_ID_CHARS = 22
_USER_MARK = "#" * USER_ID_CHARS
_EXCHANGE_USER_MARK = "~" * USER_ID_CHARS

# A floor that no bidder in its right mind pays: such a request must be answered with a no-bid.
IMPOSSIBLE_FLOOR = 9_999.0

_GDPR_STATES = ("full", "no-profile", "refused", "missing")


class Template:
    """One request without its ids: `pieces` stand around the request id, our user id and the exchange's user id."""

    __slots__ = ("_start", "facts", "has_user", "pieces", "tmax_ms")

    def __init__(self, request: Object, facts: RequestFacts) -> None:
        body = orjson.dumps(request)
        self.facts = facts
        self.tmax_ms = facts.tmax_ms or 100
        before, rest = body.split(_ID_MARK.encode(), 1)
        self.has_user = _USER_MARK.encode() in rest
        if self.has_user:
            middle, rest = rest.split(_EXCHANGE_USER_MARK.encode(), 1)
            second, rest = rest.split(_USER_MARK.encode(), 1)
            self.pieces: tuple[bytes, ...] = (before, middle, second, rest)
        else:
            self.pieces = (before, rest)

        self._start = self.pieces[0]

    @property
    def size(self) -> int:
        """Bytes of the finished body."""
        return sum(map(len, self.pieces)) + REQUEST_ID_CHARS + (2 * USER_ID_CHARS if self.has_user else 0)

    def body(self, request_id: bytes, user: bytes) -> bytes:
        """The finished body; ids have their fixed lengths. The exchange's id of the user is ours reversed."""
        return self._filled(self.pieces[0], request_id, user)

    def address(self, head: bytes) -> None:
        """Set the request line and header fields that `message` puts before the template's body."""
        self._start = b"%bContent-Length: %d\r\n\r\n%b" % (head, self.size, self.pieces[0])

    def message(self, request_id: bytes, user: bytes) -> bytes:
        """The whole HTTP request, once the template has an address."""
        return self._filled(self._start, request_id, user)

    def _filled(self, start: bytes, request_id: bytes, user: bytes) -> bytes:
        pieces = self.pieces
        if self.has_user:
            return b"".join((start, request_id, pieces[1], user[::-1], pieces[2], user, pieces[3]))
        return b"".join((start, request_id, pieces[1]))


def synthetic_user(seed: int, index: int) -> bytes:
    """User id number `index` of a made population: of the right shape, unknown to any profile store."""
    digest = hashlib.blake2b(b"%d:%d" % (seed, index), digest_size=16).digest()
    return base64.urlsafe_b64encode(digest)[:USER_ID_CHARS]


def make_templates(plan: TrafficPlan, seed: int, now_ms: int) -> list[Template]:
    """Templates by the plan: recorded ones, or made ones that are the same for the same seed. Raises ScenarioError."""
    if plan.recorded:
        return recorded_templates(Path(plan.recorded))
    author = _Author(plan, random.Random(seed), now_ms)
    return [author.template() for _ in range(plan.templates)]


def recorded_templates(path: Path) -> list[Template]:
    """Templates from a JSONL file of requests (bare, or as `{"request": ...}`). Raises ScenarioError."""
    templates = []
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    except OSError as error:
        raise ScenarioError(f"recorded requests cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            request = unwrap(orjson.loads(line)) if line.strip() else None
        except ValueError as error:
            raise ScenarioError(f"{path}, line {number}: not JSON ({error})") from error
        if request is None:
            continue
        facts = facts_of(request)
        request["id"] = _ID_MARK
        user = request.get("user")
        if isinstance(user, dict) and user.get("buyeruid"):
            request["user"] = {"id": _EXCHANGE_USER_MARK, "buyeruid": _USER_MARK} | {
                key: value for key, value in user.items() if key not in ("id", "buyeruid")
            }
        templates.append(Template({"id": _ID_MARK} | request, facts))
    if not templates:
        raise ScenarioError(f"{path} has no bid request: give one JSON object a line")
    return templates


def unwrap(value: object) -> Object:
    """The request of a line. Raises ValueError when it is none."""
    request = value.get("request", value) if isinstance(value, dict) else None
    if not isinstance(request, dict):
        raise ValueError("a line is a JSON object: a bid request, or one with a member 'request'")
    return request


class _Author:
    """Writes bid requests by a plan."""

    def __init__(self, plan: TrafficPlan, chance: random.Random, now_ms: int) -> None:
        self._plan = plan
        self._chance = chance
        self._consent = {
            "full": consent_string(ALL_PURPOSES, HIGHEST_VENDOR, now_ms),
            "no-profile": consent_string((1, 2, 7, 9, 10), HIGHEST_VENDOR, now_ms),
            "refused": consent_string((), 0, now_ms),
            "missing": "",
        }
        self._domain_weights = list(accumulate(rank**-plan.domain_zipf for rank in range(1, plan.domains + 1)))

    def template(self) -> Template:
        plan, chance = self._plan, self._chance
        impossible = chance.random() < plan.impossible_share
        mobile = chance.random() < plan.mobile_share
        state = self._consent_state()
        request: Object = {"id": _ID_MARK, "imp": self._impressions(mobile, impossible)}
        in_app = mobile and chance.random() < plan.app_share and not plan.easy
        request["app" if in_app else "site"] = self._app() if in_app else self._site()
        request["device"] = self._device(mobile)
        request["user"] = self._user(state)
        request["at"] = 1 if chance.random() < plan.first_price_share else 2
        request["tmax"] = plan.tmax_ms
        request["cur"] = [plan.currency]
        if not plan.easy and chance.random() < plan.blocking_share:
            request["bcat"] = chance.sample(vocabulary.BLOCKED_CATEGORIES, 14)
            request["badv"] = chance.sample(vocabulary.BLOCKED_DOMAINS, 25)
        request["source"] = self._source()
        request["regs"] = {"coppa": 0, "gdpr": int(state in _GDPR_STATES)}
        return Template(request, facts_of(request, profile_allowed=state in ("full", "none")))

    def _consent_state(self) -> str:
        plan = self._plan
        if plan.easy:
            return "full"
        shares = (plan.consent_full, plan.consent_no_profile, plan.consent_refused, plan.consent_missing)
        weights = (*shares, max(0.0, 1 - sum(shares)))
        return self._chance.choices((*_GDPR_STATES, "none"), weights)[0]

    def _impressions(self, mobile: bool, impossible: bool) -> list[Object]:
        count = 2 if self._chance.random() < self._plan.two_impressions_share else 1
        return [self._impression(str(number), mobile, impossible) for number in range(1, count + 1)]

    def _impression(self, key: str, mobile: bool, impossible: bool) -> Object:
        plan, chance = self._plan, self._chance
        floor = 0.0 if plan.easy else round(plan.floor_median * chance.lognormvariate(0, plan.floor_sigma), 2)
        imp: Object = {
            "id": key,
            "tagid": f"slot-{chance.randrange(400)}",
            "bidfloor": IMPOSSIBLE_FLOOR if impossible else floor,
            "bidfloorcur": plan.currency,
            "secure": int(chance.random() < plan.secure_share),
            "exp": 300,
            "instl": 0,
            "displaymanager": "example-wrapper",
            "displaymanagerver": "9.53.2",
            "metric": [{"type": "viewability", "value": round(chance.uniform(0.3, 0.95), 2), "vendor": "EXCHANGE"}],
            "ext": {"gpid": f"/1234567/strona/{chance.choice(vocabulary.SECTIONS)[0]}/slot{chance.randrange(40)}"}
            | ({"billing_id": list(plan.billing_ids)} if plan.billing_ids else {}),
        }
        draw = 1.0 if plan.easy else chance.random()
        if draw < plan.native_share:
            imp["native"] = {"request": NATIVE_REQUEST, "ver": "1.2", "api": [7]}
        elif draw < plan.native_share + plan.video_share:
            imp["video"] = self._player()
        elif draw < plan.native_share + plan.video_share + plan.audio_share:
            imp["audio"] = _AUDIO
        else:
            imp["banner"] = self._banner(mobile)
            if plan.several_formats_share and chance.random() < plan.several_formats_share:
                imp |= {"native": {"request": NATIVE_REQUEST, "ver": "1.2", "api": [7]}, "video": self._player()}
        if plan.deals and not plan.easy and chance.random() < plan.deal_share:
            deal = {
                "id": chance.choice(plan.deals),
                "bidfloor": round(floor * 1.5, 2),
                "bidfloorcur": plan.currency,
                "at": 2,
            }
            imp["pmp"] = {"private_auction": 0, "deals": [deal]}
        return imp

    def _player(self) -> Object:
        """A player of one of a few usual kinds: in-stream, out-stream, on a television."""
        return _VIDEO if self._plan.audio_share == 0 else _VIDEO | self._chance.choice(_PLAYERS)

    def _banner(self, mobile: bool) -> Object:
        sizes = [size for size in vocabulary.BANNER_SIZES if not mobile or size[0] <= 336]
        width, height, _ = self._chance.choices(sizes, [size[2] for size in sizes])[0]
        offered = [(width, height)]
        if self._chance.random() < 0.5:
            offered += [
                size for size in vocabulary.ALTERNATIVE_SIZES.get((width, height), ()) if not mobile or size[0] <= 336
            ]
        return {
            "w": width,
            "h": height,
            "format": [{"w": w, "h": h} for w, h in offered],
            "pos": self._chance.choice((0, 1, 3)),
            "battr": [1, 3, 8, 9, 10, 17],
            "mimes": ["text/html", "image/jpeg", "image/png", "image/gif"],
            "api": [5, 6, 7],
        }

    def _site(self) -> Object:
        chance = self._chance
        section, category, _ = chance.choices(vocabulary.SECTIONS, [entry[2] for entry in vocabulary.SECTIONS])[0]
        rank = chance.choices(range(len(self._domain_weights)), cum_weights=self._domain_weights)[0]
        domain = f"{section}-{rank}.example"
        words = chance.sample(vocabulary.PAGE_WORDS, 4)
        return {
            "id": f"s{chance.randrange(10_000)}",
            "name": section,
            "domain": domain,
            "cat": [category],
            "sectioncat": [category],
            "page": f"https://www.{domain}/{section}/{'-'.join(words)},{chance.randrange(10**7)}.html",
            "ref": f"https://www.{domain}/{section}/",
            "keywords": ",".join(words),
            "mobile": 1,
            "privacypolicy": 1,
            "publisher": {"id": f"pub-{chance.randrange(500)}", "name": domain, "domain": domain},
            "content": self._content(words, category),
        }

    def _content(self, words: list[str], category: str) -> Object:
        """What the page is about, with the contextual segments of a supplier, as headers of 2026 have them."""
        chance = self._chance
        topics = [{"id": str(chance.randrange(1, 700)), "name": word} for word in words]
        return {
            "id": f"{chance.getrandbits(64):016x}", "language": "pl", "title": " ".join(words),
            "keywords": ",".join(words), "cat": [category], "context": 5,
            "data": [{"id": "2", "name": vocabulary.SELLERS[0], "ext": {"segtax": 6}, "segment": topics}],
        }  # fmt: skip

    def _app(self) -> Object:
        bundle, name, category = self._chance.choice(vocabulary.APPS)
        return {
            "id": f"a{self._chance.randrange(1_000)}",
            "name": name,
            "bundle": bundle,
            "storeurl": f"https://store.example/apps/details?id={bundle}",
            "cat": [category],
            "ver": "5.2.1",
            "privacypolicy": 1,
            "publisher": {"id": f"pub-{self._chance.randrange(500)}", "name": name},
            "content": self._content(self._chance.sample(vocabulary.PAGE_WORDS, 4), category),
        }

    def _device(self, mobile: bool) -> Object:
        chance = self._chance
        agents = vocabulary.MOBILE_AGENTS if mobile else vocabulary.DESKTOP_AGENTS
        agent, kind, system, version, _ = chance.choices(agents, [entry[4] for entry in agents])[0]
        region, city, postcode, latitude, longitude, _ = chance.choices(
            vocabulary.PLACES, [place[5] for place in vocabulary.PLACES]
        )[0]
        return {
            "ua": agent,
            "ip": f"198.51.100.{chance.randrange(1, 255)}",  # RFC 5737
            "geo": {
                "country": "POL", "region": region, "city": city, "zip": postcode, "lat": latitude, "lon": longitude,
                "type": 2, "utcoffset": 60,
            },
            "devicetype": kind, "os": system, "osv": version, "language": "pl", "js": 1, "dnt": 0, "lmt": 0,
            "connectiontype": chance.choice((2, 2, 6, 6, 7)) if mobile else 2,
            "w": 390 if mobile else 1920, "h": 844 if mobile else 1080, "pxratio": 3.0 if mobile else 1.0,
            "sua": {
                "browsers": [{"brand": "Chromium", "version": ["141", "0", "7390", "54"]}],
                "platform": {"brand": system, "version": version.split(".")}, "mobile": int(mobile), "source": 2,
            },
        }  # fmt: skip

    def _user(self, state: str) -> Object:
        chance = self._chance
        user: Object = {}
        if self._plan.easy or chance.random() >= self._plan.no_user_share:
            user = {"id": _EXCHANGE_USER_MARK, "buyeruid": _USER_MARK}
        if state in _GDPR_STATES and self._consent[state]:
            user["consent"] = self._consent[state]
        if user.get("id") and state == "full":
            user["eids"] = [
                {
                    "source": source,
                    "uids": [{"id": f"{chance.getrandbits(256):064x}", "atype": 1, "ext": {"stype": "ppuid"}}],
                }
                for source in chance.sample(vocabulary.ID_SOURCES, chance.randrange(1, 4))
            ]
            user["data"] = [
                {"id": "1", "name": source, "ext": {"segtax": 4},
                 "segment": [{"id": str(chance.randrange(1, 1_700))} for _ in range(chance.randrange(3, 25))]}
                for source in chance.sample(vocabulary.SELLERS, 2)
            ]  # fmt: skip
        return user

    def _source(self) -> Object:
        chance = self._chance
        nodes = [
            {"asi": seller, "sid": str(chance.randrange(10**6)), "hp": 1, "rid": f"{chance.getrandbits(96):024x}"}
            for seller in vocabulary.SELLERS[: chance.randrange(1, 4)]
        ]
        return {
            "fd": 0,
            "tid": f"{chance.getrandbits(128):032x}",
            "schain": {"complete": 1, "ver": "1.0", "nodes": nodes},
        }


NATIVE_REQUEST = orjson.dumps(
    {
        "ver": "1.2", "context": 1, "plcmttype": 1, "plcmtcnt": 1,
        "assets": [
            {"id": 1, "required": 1, "title": {"len": 90}},
            {"id": 2, "required": 1, "img": {"type": 3, "wmin": 600, "hmin": 314}},
            {"id": 3, "required": 0, "img": {"type": 1, "wmin": 50, "hmin": 50}},
            {"id": 4, "required": 1, "data": {"type": 1, "len": 25}},
            {"id": 5, "required": 0, "data": {"type": 2, "len": 140}},
        ],
        "eventtrackers": [{"event": 1, "methods": [1]}],
    }
).decode()  # fmt: skip

_VIDEO: Object = {
    "mimes": ["video/mp4", "video/webm"], "minduration": 5, "maxduration": 30, "protocols": [2, 3, 5, 6, 7, 8],
    "w": 640, "h": 360, "plcmt": 2, "startdelay": 0, "linearity": 1, "skip": 1, "playbackmethod": [2], "api": [7],
}  # fmt: skip


_PLAYERS: Sequence[Object] = (
    {},
    {"protocols": [2, 3], "skip": 0, "plcmt": 4, "api": [], "maxduration": 20},
    {"protocols": [7, 11, 13], "w": 1920, "h": 1080, "plcmt": 1, "rqddurs": [15, 30], "mimes": ["video/mp4"]},
    {"protocols": [3, 7], "skip": None, "companionad": [{"w": 300, "h": 250}], "battr": [16]},
    {"protocols": [3, 7, 11], "skip": None, "maxbitrate": 1_500, "delivery": [2]},
)

_AUDIO: Object = {
    "mimes": ["audio/mpeg", "audio/mp4"], "minduration": 5, "maxduration": 60, "protocols": [3, 7, 11],
    "startdelay": 0, "api": [7], "companionad": [{"w": 300, "h": 250}],
}  # fmt: skip


def body_sizes(templates: Sequence[Template]) -> tuple[int, int, int]:
    """Smallest, median and largest body in bytes."""
    sizes = sorted(template.size for template in templates)
    return sizes[0], sizes[len(sizes) // 2], sizes[-1]
