from pathlib import Path

import orjson
import pytest

from loadtest.running.replay import read_requests, replay
from loadtest.traffic.scenario import ScenarioError
from tests.kit.fake_bidder import NO_BID, FakeBidder, json_answer


def answer(body: bytes) -> bytes:
    request = orjson.loads(body)
    match request["id"]:
        case "bid":
            return json_answer(b'{"id":"bid","seatbid":[{"bid":[{"id":"1"}]}]}')
        case "nbr":
            return json_answer(b'{"id":"nbr","nbr":8}')
        case "reason":
            return b"HTTP/1.1 204 No Content\r\nX-Grosz-NoBid: floor\r\n\r\n"
        case "bad":
            return json_answer(b"", 400)
        case _:
            return NO_BID


async def test_outcomes_reasons_and_latencies_of_all_requests_are_counted() -> None:
    ids = ["bid", "bid", "nbr", "reason", "none", "bad"]
    requests = [(number, orjson.dumps({"id": key})) for number, key in enumerate(ids, 1)]
    progress: list[int] = []
    async with FakeBidder(answer) as bidder:
        result = await replay(requests, bidder.url + "/bid", connections=2, on_progress=progress.append)
        assert len(bidder.transports) == 2
    assert result.outcomes == {"bid": 2, "no bid": 3, "status 400": 1}
    assert result.reasons == {"nbr 8": 1, "floor": 1, "no reason given": 1}
    assert (result.sent, result.invalid, result.latency.total) == (6, 1, 6)
    assert result.problems == [(6, "status 400")]
    assert progress == [1, 2, 3, 4, 5, 6]


async def test_a_connection_that_dies_is_no_valid_answer() -> None:
    async with FakeBidder(lambda _: b"gibberish\r\n\r\n") as bidder:
        result = await replay([(1, b"{}")], bidder.url, connections=1)
    assert result.outcomes == {"no answer": 1}
    assert result.invalid == 1


async def test_nothing_to_send_is_no_fault() -> None:
    async with FakeBidder() as bidder:
        assert (await replay([], bidder.url)).sent == 0


def test_both_forms_of_a_line_are_read(tmp_path: Path) -> None:
    (tmp_path / "requests.jsonl").write_text('{"id":"a"}\n\n{"name":"n","request":{"id":"b"}}\n')
    assert read_requests(tmp_path / "requests.jsonl") == [(1, b'{"id":"a"}'), (3, b'{"id":"b"}')]


@pytest.mark.parametrize("text", ["{", "[1]", '{"request":"x"}'])
def test_a_line_that_is_no_request_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "requests.jsonl").write_text('{"id":"a"}\n' + text)
    with pytest.raises(ScenarioError, match="line 2"):
        read_requests(tmp_path / "requests.jsonl")
    with pytest.raises(ScenarioError, match="cannot be read"):
        read_requests(tmp_path / "none")
