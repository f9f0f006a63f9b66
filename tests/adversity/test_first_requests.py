"""What is answered right after `ready` is worth as much as what is answered later: leases are there."""

import asyncio
import re
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest

from core.reasons import NoBid
from tests.kit.openrtb import corpus_lines
from tests.kit.processes import RunningGrosz

REQUESTS = 500
MINUTE_S = 60.0
AT_ONCE = 25
LATE = (NoBid.NO_TIME, NoBid.OVERLOAD)


async def bids(url: str, bodies: list[bytes]) -> int:
    """Answers with a bid to all requests, sent as fast as they are answered."""
    waiting, found = iter(bodies), 0

    async def send(session: aiohttp.ClientSession) -> None:
        nonlocal found
        for body in waiting:
            async with session.post(f"{url}/openrtb2/demo", data=body) as answer:
                found += answer.status == 200

    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
        await asyncio.gather(*(send(session) for _ in range(AT_ONCE)))
    return found


def real_requests(corpus: Path) -> list[bytes]:
    """Recorded requests with ids of their own and time enough for a busy machine."""
    found = []
    lines = [line["request"] for line in corpus_lines(corpus / "requests.jsonl") if "banner" in line["tags"]]
    for number in range(REQUESTS):
        request = {**lines[number % len(lines)], "id": f"first-{number}", "tmax": 1_000, "test": 0, "cur": ["PLN"]}
        found.append(msgspec.json.encode(request))
    return found


@pytest.mark.slow
async def test_the_first_requests_get_as_many_bids_as_later_ones(tmp_path: Path, corpus: Path) -> None:
    bodies = real_requests(corpus)
    environ = {"GROSZ_BID_TMAX_CAP_MS": "1000"}
    up = RunningGrosz(tmp_path / "data", "--seed", "demo", environ=environ)
    await asyncio.to_thread(up.__enter__)
    try:
        url = up.urls["bid"]
        first, began = await bids(url, bodies), time.monotonic()
        reasons = await asyncio.to_thread(up.metrics, "bidder")
        await asyncio.sleep(MINUTE_S - (time.monotonic() - began))
        later = await bids(url, bodies)
    finally:
        await asyncio.to_thread(up.__exit__, None, None, None)
    told = dict(re.findall(r'grosz_no_bids_total\{[^}]*reason="([^"]+)"[^}]*\} (\S+)', reasons))
    # What ran out of its second got no processor beside other tests: that says nothing of leases.
    late = sum(float(told.get(reason.name.lower(), 0)) for reason in LATE)
    assert later > 0
    assert first + late >= 0.95 * later, f"{first} of {REQUESTS} at first, {later} a minute later: {told}"
