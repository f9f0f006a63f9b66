"""The bid port and an aiohttp route with the same handler answer alike: status, content, the fields that matter."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from bidder.door.server import BidServer
from core.clock import SystemClock
from tests.kit.bid_oracle import bid_application, plain_body
from tests.kit.bid_port import Answer, EchoHandler, chunked, exchange, parse_answers, post

FIELDS = ("content-type", "content-encoding", "x-openrtb-version", "allow")
BODY = b'{"id":"a","imp":[{},{}],"pad":"' + b"x" * 2000 + b'"}'


@pytest.fixture
async def ports() -> AsyncIterator[tuple[int, int]]:
    """Ports of the bid port and of the oracle."""
    server = BidServer(EchoHandler(), clock=SystemClock(), pages={"/healthz": lambda: (200, "text/plain", b"ok")})
    await server.start("127.0.0.1", 0)
    runner = web.AppRunner(bid_application(EchoHandler(), SystemClock()), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield server.address[1], runner.addresses[0][1]
    server.abort()
    await runner.cleanup()


def comparable(answer: Answer) -> tuple[object, ...]:
    fields = {name: value for name in FIELDS if (value := answer.fields.get(name)) is not None}
    if answer.status >= 300:  # aiohttp writes a sentence; the bid port has no content
        fields.pop("content-type", None)
        fields.pop("content-encoding", None)
        return answer.status, fields
    fields["content-type"] = fields.get("content-type", "").partition(";")[0]
    if answer.status == 204:
        fields.pop("content-type")
    return answer.status, fields, plain_body(answer.fields, answer.body)


async def ask_both(ports: tuple[int, int], requests: list[bytes]) -> tuple[list[Answer], list[Answer]]:
    """Answers of both to the requests, sent pipelined on one connection; the last request closes it."""
    bid_port, oracle = await asyncio.gather(*(exchange(port, b"".join(requests), end=False) for port in ports))
    return parse_answers(bid_port), parse_answers(oracle)


LAST = post(b"{}", headers=[("Connection", "close")])


async def bodies_answered_alike(ports: tuple[int, int], bodies: list[bytes]) -> list[int]:
    statuses = []
    for start in range(0, len(bodies), 25):
        some = bodies[start : start + 25]
        ours, oracle = await ask_both(ports, [post(body) for body in some] + [LAST])
        assert [comparable(answer) for answer in ours] == [comparable(answer) for answer in oracle]
        assert len(ours) == len(some) + 1
        statuses += [answer.status for answer in ours[:-1]]
    return statuses


async def test_recorded_requests_are_answered_alike(ports: tuple[int, int], corpus: Path) -> None:
    lines = (corpus / "requests.jsonl").read_bytes().splitlines()
    bodies = [json.dumps(json.loads(line)["request"]).encode() for line in lines]
    assert set(await bodies_answered_alike(ports, bodies)) == {200, 204}


async def test_invalid_bodies_are_answered_alike_and_the_connection_lives_on(
    ports: tuple[int, int], corpus: Path
) -> None:
    lines = [json.loads(line) for line in (corpus / "invalid.jsonl").read_bytes().splitlines()]
    bodies = [base64.b64decode(line["body"]) if line.get("b64") else line["body"].encode() for line in lines]
    statuses = await bodies_answered_alike(ports, bodies)
    assert statuses.count(400) > 40
    assert set(statuses) <= {200, 204, 400}


ODD = {
    "no content type": post(BODY),
    "a content type with parameters": post(BODY, headers=[("Content-Type", "application/json; charset=utf-8")]),
    "a content type in capitals": post(BODY, headers=[("CONTENT-TYPE", "APPLICATION/JSON")]),
    "an unknown content type": post(BODY, headers=[("Content-Type", "application/x-protobuf")]),
    "a gzip body": post(gzip.compress(BODY), headers=[("Content-Encoding", "gzip")]),
    "a brotli body": post(BODY, headers=[("Content-Encoding", "zstandard")]),
    "a gzip answer": post(BODY, headers=[("Accept-Encoding", "gzip, deflate")]),
    "a small answer is not compressed": post(b'{"id":"a","imp":[{},{}]}', headers=[("Accept-Encoding", "gzip")]),
    "a chunked body": chunked([BODY[:10], BODY[10:50], BODY[50:]]),
    "a chunked gzip body": chunked([gzip.compress(BODY)], headers=[("Content-Encoding", "gzip")]),
    "chunk extensions": chunked([BODY], extension=b";name=value"),
    "a trailer": chunked([BODY], trailer=b"X-Checksum: 1\r\n"),
    "an empty body": post(b""),
    "an empty chunked body": chunked([]),
    "a body that is another request": post(post(BODY)),
    "an empty field": post(BODY, headers=[("X-Empty", "")]),
    "a query": post(BODY, path="/openrtb2/demo?source=1"),
    "an absolute URL": post(BODY, path="http://bid.example/openrtb2/demo"),
    "an unknown exchange": post(BODY, path="/openrtb2/nobody"),
    "an unknown path": post(BODY, path="/nowhere"),
    "a path below an exchange": post(BODY, path="/openrtb2/demo/more"),
    "GET on the bid path": post(b"", method="GET"),
    "PUT on the bid path": post(BODY, method="PUT"),
    "no credentials": post(BODY, path="/openrtb2/closed"),
    "the right credentials": post(BODY, path="/openrtb2/closed", headers=[("Authorization", "Bearer secret")]),
    "the wrong credentials": post(BODY, path="/openrtb2/closed", headers=[("Authorization", "Bearer other")]),
    "a version that makes no sense": post(BODY, headers=[("x-openrtb-version", "two point something")]),
    "many fields": post(BODY, headers=[(f"X-Field-{number}", "v" * 50) for number in range(60)]),
    "a large body": post(b'{"id":"a","imp":[{},{}],"pad":"' + b"x" * 200_000 + b'"}'),
    "health": post(b"", path="/healthz", method="GET"),
}


@pytest.mark.parametrize("name", ODD)
async def test_odd_requests_are_answered_alike(ports: tuple[int, int], name: str) -> None:
    ours, oracle = await ask_both(ports, [ODD[name], LAST])
    assert [comparable(answer) for answer in ours] == [comparable(answer) for answer in oracle]
    assert len(ours) == 2


HOPELESS = {
    "both framings": post(b"0\r\n\r\n", headers=[("Transfer-Encoding", "chunked")]),
    "two lengths": post(b"{}", headers=[("Content-Length", "3")]),
    "a blank before the colon": b"POST /openrtb2/demo HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}",
    "nonsense": b"\x00\x01\x02\r\n\r\n",
}


@pytest.mark.parametrize("name", HOPELESS)
async def test_what_cannot_be_framed_is_400_and_the_end_for_both(ports: tuple[int, int], name: str) -> None:
    for port in ports:
        (answer,) = parse_answers(await exchange(port, HOPELESS[name] + post(BODY), end=False))
        assert answer.status == 400
