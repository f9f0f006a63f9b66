"""What is said of requests that a page's tag was seen to make."""

import json
from typing import Any

import pytest

from admin.tags.judging import EventCheck, ProductIdCheck, TagCheck, judge
from admin.tags.watching import PageState, TagRequest, Watched
from segments.events.consent import REFUSED, EventConsentPolicy

PAGE = "https://buty.example/szpilki/7"
TRACKER = "https://track.example/e/1"
TAG = "https://track.example/tag.js"
NOW_MS = 1_800_000_000_000
POLICY = EventConsentPolicy(lambda _text: REFUSED)
RUNS = PageState(url=PAGE, tags=[(TAG, "1")], ready=True)
HEELS = {"item_id": "red-heels", "price": 320}


def post(*events: object, status: int = 204, said: dict[str, object] | None = None) -> TagRequest:
    body = json.dumps({"events": list(events), "gdpr": 0, **(said or {})})
    return TagRequest(TRACKER, "POST", body, status)


def check(
    *requests: TagRequest, state: PageState = RUNS, advertiser: int = 0, seen: dict[str, Any] | None = None
) -> TagCheck:
    members = {"scripts": [TagRequest(TAG, "GET", status=200)]} | (seen or {})
    watched = Watched(status=200, state=state, events=list(requests), **members)
    return judge(PAGE, watched, POLICY, NOW_MS, advertiser)


def only(*requests: TagRequest, advertiser: int = 0) -> EventCheck:
    (event,) = check(*requests, advertiser=advertiser).events
    return event


def codes(event: EventCheck) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Pointers and codes of errors and of warnings."""
    errors, warnings = ({(fault.pointer, fault.code) for fault in each} for each in (event.errors, event.warnings))
    return errors, warnings


def test_a_good_event_is_told_with_all_it_says() -> None:
    order = {"event": "purchase", "transaction_id": "A-1", "value": 640, "currency": "PLN", "items": [HEELS]}
    found = check(post(order))
    assert found.is_good
    assert (found.page, found.status, found.problems) == (PAGE, 200, [])
    (event,) = found.events
    assert (event.event, event.advertiser_id, event.tracker) == ("purchase", 1, "track.example")
    assert (event.product_ids, event.value, event.currency) == (["red-heels"], 640.0, "PLN")
    assert (event.consent.said, event.consent.permits) == ("gdpr 0", True)
    assert (event.status, event.fate, event.why) == (204, "accepted", "")
    assert codes(event) == (set(), set())


@pytest.mark.parametrize(
    ("event", "errors", "warnings"),
    [
        ({"event": "add_to_cart", "items": [HEELS]}, set(), {("/currency", "missing")}),
        ({"event": "add_to_cart", "items": [{**HEELS, "currency": "PLN"}]}, set(), set()),
        ({"event": "view_item", "items": [{"item_id": "red-heels"}]}, set(), set()),
        ({"event": "view_item"}, {("/items", "missing")}, set()),
        ({"event": "purchse"}, set(), {("/event", "custom_event")}),
        ({"event": "Kup teraz"}, {("/event", "value")}, set()),
        ({"event": "opt_out"}, set(), set()),
        ({"event": "viewHome"}, set(), set()),
        ({"event": "setAccount"}, {("/event", "value")}, set()),
        ({"event": "purchase"}, set(), {("/transaction_id", "missing"), ("/value", "missing")}),
        ({"event": "page_view", "valu": 3}, set(), {("/valu", "unknown_member")}),
        ({"event": "page_view", "value": "dear"}, {("/value", "value")}, {("/currency", "missing")}),
        ({"event": "page_view", "value": 1, "currency": "zloty"}, {("/currency", "value")}, set()),
    ],
)
def test_what_is_wrong_with_an_event_is_named(
    event: dict[str, object], errors: set[tuple[str, str]], warnings: set[tuple[str, str]]
) -> None:
    found = check(post(event))
    assert codes(found.events[0]) == (errors, warnings)
    assert found.is_good is not bool(errors)
    assert (found.events[0].fate == "invalid") is bool(errors)


def test_a_mistyped_name_is_told_with_the_one_that_was_meant() -> None:
    (fault,) = only(post({"event": "purchse"})).warnings
    assert fault.hint == "did you mean 'purchase'?"


@pytest.mark.parametrize(
    ("said", "words", "fate"),
    [
        ({"gdpr": 0}, "gdpr 0", "accepted"),
        ({"gdpr": None}, "nothing", "dropped"),
        ({"gdpr": 1, "consent": "CP..."}, "gdpr 1, TC string", "dropped"),
        ({"gdpr": 0, "ad_storage": "denied"}, "refused by ad_storage", "dropped"),
    ],
)
def test_without_consent_an_event_is_dropped_although_the_answer_is_the_same(
    said: dict[str, object], words: str, fate: str
) -> None:
    event = only(post({"event": "page_view"}, said=said))
    assert (event.consent.said, event.fate, event.consent.permits) == (words, fate, fate == "accepted")


@pytest.mark.parametrize(
    ("status", "failure", "fate", "why"),
    [
        (403, "net::ERR_FAILED", "refused", "403, the page is not one of the shop's"),
        (404, "", "refused", "404, the tracker knows no such advertiser"),
        (500, "", "refused", "500"),
        (301, "redirected", "refused", "301, it was redirected"),
        (0, "csp", "unanswered", "the page's content security policy forbids it"),
        (0, "net::ERR_NAME_NOT_RESOLVED", "unanswered", "net::ERR_NAME_NOT_RESOLVED"),
        (0, "", "unanswered", "there was no answer before the end"),
    ],
)
def test_what_did_not_arrive_is_told_with_the_reason(status: int, failure: str, fate: str, why: str) -> None:
    request = post({"event": "page_view"}, status=status)
    request.failure = failure
    found = check(request)
    assert not found.is_good
    assert (found.events[0].fate, found.events[0].why.startswith(why)) == (fate, True)


def test_the_trackers_own_word_goes_first() -> None:
    request = post({"event": "page_view"}, {"event": "view_item", "items": [HEELS], "currency": "XAU"}, status=200)
    fault = {"pointer": "/currency", "code": "unknown", "message": "no exchange rate for XAU"}
    results = [{"status": "dropped", "reason": "no consent"}, {"status": "invalid", "errors": [fault]}]
    request.answer = json.dumps({"results": results})
    first, second = check(request).events
    assert (first.fate, first.why) == ("dropped", "no consent")
    assert (second.fate, codes(second)[0]) == ("invalid", {("/currency", "unknown")})


@pytest.mark.parametrize("answer", ["", "{", "[]", '{"results": 1}', '{"results": [{"errors": 7}]}', '{"errors": "x"}'])
def test_an_answer_that_is_no_answer_of_a_tracker_is_passed_over(answer: str) -> None:
    request = post({"event": "page_view"}, status=200)
    request.answer = answer
    assert only(request).event == "page_view"


def test_what_the_tag_sends_again_is_one_event() -> None:
    event = {"event": "page_view", "event_id": "1"}
    assert only(post(event, status=0), post(event)).fate == "accepted"
    assert only(post(event), post(event, status=0)).fate == "accepted"
    assert len(check(post({"event": "page_view"}), post({"event": "page_view"})).events) == 2


def test_an_image_is_an_event() -> None:
    url = f"{TRACKER}?event=view_item&items=red-heels:320:1&gdpr=0"
    event = only(TagRequest(url, "GET", status=200))
    assert (event.event, event.product_ids, event.fate) == ("view_item", ["red-heels"], "accepted")


@pytest.mark.parametrize("body", ["", "no json", "[1]", '{"events": []}', '{"events": {"a": 1}}'])
def test_a_body_that_holds_no_events_is_an_error(body: str) -> None:
    event = only(TagRequest(TRACKER, "POST", body, 400))
    assert (event.fate, len(event.errors)) == ("invalid", 1)


def test_another_shops_tag_is_an_error_when_the_shop_is_named() -> None:
    assert check(post({"event": "page_view"}), advertiser=1).is_good
    event = only(post({"event": "page_view"}), advertiser=2)
    assert codes(event)[0] == {("", "other_advertiser")}


def test_a_product_that_no_feed_has_is_a_fault() -> None:
    found = check(post({"event": "view_item", "items": [{"item_id": "a"}]}))
    found.products = [ProductIdCheck("a", "group", "A")]
    assert found.is_good
    found.products.append(ProductIdCheck("b", "none"))
    assert not found.is_good


@pytest.mark.parametrize(
    ("state", "seen", "problem"),
    [
        (PageState(), {}, "there is no tag"),
        (PageState(), {"failure": "net::ERR_CONNECTION_REFUSED"}, "the page could not be opened: net::ERR_CONN"),
        (PageState(tags=[(TAG, "SHOP")], ready=True), {}, "data-advertiser is 'SHOP'"),
        (PageState(tags=[(TAG, "1")]), {"scripts": [TagRequest(TAG, "GET", status=404)]}, "the tag was not loaded"),
        (PageState(tags=[(TAG, "1")]), {"scripts": [TagRequest(TAG, "GET", failure="csp")]}, "the tag was not loaded"),
        (PageState(tags=[(TAG, "1")]), {}, "the tag was loaded and did not run"),
        (PageState(tags=[(TAG, "1")], queued=2), {}, "2 call(s) wait for the tag"),
        (PageState(tags=[(TAG, "1")], ready=True, platform=True), {}, "nothing was sent: the page's consent platform"),
        (RUNS, {}, "the tag runs, and the page pushes no event"),
        (RUNS, {"late": True}, "the page had not finished loading"),
        (RUNS, {"complaints": ["Refused to load"]}, "the browser says: Refused to load"),
    ],
)
def test_why_a_page_sends_nothing_is_said(state: PageState, seen: dict[str, Any], problem: str) -> None:
    found = check(state=state, seen=seen)
    assert not found.is_good
    assert any(text.startswith(problem) for text in found.problems), found.problems
