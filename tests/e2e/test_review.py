"""A running Grosz before an exchange that reviews creatives: the bid path follows each decision within seconds."""

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from aiohttp import web

from core.clock import SystemClock
from loadtest.exchange.reviewing import APPROVED, EXPIRED, PATH, ReviewService
from tests.kit.processes import RunningGrosz, grosz

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# Seconds, also where other tests have the processor. Who does not follow shows an expired creative until LONGEST_S.
FOLLOWS_WITHIN_S = 20
SHORTEST_S, QUIET_S, LONGEST_S = 26, 3, 70
KNOWN_WITHIN_S = 30.0
SIZES = ((300, 250), (728, 90), (160, 600), (320, 50), (300, 600), (970, 250))


@pytest.fixture
def service() -> Iterator[tuple[ReviewService, str]]:
    """The exchange's service in a thread, as another company's would run; and its address."""
    played = ReviewService(SystemClock(), pending_s=10, expires_s=10)
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    urls: list[str] = []

    async def serve() -> None:
        runner = web.AppRunner(played.app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        urls.append(f"http://{host}:{port}{PATH}")
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    yield played, urls[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def shown(url: str) -> set[str]:
    """`crid` of the bids on a request for every size."""
    imps = [{"id": str(n), "banner": {"w": w, "h": h}} for n, (w, h) in enumerate(SIZES)]
    body = {
        "id": f"{time.monotonic_ns()}", "imp": imps, "site": {"domain": "wiadomosci.example"},
        "device": {"devicetype": 2, "geo": {"country": "POL"}}, "regs": {"gdpr": 0}, "cur": ["PLN"],
    }  # fmt: skip
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        content = answer.read()
    if not content:
        return set()
    return {bid["crid"] for seat in json.loads(content)["seatbid"] for bid in seat["bid"]}


def _wait_until_known(url: str) -> None:
    """An exchange that was just made is known to the bidders when they have followed the catalogue."""
    end = time.monotonic() + KNOWN_WITHIN_S
    while True:
        try:
            shown(url)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def test_the_bid_path_follows_what_the_exchange_decides(tmp_path: Path, service: tuple[ReviewService, str]) -> None:
    played, url = service
    # Pictures for the reviewers are another matter, and take a processor.
    quiet = {"GROSZ_ADMIN_PREVIEWS": "off", "GROSZ_ADMIN_REVIEW_POLL_S": "1"}
    with RunningGrosz(tmp_path, "--seed", "demo", environ=quiet) as up:
        sets = ["key=ssp", "review=before", f"review_url={url}", "seat=g", "default_currency=PLN"]
        done = grosz("exchange", "create", "--data", str(tmp_path), *(f"--set={one}" for one in sets))
        assert done.returncode == 0, done.stderr
        bids = f"{up.urls['bid']}/openrtb2/ssp"
        seen: dict[str, float] = {}
        last: dict[str, float] = {}
        _wait_until_known(bids)
        began = time.monotonic()
        # Until creatives were approved for so long that those that expire have gone again.
        while time.monotonic() - began < LONGEST_S:
            now = time.time()
            expired = [crid for crid in last if played.status_of(crid) == EXPIRED]
            if time.monotonic() - began > SHORTEST_S and all(now - last[crid] > QUIET_S for crid in expired):
                break
            for crid in shown(bids):
                assert played.status_of(crid) in (APPROVED, EXPIRED), "nothing bids that was not approved"
                seen.setdefault(crid, now)
                last[crid] = now
            time.sleep(0.2)
        assert played.refused == 2
        assert seen, up.log()[-2_000:]
        ends = {crid: played.audit_of(crid) for crid in last}
        late = {crid: last[crid] - since for crid, (status, since) in ends.items() if status == EXPIRED}
        assert all(seconds < FOLLOWS_WITHIN_S for seconds in late.values()), late
        first = min(seen.values()) - min(played.decided_s())
        assert first < FOLLOWS_WITHIN_S, first
        listed = grosz("creative", "approvals", "--state", "rejected", "--json", "--data", str(tmp_path))
        assert json.loads(listed.stdout)["items"][0]["reason"]
        assert 'grosz_review_calls_total{operation="submit",outcome="failed"} 2' in up.metrics("admin")
