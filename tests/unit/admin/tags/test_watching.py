"""What the browser tells of the network, in whichever order it comes."""

from typing import Any

import pytest

from admin.tags.watching import MAX_REQUESTS, PageWatcher

EVENTS = "https://track.example/e/1"


def sent(number: str, url: str = EVENTS, method: str = "POST", **members: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401
    asked = {"url": url, "method": method, "postData": '{"event": "page_view"}'}
    return "Network.requestWillBeSent", {"requestId": number, "request": asked, **members}


def told(*events: tuple[str, dict[str, Any]]) -> PageWatcher:
    watcher = PageWatcher()
    for name, members in events:
        watcher.take(name, members, "")
    return watcher


SEEN = "Network.responseReceived", {"requestId": "1", "response": {"status": 204}}
UNSEEN = "Network.responseReceivedExtraInfo", {"requestId": "1", "statusCode": 403}
FAILED = "Network.loadingFailed", {"requestId": "1", "errorText": "net::ERR_FAILED"}


@pytest.mark.parametrize(
    "order", [(sent("1"), UNSEEN, FAILED), (UNSEEN, sent("1"), FAILED), (sent("1"), FAILED, UNSEEN)]
)
def test_an_answer_that_the_page_may_not_see_has_a_status(order: tuple[tuple[str, dict[str, Any]], ...]) -> None:
    (request,) = told(*order).requests()
    assert (request.status, request.failure, request.body) == (403, "net::ERR_FAILED", '{"event": "page_view"}')


def test_why_a_request_was_not_made_is_kept() -> None:
    blocked = "Network.loadingFailed", {"requestId": "1", "errorText": "net::ERR", "blockedReason": "csp"}
    assert [(one.status, one.failure) for one in told(sent("1"), blocked).requests()] == [(0, "csp")]


def test_a_redirect_is_a_request_of_its_own() -> None:
    onward = sent("1", f"{EVENTS}0", redirectResponse={"status": 307})
    first, second = told(sent("1"), onward, SEEN).requests()
    assert (first.url, first.status, first.failure) == (EVENTS, 307, "redirected")
    assert (second.url, second.status, second.failure) == (f"{EVENTS}0", 204, "")


@pytest.mark.parametrize(
    ("method", "url", "kept"),
    [
        ("POST", EVENTS, True),
        ("GET", f"{EVENTS}?event=page_view", True),
        ("GET", f"{EVENTS}?d=%7B%7D", True),
        ("GET", EVENTS, False),
        ("GET", f"{EVENTS}?v=1", False),
        ("OPTIONS", EVENTS, False),
        ("GET", "https://track.example/tag.js", True),
        ("GET", "https://other.example/js/tag.js", False),
        ("POST", "https://track.example/e/shop", False),
        ("POST", "https://track.example/collect", False),
        ("GET", "data:text/plain,/tag.js", False),
        ("GET", "http://[", False),
    ],
)
def test_only_what_goes_to_a_tracker_is_kept(method: str, url: str, kept: bool) -> None:
    assert bool(told(sent("1", url, method)).requests()) is kept


def test_a_page_in_a_loop_fills_no_memory() -> None:
    assert len(told(*(sent(str(number)) for number in range(MAX_REQUESTS + 9))).requests()) == MAX_REQUESTS
