"""Recorded requests in every dialect: each is answered 200 or 204, and each answer is valid by OpenRTB's own schema."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bidder.door.checking import AnswerCheck
from bidder.door.handler import BidderHandler
from bidder.door.metrics import BidMetrics
from bidder.door.port import STRANGER
from core.dialects import DIALECTS
from core.model import NoBidStyle, ReviewPolicy
from core.telemetry.metrics import Telemetry
from loadtest.exchange.dialects import SEATS
from tests.kit.bidding import KnownProfiles, TestBidder
from tests.kit.openrtb import USER_ID, corpus_lines
from tests.kit.recorded_answers import SHOPPER, recorded_catalogue
from tests.kit.schemas import schema_faults

SCHEMA = "openrtb-2.6-202606-bid-response"


class Replies:
    """What a bidder whose only exchange speaks a dialect answers to bodies; every answer is judged before it leaves."""

    def __init__(self, dialect: str) -> None:
        whole = recorded_catalogue()
        exchange = msgspec.structs.replace(
            whole.exchanges[0], dialect=dialect, seat=SEATS.get(dialect, "grosz"), review=ReviewPolicy.NONE
        )
        self.telemetry = Telemetry()
        self.bidder = TestBidder(msgspec.structs.replace(whole, exchanges=(exchange,)), shoppers={USER_ID: SHOPPER})
        signer, clock, metrics = self.bidder.signer, self.bidder.clock, BidMetrics(self.telemetry)
        self.handler = BidderHandler(
            profiles=KnownProfiles({USER_ID: SHOPPER}), signer=signer, policy=self.bidder.policy, clock=clock,
            metrics=metrics, tmax_cap_ms=100, fresh=lambda: True, check=AnswerCheck(signer, clock, metrics, 1.0),
        )  # fmt: skip
        self.handler.install(self.bidder.snapshot)

    def count(self, family: str) -> float:
        return sum(sample.value for each in self.telemetry.families() if each.name == family for sample in each.samples)

    async def of(self, bodies: list[bytes]) -> list[tuple[int, bytes]]:
        """Status and body of each answer, in order."""
        replies: list[tuple[int, bytes]] = []
        for body in bodies:
            self.handler.submit(
                "demo", body, self.bidder.clock.monotonic(), lambda *reply: replies.append(reply), STRANGER
            )
            await self.handler.drain()
        return replies


@pytest.mark.parametrize("name", DIALECTS)
async def test_recorded_requests_are_answered_rightly_in_every_dialect(name: str, corpus: Path) -> None:
    requests = [line["request"] for line in corpus_lines(corpus / "requests.jsonl")]
    found = Replies(name)
    replies = await found.of([json.dumps(request | {"wseat": None}).encode() for request in requests])
    assert {status for status, _body in replies} <= {200, 204}
    bids = 0
    for request, (status, body) in zip(requests, replies, strict=True):
        if status == 204:
            assert body == b""
            continue
        answer = json.loads(body)
        assert schema_faults(corpus, SCHEMA, answer) == [], answer
        assert answer["id"] == str(request["id"])
        bids += sum(len(seat["bid"]) for seat in answer["seatbid"])
    assert bids > 50
    assert found.count("grosz_bid_violations_total") == 0 < found.count("grosz_checked_answers_total")


@pytest.mark.parametrize("name", [name for name, each in DIALECTS.items() if each.no_bid_style is NoBidStyle.EMPTY])
async def test_an_exchange_that_wants_json_gets_it_for_every_request(name: str, corpus: Path) -> None:
    bodies = [json.dumps(line["request"]).encode() for line in corpus_lines(corpus / "requests.jsonl")]
    assert {status for status, _body in await Replies(name).of(bodies[:100])} == {200}


UNKNOWN = {"grosz_never_heard_of": {"a": [1, None, "x"]}, "zz": None}
VALUES: tuple[object, ...] = (None, True, -1, 1e300, "x", [], {}, [[]], [{}], {"ext": 7}, "\u0000", [None, "1", 2.5])


def objects_in(value: object) -> Iterator[dict[str, Any]]:
    """Every object of a request, itself first."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(each)


async def test_unknown_members_change_no_answer(corpus: Path) -> None:
    requests = [line["request"] for line in corpus_lines(corpus / "requests.jsonl")][:150]
    found = Replies("generic")
    before = await found.of([json.dumps(request).encode() for request in requests])
    for request in requests:
        for each in list(objects_in(request)):
            each.update(UNKNOWN)
    assert await found.of([json.dumps(request).encode() for request in requests]) == before
    assert sum(status == 200 for status, _body in before) > 10


async def test_a_member_of_another_type_is_no_error_of_ours_and_changes_no_other_answer(
    corpus: Path,
) -> None:
    requests = [line["request"] for line in corpus_lines(corpus / "requests.jsonl")][:150]
    found, chance = Replies("generic"), random.Random(20261130)
    ordinary = json.dumps(requests[0] | {"id": "ordinary"}).encode()
    (before,) = await found.of([ordinary])
    for request in requests:
        for _ in range(3):
            mutated = json.loads(json.dumps(request))
            target = chance.choice([each for each in objects_in(mutated) if each])
            target[chance.choice(list(target))] = chance.choice(VALUES)
            bodies = [json.dumps(mutated).encode(), ordinary]
            (status, body), after = await found.of(bodies)
            assert status in {200, 204, 400}
            assert after == before
            if status == 200:
                assert schema_faults(corpus, SCHEMA, json.loads(body)) == []
    assert found.count("grosz_bid_faults_total") == found.count("grosz_bid_violations_total") == 0
