"""Framing: requests out of bytes, and everything whose end two programs might see at different places."""

import pytest

from bidder.door.framing import MAX_FRUITLESS_HEADS, Framing, Head
from bidder.door.http import MAX_BODY_BYTES, HttpRefusal
from bidder.door.limits import SLICE_BYTES
from tests.kit.bid_port import chunked, post


class Requests:
    """Keeps the requests that come out."""

    def __init__(self) -> None:
        self.seen: list[tuple[Head, bytes]] = []
        self.continues = 0
        self.framing = Framing(self)

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.framing.feed(piece)

    def request_complete(self, head: Head, body: bytes | bytearray) -> None:
        self.seen.append((head, bytes(body)))

    def continue_expected(self) -> None:
        self.continues += 1

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body in self.seen]


def refusal_of(data: bytes) -> int:
    """Status of the refusal, the same for the whole and for single bytes."""
    statuses = []
    for pieces in ([data], [data[position : position + 1] for position in range(len(data))]):
        requests = Requests()
        with pytest.raises(HttpRefusal) as caught:
            requests.feed(*pieces)
        assert requests.seen == []
        statuses.append(caught.value.status)
    assert statuses[0] == statuses[1]
    return statuses[0]


def head(*lines: str, first: str = "POST /openrtb2/demo HTTP/1.1") -> bytes:
    return "\r\n".join([first, "Host: a", *lines, "", ""]).encode("latin-1")


SMUGGLING = {
    "length and chunked": head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked and length": head("Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
    "two lengths": head("Content-Length: 2", "Content-Length: 3") + b"{} ",
    "the same length twice": head("Content-Length: 2", "Content-Length: 2") + b"{}",
    "a list of lengths": head("Content-Length: 2, 2") + b"{}",
    "a signed length": head("Content-Length: +2") + b"{}",
    "a negative length": head("Content-Length: -2") + b"{}",
    "a hexadecimal length": head("Content-Length: 0x2") + b"{}",
    "a length with a blank inside": head("Content-Length: 2 0") + b"{}",
    "an empty length": head("Content-Length:") + b"{}",
    "an enormous length": head("Content-Length: 18446744073709551618") + b"{}",
    "a folded field": head("X: a", " b") + b"",
    "a folded length": head("Content-Length:", " 2") + b"{}",
    "a folded coding": head("Transfer-Encoding:", " chunked") + b"0\r\n\r\n",
    "a blank before the first field": b"POST /openrtb2/demo HTTP/1.1\r\n Host: a\r\n\r\n",
    "a blank before the colon": head("Content-Length : 2") + b"{}",
    "a tab before the colon": head("Content-Length\t: 2") + b"{}",
    "a blank before the colon of a coding": head("Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "a line feed alone": head("X: a\nContent-Length: 2") + b"{}",
    "line feeds only": b"POST /openrtb2/demo HTTP/1.1\nHost: a\nContent-Length: 2\n\n{}",
    "a carriage return alone": head("X: a\rContent-Length: 2") + b"{}",
    "a zero byte in a value": head("X: a\x00b"),
    "a zero byte in a name": head("X\x00: b"),
    "no colon": head("Host a"),
    "no name": head(": a"),
    "chunked twice": head("Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "chunked in two fields": head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked is not last": head("Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "an empty coding": head("Transfer-Encoding:", "Content-Length: 2") + b"{}",
    "a coding with a control character": head("Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "chunked before its time": head("Transfer-Encoding: chunked", first="POST / HTTP/1.0") + b"0\r\n\r\n",
    "a chunk size with a prefix": head("Transfer-Encoding: chunked") + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a sign": head("Transfer-Encoding: chunked") + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a blank": head("Transfer-Encoding: chunked") + b"2 \r\n{}\r\n0\r\n\r\n",
    "a chunk line with a line feed alone": head("Transfer-Encoding: chunked") + b"2\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": head("Transfer-Encoding: chunked") + b"2\r\n{}}\r\n0\r\n\r\n",
    "a chunk extension with a line feed": head("Transfer-Encoding: chunked") + b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "an enormous chunk": head("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a length in the trailer": head("Transfer-Encoding: chunked") + b"0\r\nContent-Length: 5\r\n\r\n",
    "a coding in the trailer": head("Transfer-Encoding: chunked") + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a folded trailer": head("Transfer-Encoding: chunked") + b"0\r\nX: a\r\n b\r\n\r\n",
    "a blank in the URL": b"POST /open rtb2/demo HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab after the method": b"POST\t/openrtb2/demo HTTP/1.1\r\nHost: a\r\n\r\n",
    "an unknown method": b"BID /openrtb2/demo HTTP/1.1\r\nHost: a\r\n\r\n",
    "another protocol": b"POST /openrtb2/demo ICMP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_ambiguous_framing_is_refused(name: str) -> None:
    assert refusal_of(SMUGGLING[name]) == 400


@pytest.mark.parametrize("coding", ["gzip, chunked", "identity", "xchunked", '"chunked"', "chunked;q=1"])
def test_other_codings_than_chunked_are_refused(coding: str) -> None:
    assert refusal_of(head(f"Transfer-Encoding: {coding}") + b"0\r\n\r\n") in (400, 501)


@pytest.mark.parametrize("version", ["0.9", "2.0"])
def test_other_versions_are_refused(version: str) -> None:
    assert refusal_of(f"POST /openrtb2/demo HTTP/{version}\r\nHost: a\r\n\r\n".encode()) == 505


def test_tunnels_and_unknown_expectations_are_refused() -> None:
    assert refusal_of(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n") == 501
    assert refusal_of(head("Expect: the unexpected", "Content-Length: 2") + b"{}") == 417
    assert refusal_of(head("Expect: 100-continue", "Content-Type: text/plain", "Content-Length: 2") + b"{}") == 415


def test_a_body_above_the_bound_is_refused_before_it_comes() -> None:
    assert refusal_of(head(f"Content-Length: {MAX_BODY_BYTES + 1}")) == 413
    requests = Requests()
    requests.framing.feed(head("Transfer-Encoding: chunked"))
    with pytest.raises(HttpRefusal) as caught:
        requests.feed(*[b"2000\r\n" + b"x" * 8192 + b"\r\n"] * (MAX_BODY_BYTES // 8192 + 1))
    assert caught.value.status == 413


def test_endless_heads_are_refused() -> None:
    for line in (b"X-Filler: " + b"a" * 1000 + b"\r\n", b"a" * 1000):
        requests = Requests()
        requests.framing.feed(b"POST /openrtb2/demo HTTP/1.1\r\nHost: a\r\n")
        with pytest.raises(HttpRefusal) as caught:
            requests.feed(*[line] * 100)
        assert caught.value.status == 431


def test_endless_chunk_extensions_are_refused() -> None:
    requests = Requests()
    requests.framing.feed(head("Transfer-Encoding: chunked") + b"1;")
    with pytest.raises(HttpRefusal) as caught:
        requests.feed(*[b"a" * SLICE_BYTES] * (MAX_BODY_BYTES * 7 // SLICE_BYTES))
    assert caught.value.status == 413


def test_empty_lines_before_a_request_are_passed_over_but_not_for_ever() -> None:
    requests = Requests()
    requests.framing.feed(b"\r\n\r\n" + post(b"{}"))
    assert requests.bodies == [b"{}"]
    with pytest.raises(HttpRefusal):
        requests.feed(*[b"\r\n" * 500] * 100)


def test_a_head_is_understood() -> None:
    requests = Requests()
    fields = [("Content-Type", "application/json"), ("content-enconding", "gzip"), ("Accept-Encoding", "gzip")]
    requests.framing.feed(post(b"zip", headers=[*fields, ("Authorization", "Bearer x"), ("X-Empty", "")]))
    ((understood, body),) = requests.seen
    assert (understood.route.exchange, understood.method, body) == ("demo", b"POST", b"zip")
    assert (understood.gzipped, understood.gzips, understood.keeps_alive) == (True, True, True)
    assert (understood.refusal, understood.fields[b"authorization"]) == (0, b"Bearer x")


@pytest.mark.parametrize("hosts", [[], ["Host: a", "Host: a"], ["Host: a, b"]])
def test_a_missing_or_repeated_host_is_a_bad_request_that_can_be_framed(hosts: list[str]) -> None:
    requests = Requests()
    data = "\r\n".join(["POST /openrtb2/demo HTTP/1.1", *hosts, "Content-Length: 2", "", "{}"]).encode()
    requests.framing.feed(data + post(b"[]"))
    assert [understood.refusal for understood, _ in requests.seen] == [400, 0]


def test_an_offer_of_http2_is_declined_and_the_request_read() -> None:
    requests = Requests()
    offer = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
    ]
    requests.framing.feed(post(b'{"a":1}', headers=offer) + post(b"[]") + chunked([b"1", b"2"], headers=offer))
    requests.framing.feed(post(b"{}", headers=[("Connection", "upgrade, close"), ("Upgrade", "h2c")]))
    assert requests.bodies == [b'{"a":1}', b"[]", b"12", b"{}"]
    assert [understood.keeps_alive for understood, _ in requests.seen] == [True, True, True, False]


def test_a_known_head_is_recognised_with_other_lengths() -> None:
    requests = Requests()
    bodies = [b"{}", b"x" * 100, b"", b"y" * 70_000, b"z"]
    for body in bodies:
        for start in range(0, len(post(body)), SLICE_BYTES):
            requests.framing.feed(post(body)[start : start + SLICE_BYTES])
    assert requests.bodies == bodies
    assert len({id(understood) for understood, _ in requests.seen}) == 1


def test_what_only_looks_like_a_known_head_is_not_one() -> None:
    requests = Requests()
    requests.framing.feed(post(b"{}"))
    known = post(b"{}")
    for changed in (
        known.replace(b"Content-Length: 2", b"Content-Length: +2"),
        known.replace(b"Content-Length: 2", b"Content-Length: 2a"),
        known.replace(b"Content-Length: 2", b"Content-Length: "),
        known.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 2"),
        known.replace(b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: chunked"),
        known.replace(b"Content-Length: 2", b"Content-Length: 9999999"),
    ):  # fmt: skip
        with pytest.raises(HttpRefusal):
            requests.framing.feed(changed)
        requests = Requests()
        requests.framing.feed(known)
        assert requests.bodies == [b"{}"]


def test_heads_that_differ_every_time_are_no_longer_remembered() -> None:
    requests = Requests()
    for number in range(MAX_FRUITLESS_HEADS + 3):
        requests.framing.feed(post(b"{}", headers=[("X-Trace", str(number))]))
    repeated = post(b"[]", headers=[("X-Trace", "same")])
    requests.framing.feed(repeated)
    requests.framing.feed(repeated)
    assert len(requests.seen) == MAX_FRUITLESS_HEADS + 5
    assert requests.seen[-1][0] is not requests.seen[-2][0]


def test_each_expectation_is_answered() -> None:
    requests = Requests()
    data = post(b"{}", headers=[("Expect", "100-continue")])
    for _ in range(3):
        requests.framing.feed(data)
    assert requests.continues == 3
    assert requests.bodies == [b"{}"] * 3
