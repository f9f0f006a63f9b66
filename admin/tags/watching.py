"""Opens one page in a browser for a bounded time and keeps what its tag asked of a tracker."""

import asyncio
import re
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from admin.tags.devtools import Devtools, running_browser
from core.errors import UnavailableError
from creatives.preview.gate import WayOut

LOAD_S: Final = 30.0
"""A page that has not loaded by then is judged as it is."""
# Time for what happens besides loading and waiting: the browser starts, bodies are fetched. It is generous, and ends
# what hangs.
_AROUND_S: Final = 60.0

_EVENTS_PATH: Final = re.compile(r"/e/[0-9]{1,10}")
_TAG_PATH: Final = "/tag.js"
_EVENT_MEMBERS: Final = ("event", "name", "d")
# A page in a loop must not fill our memory; the first ones tell what is wrong.
MAX_REQUESTS: Final = 200
_MAX_STATUSES: Final = 20_000
_MAX_COMPLAINTS: Final = 5
_COMPLAINT_CHARS: Final = 500
# The tracker takes no larger bodies.
_MAX_BODY_BYTES: Final = 512 * 1024

_STATE: Final = """({
  url: location.href,
  tags: [...document.querySelectorAll("script[data-advertiser]")].slice(0, 10)
    .map(s => [String(s.src), s.dataset.advertiser]),
  ready: !!(window.grosz && window.grosz.ready),
  queued: Array.isArray(window.grosz) ? window.grosz.length : 0,
  platform: typeof window.__tcfapi === "function",
})"""


class TagRequest(msgspec.Struct):
    """A request of the page to a tracker: for the tag, or with events. `status` 0: there was no answer."""

    url: str
    method: str
    body: str = ""
    status: int = 0
    failure: str = ""
    answer: str = ""


class PageState(msgspec.Struct):
    """What the page says of itself at the end: its tags (address, advertiser), whether one runs, calls that wait."""

    url: str = ""
    tags: list[tuple[str, str]] = []
    ready: bool = False
    queued: int = 0
    platform: bool = False


class Watched(msgspec.Struct):
    """What was seen of a page. `failure`: it could not be opened; `late`: it had not loaded in time."""

    status: int = 0
    failure: str = ""
    late: bool = False
    state: PageState = msgspec.field(default_factory=PageState)
    scripts: list[TagRequest] = []
    events: list[TagRequest] = []
    complaints: list[str] = []


async def watch(page: str, program: str, *, wait_s: float, allow_private: bool) -> Watched:
    """Open the page as a new visitor and look for `wait_s` after it has loaded. Raises UnavailableError."""
    watcher = PageWatcher()
    try:
        async with (
            asyncio.timeout(LOAD_S + wait_s + _AROUND_S),
            WayOut(("", 0), allow_private=allow_private) as gate,
            running_browser(program, gate.port, watcher.take) as browser,
        ):
            return await watcher.visit(browser, page, wait_s)
    except TimeoutError:
        raise UnavailableError("the browser has not come to an end with the page") from None


class PageWatcher:
    """Takes what the browser tells of the network, and keeps what concerns the tag."""

    def __init__(self) -> None:
        self._browser: Devtools | None = None
        self._loaded = asyncio.Event()
        self._kept: dict[str, tuple[TagRequest, str]] = {}  # by the browser's number of the request, with its session
        self._hops: list[TagRequest] = []
        self._statuses: dict[str, int] = {}
        self._complaints: list[str] = []
        self._handlers = {
            "Network.requestWillBeSent": self._sent,
            "Network.responseReceived": self._answered,
            "Network.responseReceivedExtraInfo": self._answered_unseen,
            "Network.loadingFailed": self._failed,
            "Page.loadEventFired": self._load,
            "Page.javascriptDialogOpening": self._dialog,
            "Target.attachedToTarget": self._attached,
            "Log.entryAdded": self._logged,
        }

    def take(self, name: str, members: dict[str, Any], session: str) -> None:
        """One event of the browser."""
        handler = self._handlers.get(name)
        if handler is not None:
            handler(members, session)

    async def visit(self, browser: Devtools, page: str, wait_s: float) -> Watched:
        """Open the page, wait, ask it for its state, and leave it."""
        self._browser = browser
        target = await browser.call("Target.createTarget", url="about:blank")
        attached = await browser.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        session = attached["sessionId"]
        _listen_to(browser, session)
        for domain in ("Page", "Log"):
            await browser.call(f"{domain}.enable", session)
        self._loaded.clear()  # the empty page has loaded, too
        try:
            opened = await browser.call("Page.navigate", session, url=page)
        except UnavailableError as error:
            return Watched(failure=error.message)
        if opened.get("errorText"):
            return Watched(failure=opened["errorText"])
        late = not await self._has_loaded()
        await asyncio.sleep(wait_s)
        state = await _state(browser, session)
        await self._fetch_bodies(browser)
        requests = self.requests()
        return Watched(
            status=self._statuses.get(opened.get("loaderId", ""), 0),
            late=late,
            state=state,
            scripts=[one for one in requests if urlsplit(one.url).path == _TAG_PATH],
            events=[one for one in requests if urlsplit(one.url).path != _TAG_PATH],
            complaints=self._complaints,
        )

    def requests(self) -> list[TagRequest]:
        """What was kept so far; each hop of a redirect is a request."""
        return [*self._hops, *(request for request, _ in self._kept.values())]

    async def _has_loaded(self) -> bool:
        try:
            await asyncio.wait_for(self._loaded.wait(), LOAD_S)
        except TimeoutError:
            return False
        return True

    async def _fetch_bodies(self, browser: Devtools) -> None:
        """What was sent in several pieces, and what the tracker answered, as far as the browser still has it."""
        for number, (request, session) in self._kept.items():
            if request.method == "POST" and not request.body:
                sent = await _ask(browser, "Network.getRequestPostData", session, number)
                request.body = str(sent.get("postData", ""))
            if request.method == "POST" and request.status in (200, 400, 503):
                told = await _ask(browser, "Network.getResponseBody", session, number)
                request.answer = str(told.get("body", ""))

    def _sent(self, members: dict[str, Any], session: str) -> None:
        number, asked = members["requestId"], members["request"]
        known = self._kept.pop(number, None)
        if known is not None and "redirectResponse" in members:
            hop, _ = known
            hop.status, hop.failure = members["redirectResponse"]["status"], "redirected"
            self._hops.append(hop)
        if _concerns_us(asked["method"], asked["url"]) and len(self._kept) + len(self._hops) < MAX_REQUESTS:
            request = TagRequest(asked["url"], asked["method"], asked.get("postData", ""))
            request.status = self._statuses.get(number, 0) if known is None else 0
            self._kept[number] = request, session

    def _answered(self, members: dict[str, Any], _session: str) -> None:
        self._note(members["requestId"], members["response"]["status"])

    def _answered_unseen(self, members: dict[str, Any], _session: str) -> None:
        """Note the status also of an answer that the page itself may not see, such as a refusal without CORS."""
        self._note(members["requestId"], members["statusCode"])

    def _note(self, number: str, status: int) -> None:
        if len(self._statuses) < _MAX_STATUSES:
            self._statuses[number] = status
        if number in self._kept:
            self._kept[number][0].status = status

    def _failed(self, members: dict[str, Any], _session: str) -> None:
        if members["requestId"] in self._kept:
            blocked = members.get("blockedReason", "")
            cors = members.get("corsErrorStatus", {}).get("corsError", "")
            self._kept[members["requestId"]][0].failure = blocked or cors or members.get("errorText", "failed")

    def _load(self, _members: dict[str, Any], _session: str) -> None:
        self._loaded.set()

    def _dialog(self, _members: dict[str, Any], session: str) -> None:
        if self._browser is not None:
            self._browser.tell("Page.handleJavaScriptDialog", session, accept=False)

    def _attached(self, members: dict[str, Any], _session: str) -> None:
        # The page itself is attached by hand; `visit` listens to it.
        if self._browser is not None and members.get("waitingForDebugger"):
            _listen_to(self._browser, members["sessionId"])

    def _logged(self, members: dict[str, Any], _session: str) -> None:
        entry = members["entry"]
        text = str(entry.get("text", ""))
        about = f"{text} {entry.get('url', '')}"
        is_ours = _TAG_PATH in about or _EVENTS_PATH.search(about) is not None
        # Failures of the network and of CORS are told with their request; where a content security policy blocks, there
        # is none.
        is_told = entry.get("source") == "network" or "CORS policy" in text
        if entry.get("level") == "error" and is_ours and not is_told and len(self._complaints) < _MAX_COMPLAINTS:
            self._complaints.append(text[:_COMPLAINT_CHARS])


async def _state(browser: Devtools, session: str) -> PageState:
    """The state of the page; an empty one where the page is too busy to answer."""
    try:
        answer = await browser.call("Runtime.evaluate", session, expression=_STATE, returnByValue=True)
        return msgspec.convert(answer.get("result", {}).get("value"), PageState)
    except (UnavailableError, msgspec.ValidationError):
        return PageState()


def _listen_to(browser: Devtools, session: str) -> None:
    """Have the browser tell of the network of a page or frame; frames of other sites are pages of their own to it."""
    browser.tell("Network.enable", session, maxPostDataSize=_MAX_BODY_BYTES)
    browser.tell("Target.setAutoAttach", session, autoAttach=True, waitForDebuggerOnStart=True, flatten=True)
    browser.tell("Runtime.runIfWaitingForDebugger", session)


async def _ask(browser: Devtools, method: str, session: str, number: str) -> dict[str, Any]:
    try:
        return await browser.call(method, session, requestId=number)
    except UnavailableError:
        return {}


def _concerns_us(method: str, url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if method == "GET" and parts.path == _TAG_PATH:
        return True
    if not _EVENTS_PATH.fullmatch(parts.path):
        return False
    # Another site's picture may lie at such a path; an event is recognised by its members.
    return method == "POST" or (method == "GET" and any(name in parse_qs(parts.query) for name in _EVENT_MEMBERS))
