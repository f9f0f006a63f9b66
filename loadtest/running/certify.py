"""An exchange's acceptance test of a bidder: samples of each format, what must be refused, what an answer owes.

Each check is one question with its request and answer kept, so that a report of a failure is enough to repeat it. The
samples permit everything and set no floor: a bidder with ads of a format has no reason not to bid on one of them. All
say `test: 1`: nothing that is bid may be billed.
"""

import contextlib
import copy
import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import orjson

from loadtest.judging.checks import Answer, Checker
from loadtest.traffic.facts import facts_of, mapping, objects, text, texts
from loadtest.traffic.templates import IMPOSSIBLE_FLOOR
from loadtest.wire.client import Target, parse_target

Outcome = Literal["passed", "failed", "not shown"]

# What an exchange waits for at most; tmax of the samples is below it.
PATIENCE_S: Final = 5.0
TMAX_MS: Final = 500
# The whole run asks some forty questions, a second of work: a bidder that hangs is given up, even if bytes trickle in.
LONGEST_S: Final = 60.0
# No meaningful answer is longer.
_MOST_BYTES: Final = 4 * 1024 * 1024
_KEPT_BYTES: Final = 2_000

_HEADERS: Final = {"Content-Type": "application/json", "x-openrtb-version": "2.6"}
_SITE: Final = {
    "id": "1", "domain": "news.example", "page": "https://news.example/", "cat": ["IAB12"],
    "publisher": {"id": "815", "name": "News"},
}  # fmt: skip
_DEVICE: Final = {
    "ua": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
    "ip": "203.0.113.0", "geo": {"country": "POL", "type": 2}, "language": "pl", "devicetype": 2, "js": 1,
}  # fmt: skip
_NATIVE: Final = {
    "native": {
        "ver": "1.2", "context": 1, "plcmttype": 1,
        "assets": [
            {"id": 1, "required": 1, "title": {"len": 90}},
            {"id": 2, "required": 1, "img": {"type": 3, "wmin": 300, "hmin": 150}},
            {"id": 3, "required": 0, "data": {"type": 1, "len": 30}},
        ],
        "eventtrackers": [{"event": 1, "methods": [1]}],
    }
}  # fmt: skip
_VIDEO: Final = {
    "mimes": ["video/mp4", "video/webm"], "minduration": 1, "maxduration": 60, "protocols": [2, 3, 7, 11, 13],
    "w": 1280, "h": 720, "startdelay": 0, "plcmt": 1, "linearity": 1, "playbackmethod": [1], "delivery": [1, 2],
}  # fmt: skip
_AUDIO: Final = {
    "mimes": ["audio/mpeg", "audio/mp4", "audio/ogg"], "minduration": 1, "maxduration": 60,
    "protocols": [9, 10, 12, 14, 2, 3, 7], "startdelay": 0, "delivery": [1, 2],
}  # fmt: skip

_MALFORMED: Final = {"half a request": b'{"id": "certify-103", "imp": [{"id"', "no JSON at all": b"\xff\xfe<xml/>"}

SAMPLES: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "display": (
        {"banner": {"w": 300, "h": 250}},
        {"banner": {"format": [{"w": 728, "h": 90}, {"w": 970, "h": 250}]}},
        {"banner": {"w": 320, "h": 50, "pos": 1}},
    ),
    "native": ({"native": {"request": orjson.dumps(_NATIVE).decode(), "ver": "1.2"}},),
    "video": ({"video": _VIDEO}, {"video": _VIDEO | {"protocols": [2, 3], "skip": 1}}),
    "audio": ({"audio": _AUDIO},),
}
"""Impressions by format; each is sent in a request of its own."""


class CertifyCheck(NamedTuple):
    """One question to the bidder. Of a failed one `request` and `answer` are kept, cut short."""

    name: str
    outcome: Outcome
    detail: str = ""
    request: str = ""
    answer: str = ""


class BidderReply(NamedTuple):
    """What came back: status 0 for no answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


IN_TIME: Final = "the test ends in time"
"""The name of the check that ends a run which took too long."""


class RunTooLong(Exception):
    """The time of the run is over."""


class BidderWire:
    """One kept-alive connection to the bidder, opened anew when it was closed. It works for `longest_s` in all."""

    def __init__(self, target: Target, headers: Mapping[str, str] | None = None, longest_s: float = LONGEST_S) -> None:
        self._target, self._headers = target, {**_HEADERS, **(headers or {})}
        self._connection = self._new()
        self._until = time.monotonic() + longest_s
        # A socket's time-out is for each read: one byte every four seconds would last for hours.
        self._closed = threading.Event()
        threading.Thread(target=self._watch, args=(longest_s,), daemon=True).start()
        self.reconnects = 0
        self.about = ""
        """The check that is being asked."""

    def ask(self, method: str, path: str, body: bytes | None = None) -> BidderReply:
        """Send a request and return the answer, with status 0 if the connection broke. Raises RunTooLong."""
        started = time.monotonic()
        if started >= self._until:
            raise RunTooLong
        try:
            self._connection.request(method, path, body, headers=self._headers if body is not None else {})
            response = self._connection.getresponse()
            content = response.read(_MOST_BYTES)
            if len(content) == _MOST_BYTES:
                raise http.client.HTTPException(f"an answer of more than {_MOST_BYTES} bytes")
            if response.length:  # `read` with a size may end early without an error
                raise http.client.IncompleteRead(content, response.length)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() >= self._until:
                raise RunTooLong from error
            self._connection.close()
            self._connection = self._new()
            self.reconnects += 1
            return BidderReply(0, {}, str(error).encode(), time.monotonic() - started)
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            self.reconnects += 1
        return BidderReply(response.status, headers, content, time.monotonic() - started)

    def bid(self, request: Mapping[str, Any]) -> BidderReply:
        """A bid request to the endpoint."""
        return self.post(orjson.dumps(request))

    def post(self, body: bytes) -> BidderReply:
        """Whatever bytes, to the endpoint."""
        return self.ask("POST", self._target.path, body)

    def close(self) -> None:
        self._closed.set()
        self._connection.close()

    def _watch(self, longest_s: float) -> None:
        """When the time is over, end the call that is waiting, even if it is still connecting."""
        wait_s = longest_s
        while not self._closed.wait(wait_s):
            wait_s = 0.2
            sock = self._connection.sock
            if sock is not None:
                with contextlib.suppress(OSError):  # it is closed already
                    sock.shutdown(socket.SHUT_RDWR)

    def _new(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._target.tls else http.client.HTTPConnection
        return kind(self._target.host, self._target.port, timeout=PATIENCE_S)


def sample(imp: Mapping[str, Any], number: int, currency: str) -> dict[str, Any]:
    """A whole request with one impression."""
    return {
        "id": f"certify-{number}",
        "imp": [{"id": "1", "secure": 1, "bidfloor": 0.01, "bidfloorcur": currency} | copy.deepcopy(dict(imp))],
        "site": _SITE,
        "device": _DEVICE,
        "at": 2,
        "cur": [currency],
        "tmax": TMAX_MS,
        "test": 1,
        "regs": {"gdpr": 0},
    }


def certify(
    url: str, currency: str = "PLN", headers: Mapping[str, str] | None = None, longest_s: float = LONGEST_S
) -> Iterator[CertifyCheck]:
    """Ask the bidder at `url` everything, one check after the other. Raises ValueError, ConnectionError.

    `headers` go with each bid request: the bidder knows the exchange by them. After `longest_s` the run ends with a
    failed check that says what it waited for.
    """
    wire = BidderWire(parse_target(url), headers, longest_s)
    try:
        yield from _reachable(wire)
        offered = 0
        for name, imps in SAMPLES.items():
            yield from _format(wire, name, [sample(imp, offered + at, currency) for at, imp in enumerate(imps)])
            offered += len(imps)
        yield from _refusals(wire, currency)
        yield from _manners(wire, currency)
    except RunTooLong:
        detail = f"ended after {longest_s:g} s, while it waited for: {wire.about}"
        yield CertifyCheck(IN_TIME, "failed", f"{detail}; the bidder hangs or is too slow: see its log, start it again")
    finally:
        wire.close()


def _reachable(wire: BidderWire) -> Iterator[CertifyCheck]:
    wire.about = "readiness"
    reply = wire.ask("GET", "/readyz")
    if reply.status == 0:
        raise ConnectionError(reply.body.decode(errors="replace"))
    if reply.status == 404:
        yield CertifyCheck("readiness", "not shown", "no page /readyz: ask the operator which one it is")
    else:
        yield _told("readiness", reply.status == 200, f"/readyz answers {reply.status or 'nothing'}", None, reply)


def _format(wire: BidderWire, name: str, requests: Sequence[dict[str, Any]]) -> Iterator[CertifyCheck]:
    """Checks that answers are in time and break no rule, and that a bid came for one of the samples."""
    bids = 0
    for at, request in enumerate(requests, 1):
        wire.about = title = f"{name} {at}"
        reply = wire.bid(request)
        fault = _fault_of(reply)
        answer = _judged(request, reply) if not fault and reply.status == 200 else None
        if answer is not None and answer.violations:
            fault = "; ".join(one.detail for one in answer.violations[:5])
        bids += len(answer.bids) if answer is not None else 0
        yield _told(
            title, not fault, fault or f"status {reply.status} after {reply.seconds * 1000:.0f} ms", request, reply
        )
    if bids:
        yield CertifyCheck(f"{name}: bids", "passed", f"{bids} in {len(requests)} samples")
    else:
        detail = "no sample was bid on: the bidder has no ad for them, or no budget"
        yield CertifyCheck(f"{name}: bids", "not shown", detail)


def _fault_of(reply: BidderReply) -> str:
    """The fault of an answer before its bids are looked at; "" for none."""
    if reply.status not in (200, 204):
        return f"status {reply.status or f'missing: no answer after {reply.seconds:.1f} s'}"
    if reply.seconds * 1000 > TMAX_MS:
        return f"late: {reply.seconds * 1000:.0f} ms of {TMAX_MS}"
    if reply.status == 204 and reply.body:
        return "204 with a body"
    if reply.status == 200 and "json" not in reply.headers.get("content-type", ""):
        return f"content type '{reply.headers.get('content-type', '')}' is not JSON"
    return ""


def _judged(request: Mapping[str, Any], reply: BidderReply) -> Answer:
    checker = Checker(None, {}, lambda: round(time.time() * 1000))
    return checker.check(text(request.get("id")), facts_of(request), reply.body)


def _refusals(wire: BidderWire, currency: str) -> Iterator[CertifyCheck]:
    """Checks what the bidder must not bid on, and bodies that are no request."""
    banner = SAMPLES["display"][0]
    dear = sample({**banner, "bidfloor": IMPOSSIBLE_FLOOR}, 100, currency)
    yield _without_bid("no bid below an impossible floor", wire, dear)
    yield _without_bid("no bid on a banner of 17 x 3", wire, sample({"banner": {"w": 17, "h": 3}}, 101, currency))
    foreign = sample(banner, 102, currency) | {"wseat": ["certify-nobody"]}
    yield _without_bid("no bid for a seat that is not invited", wire, foreign)
    for name, body in _MALFORMED.items():
        wire.about = f"400 on {name}"
        reply = wire.post(body)
        yield _told(f"400 on {name}", reply.status == 400, f"status {reply.status or 'missing'}", None, reply)
    wire.about = "no bid without an impression"
    reply = wire.bid({"id": "certify-105", "imp": []})
    refused = _is_no_bid(reply) or reply.status == 400
    yield _told("no bid without an impression", refused, f"status {reply.status}", None, reply)
    wire.about = "requests after a malformed one are answered"
    reply = wire.bid(sample(banner, 106, currency))
    yield _told("requests after a malformed one are answered", not _fault_of(reply), _fault_of(reply), None, reply)
    yield from _blocked_domains(wire, currency)


def _blocked_domains(wire: BidderWire, currency: str) -> Iterator[CertifyCheck]:
    wire.about = "blocked advertisers stay away"
    request = sample(SAMPLES["display"][0], 107, currency)
    domains = {domain for bid in _bids_of(wire.bid(request)) for domain in texts(bid.get("adomain"))}
    if not domains:
        yield CertifyCheck("blocked advertisers stay away", "not shown", "no bid named a domain that could be blocked")
        return
    blocked = request | {"id": "certify-108", "badv": sorted(domains)}
    reply = wire.bid(blocked)
    again = domains & {domain for bid in _bids_of(reply) for domain in texts(bid.get("adomain"))}
    yield _told("blocked advertisers stay away", not again, f"blocked: {', '.join(sorted(domains))}", blocked, reply)


def _manners(wire: BidderWire, currency: str) -> Iterator[CertifyCheck]:
    """Checks what exchanges rely on besides bids."""
    banner = SAMPLES["display"][0]
    odd = sample(banner, 200, currency) | {"ext": {"certify": [1, {"deep": None}]}, "unheard_of": {"of": True}}
    wire.about = "unknown members are tolerated"
    reply = wire.bid(odd)
    yield _told("unknown members are tolerated", not _fault_of(reply), _fault_of(reply), odd, reply)
    wire.about, before = "the connection stays open", wire.reconnects
    replies = [wire.bid(sample(banner, 201 + at, currency)) for at in range(20)]
    detail = f"{wire.reconnects - before} of {len(replies)} answers closed the connection"
    yield _told("the connection stays open", wire.reconnects == before, detail, None, replies[-1])
    slowest = max(reply.seconds for reply in replies) * 1000
    yield _told(
        "twenty answers in a row are in time", slowest <= TMAX_MS, f"slowest {slowest:.0f} ms", None, replies[-1]
    )
    wire.about = "bids of an answer have ids of their own"
    request = sample(banner, 230, currency)
    request["imp"] += [{**request["imp"][0], "id": "2"}]
    reply = wire.bid(request)
    ids = [text(bid.get("id")) for bid in _bids_of(reply)]
    if len(ids) > 1:
        yield _told(
            "bids of an answer have ids of their own", len(set(ids)) == len(ids), ", ".join(ids), request, reply
        )
    else:
        detail = "fewer than two bids came for two impressions"
        yield CertifyCheck("bids of an answer have ids of their own", "not shown", detail)


def _without_bid(name: str, wire: BidderWire, request: dict[str, Any]) -> CertifyCheck:
    wire.about = name
    reply = wire.bid(request)
    return _told(name, _is_no_bid(reply), f"status {reply.status}", request, reply)


def _is_no_bid(reply: BidderReply) -> bool:
    return reply.status == 204 or (reply.status == 200 and not _bids_of(reply))


def _bids_of(reply: BidderReply) -> list[Mapping[str, Any]]:
    """The bids of an answer; none where it has another form."""
    try:
        answer = mapping(orjson.loads(reply.body)) if reply.status == 200 else {}
    except ValueError:
        return []
    return [bid for seat in objects(answer.get("seatbid")) for bid in objects(seat.get("bid"))]


def _told(name: str, passed: bool, detail: str, request: Mapping[str, Any] | None, reply: BidderReply) -> CertifyCheck:
    if passed:
        return CertifyCheck(name, "passed", detail)
    sent = orjson.dumps(request).decode()[:_KEPT_BYTES] if request is not None else ""
    return CertifyCheck(name, "failed", detail, sent, reply.body[:_KEPT_BYTES].decode(errors="replace"))
