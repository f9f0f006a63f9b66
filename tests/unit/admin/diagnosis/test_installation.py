from collections.abc import Sequence

import pytest

from admin.diagnosis.findings import Severity
from admin.diagnosis.installation import check_catalogue, check_redis, check_roles, judge_redis
from core import keys
from core.catalogue.version_report import VersionReport, encode_report
from core.errors import UnavailableError

NOW_MS = 1_790_000_000_000
HEALTHY = {"used_memory": str(50 * 2**20), "maxmemory": "0", "aof_enabled": "1", "aof_last_write_status": "ok"}


class Answers:
    """A Redis that knows a few keys; `None` for one that is away."""

    def __init__(self, values: "dict[str, object] | None") -> None:
        self._values = values

    async def commands(self, commands: Sequence[tuple[bytes | str | int, ...]]) -> list[object]:
        if self._values is None:
            raise UnavailableError("connection refused")
        return [self._values.get(str(command[-1])) for command in commands]


def catalogue(age_s: float = 0.5, bidders: "dict[bytes, bytes] | None" = None) -> Answers:
    found = {b"b1": b"7 %d" % (NOW_MS - 100)} if bidders is None else bidders
    flat = [part for pair in found.items() for part in pair]
    return Answers(
        {
            keys.CATALOGUE_VERSION: b"7",
            keys.CATALOGUE_ALIVE: b"%d" % (NOW_MS - round(age_s * 1000)),
            keys.CATALOGUE_EFFECTIVE: flat,
        }
    )


async def stops(redis: Answers) -> list[str]:
    findings = await check_catalogue(redis, None, NOW_MS, 900)
    return [finding.text for finding in findings if finding.severity is Severity.STOP]


async def test_a_current_catalogue_in_all_bidders_is_fine() -> None:
    assert await stops(catalogue()) == []


async def test_nothing_published_stops_everything() -> None:
    assert await stops(Answers({})) == ["no catalogue is published"]


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (8, "the catalogue is stale: no admin role for 8 s; bidders stop after 15 min"),
        (901, "the catalogue is stale: no admin role for 901 s, so bidders have stopped bidding"),
    ],
)
async def test_a_stale_catalogue_says_for_how_long_and_what_follows(age_s: float, text: str) -> None:
    assert await stops(catalogue(age_s)) == [text]


async def test_bidders_that_are_silent_or_behind_are_named() -> None:
    assert await stops(catalogue(bidders={})) == ["no bidder has reported for 15 s"]
    gone = {b"old": b"7 %d" % (NOW_MS - 60_000)}
    assert await stops(catalogue(bidders=gone)) == ["no bidder has reported for 15 s"]
    behind = {b"b1": b"7 %d" % NOW_MS, b"b2": b"6 %d" % NOW_MS}
    assert await stops(catalogue(bidders=behind)) == ["b2 run an older catalogue than version 7"]


async def test_a_catalogue_that_cannot_be_installed_says_why_and_what_follows() -> None:
    reports = {
        b"b1": encode_report(VersionReport(6, NOW_MS, 7, "line item 3 refers to campaign 4")).encode(),
        b"b2": encode_report(VersionReport(7, NOW_MS)).encode(),
    }
    (text,) = await stops(catalogue(bidders=reports))
    assert text == (
        "b1 cannot install version 7 (line item 3 refers to campaign 4): no change is effective, "
        "and bidding on version 6 stops 15 min after the refusal"
    )
    mended = {b"b1": encode_report(VersionReport(7, NOW_MS, 6, "of long ago")).encode()}
    assert await stops(catalogue(bidders=mended)) == []


@pytest.mark.parametrize(
    ("info", "severity", "words"),
    [
        ({}, Severity.OK, "uses 50 MiB"),
        ({"maxmemory": str(60 * 2**20)}, Severity.NOTE, "nearly full"),
        ({"maxmemory": str(50 * 2**20)}, Severity.STOP, "its memory is full"),
        ({"maxmemory": str(2**40), "maxmemory_policy": "allkeys-lru"}, Severity.NOTE, "may evict budget counters"),
        ({"rdb_last_bgsave_status": "err"}, Severity.STOP, "cannot write to its disk (rdb_last_bgsave_status)"),
        ({"aof_enabled": "0"}, Severity.NOTE, "a restart loses"),
    ],
)
def test_redis_is_judged_by_its_own_words(info: dict[str, str], severity: Severity, words: str) -> None:
    found = list(judge_redis(HEALTHY | info))
    assert [one.severity for one in found if words in one.text] == [severity]


async def test_a_full_disk_is_not_taken_for_a_redis_that_is_away() -> None:
    class Full(Answers):
        async def commands(self, commands: Sequence[tuple[bytes | str | int, ...]]) -> list[object]:
            raise UnavailableError("refuses the connection: MISCONF Errors writing to the AOF file: No space left")

    (finding,) = await check_redis(Full({}))
    assert finding.severity is Severity.STOP
    assert "cannot write to its disk" in finding.text
    assert "make room" in finding.advice


async def test_a_redis_that_is_away_stops_everything() -> None:
    (finding,) = await check_redis(Answers(None))
    assert finding.severity is Severity.STOP
    assert finding.text == "Redis does not answer: connection refused"


async def test_roles_without_an_address_are_not_judged() -> None:
    assert [one.severity for one in await check_roles({})] == [Severity.NOTE]


async def test_a_role_that_does_not_answer_says_what_is_lost(free_port: int) -> None:
    (finding,) = await check_roles({"tracker": f"http://127.0.0.1:{free_port}"})
    assert finding.severity is Severity.STOP
    assert "notices, impressions, clicks and shop events are lost" in finding.text
