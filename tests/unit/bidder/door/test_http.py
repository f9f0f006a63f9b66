"""The rules of the bid port's HTTP that need no connection."""

import gzip
import zlib

import pytest

from bidder.door.http import (
    MAX_BODY_BYTES,
    MIN_GZIP_BYTES,
    NO_CONTENT,
    HttpRefusal,
    Route,
    accepts_gzip,
    bid_answer,
    content_coding,
    gunzip,
    is_json,
    method_answer,
    page_answer,
    route,
)
from tests.kit.bid_port import parse_answers


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (b"/openrtb2/demo", Route(exchange="demo")),
        (b"/openrtb2/demo?token=1#part", Route(exchange="demo")),
        (b"http://bid.example:8080/openrtb2/a-B_9.~", Route(exchange="a-B_9.~")),
        (b"/openrtb2/", Route()),
        (b"/openrtb2/" + b"a" * 65, Route()),
        (b"/openrtb2/demo/more", Route()),
        (b"/openrtb2/%64emo", Route()),
        (b"/openrtb2/../healthz", Route()),
        (b"ftp://bid.example/openrtb2/demo", Route()),
        (b"*", Route()),
        (b"/healthz", Route(path="/healthz")),
        (b"/\xff", Route(path="/\xff")),
    ],
)
def test_a_url_means_one_exchange_one_page_or_nothing(url: bytes, expected: Route) -> None:
    assert route(url) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/json", True), (b"Application/JSON; charset=utf-8", True), (b"", True), (b"text/json", True),
        (b"application/vnd.x+json", True), (b"text/plain", False), (b"application/x-protobuf", False),
        (b"application/json, text/plain", False),
    ],
)  # fmt: skip
def test_only_json_is_read(content_type: bytes, expected: bool) -> None:
    assert is_json(content_type) is expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (b"gzip", True), (b"deflate, GZIP;q=0.5", True), (b"x-gzip", True), (b"gzip;q=0", False),
        (b"gzip; q=0.000", False), (b"gzip;q=1.0", True), (b"br", False), (b"*", False), (b"", False),
    ],
)  # fmt: skip
def test_gzip_is_used_when_asked_for_by_name(accept_encoding: bytes, expected: bool) -> None:
    assert accepts_gzip(accept_encoding) is expected


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [(b"gzip", True), (b"x-gzip", True), (b"", False), (b"Identity", False), (b"br", None), (b"gzip, gzip", None)],
)
def test_codings_that_are_not_read_are_told_apart(encoding: bytes, expected: bool | None) -> None:
    assert content_coding(encoding) is expected


def test_gzip_members_are_joined() -> None:
    assert gunzip(gzip.compress(b"{}") + gzip.compress(b"[]")) == b"{}[]"


@pytest.mark.parametrize("cut", [1, 5, 9, 20])
def test_gzip_that_is_cut_or_damaged_is_none(cut: int) -> None:
    whole = gzip.compress(b'{"id": "a", "imp": []}')
    assert gunzip(whole[:-cut]) is None
    assert gunzip(whole + b"x" * cut) is None
    assert gunzip(whole[:-8] + bytes(8)) is None
    assert gunzip(b"") is None


def test_a_bomb_is_refused_at_the_bound_and_not_above() -> None:
    assert gunzip(gzip.compress(bytes(MAX_BODY_BYTES))) == bytes(MAX_BODY_BYTES)
    for bomb in (gzip.compress(bytes(MAX_BODY_BYTES + 1)), gzip.compress(bytes(1000)) * 300):
        with pytest.raises(HttpRefusal) as caught:
            gunzip(bomb)
        assert caught.value.status == 413


def test_a_bid_says_its_version_and_its_length() -> None:
    (answer,) = parse_answers(bid_answer(200, b'{"id":"a"}', closes=False, gzips=True))
    assert answer.status == 200
    assert answer.fields == {"content-type": "application/json", "x-openrtb-version": "2.6", "content-length": "10"}
    assert answer.body == b'{"id":"a"}'


def test_large_answers_are_compressed_when_asked_for() -> None:
    body = b"x" * MIN_GZIP_BYTES
    (answer,) = parse_answers(bid_answer(200, body, closes=True, gzips=True))
    assert answer.fields["content-encoding"] == "gzip"
    assert answer.fields["connection"] == "close"
    assert zlib.decompress(answer.body, 31) == body
    (plain,) = parse_answers(bid_answer(200, body, closes=False, gzips=False))
    assert plain.body == body


def test_a_no_bid_has_neither_content_nor_length() -> None:
    assert NO_CONTENT == b"HTTP/1.1 204 No Content\r\nx-openrtb-version: 2.6\r\n\r\n"
    (closing,) = parse_answers(bid_answer(204, b"", closes=True, gzips=False))
    assert closing.fields == {"x-openrtb-version": "2.6", "connection": "close"}


@pytest.mark.parametrize("status", [400, 401, 404, 408, 413, 415, 417, 431, 501, 503, 505])
def test_refusals_have_no_content(status: int) -> None:
    (answer,) = parse_answers(bid_answer(status, b"", closes=False, gzips=True))
    assert (answer.status, answer.body, answer.fields["content-length"]) == (status, b"", "0")
    assert ("www-authenticate" in answer.fields) == (status == 401)
    assert ("accept" in answer.fields) == (status == 415)


def test_pages_and_methods() -> None:
    (page,) = parse_answers(page_answer(503, "text/plain", b"away", closes=False, head=False))
    assert (page.status, page.body) == (503, b"away")
    assert page_answer(200, "text/plain", b"away", closes=False, head=True).endswith(b"content-length: 4\r\n\r\n")
    (method,) = parse_answers(method_answer(b"POST", closes=True))
    assert (method.status, method.fields["allow"], method.fields["connection"]) == (405, "POST", "close")
