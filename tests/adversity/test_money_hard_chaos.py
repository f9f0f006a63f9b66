"""Several troubles in one run while real processes spend small budgets: two roles killed at once, the disk full again
and again, and a bidder whose clock is 50 s ahead, which is within what is tolerated, so that it bids.

Afterwards the books must agree as after kills alone (test_money_chaos). The server is not killed while the disk is
full: what a full disk keeps in its memory then is lost (docs/money.md). GROSZ_TEST_LONG=600 spends ten minutes.
"""

import asyncio
import contextlib
import io
import logging
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pacing.notices.charges import notice_key
from pacing.notices.tokens import TokenSigner
from tests.adversity.test_clock_off import bidder, readiness
from tests.adversity.test_money_chaos import exceeded, rows_of
from tests.adversity.test_standing import fill, small_disk
from tests.kit.chaos import BadExchange, audited, small_budgets
from tests.kit.processes import RunningGrosz, grosz

log = logging.getLogger(__name__)

SECONDS = float(os.environ.get("GROSZ_TEST_LONG", "10"))
SEED = int(os.environ.get("GROSZ_TEST_SEED", "20261130"))
AHEAD_S = 50
FULL_S = 1.5
PAIRS = (("server", "tracker"), ("worker", "bidder"), ("server", "worker"), ("tracker", "admin"), ("server", "bidder"))
BESIDE_A_FULL_DISK = (("tracker", "bidder"), ("worker", "admin"))


def kill(family: Callable[[], dict[int, str]], roles: tuple[str, ...], chance: random.Random) -> Counter[str]:
    """Kill one process of each role at once; those that were found."""
    found = family()
    victims = {
        role: [pid for pid, line in found.items() if line.endswith(f" {role}") or f"-{role} " in line] for role in roles
    }
    for pids in victims.values():
        if pids:
            with contextlib.suppress(ProcessLookupError):  # it has ended since it was seen
                os.kill(chance.choice(pids), signal.SIGKILL)
    return Counter(role for role, pids in victims.items() if pids)


async def full_disk(disk: Path, meanwhile: Callable[[], Counter[str]]) -> Counter[str]:
    """The disk is full, then it is not; what was done meanwhile."""
    ballast = disk / "ballast"
    with io.FileIO(ballast, "wb") as file:
        fill(file, 65_536)
        done = meanwhile()
        ends = time.monotonic() + FULL_S
        while time.monotonic() < ends:
            fill(file, 4_096)  # what others free is taken again
            await asyncio.sleep(0.02)
    ballast.unlink()
    await asyncio.sleep(0.5)  # until the server has written what it held back
    return done + Counter(("full disk",))


async def troubles(up: RunningGrosz, disk: Path, chance: random.Random) -> Counter[str]:
    """Two kills at once, and between them a full disk, for SECONDS."""
    done: Counter[str] = Counter()
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        await asyncio.sleep(0.5 + chance.random())
        done += kill(up.family, chance.choice(PAIRS), chance)
        await asyncio.sleep(0.5 + chance.random())
        if os.path.ismount(disk):
            done += await full_disk(disk, lambda: kill(up.family, chance.choice(BESIDE_A_FULL_DISK), chance))
    return done


@pytest.mark.slow
@pytest.mark.needs_package("faketime")
@pytest.mark.timeout(300 + 3 * SECONDS)
async def test_kills_in_pairs_a_full_disk_and_a_clock_that_is_off_lose_and_repeat_no_bill(free_port: int) -> None:
    with small_disk() as disk:
        data = disk / "data"
        data.mkdir()
        (disk / "catalogue.json").write_bytes(msgspec.json.encode(small_budgets()))
        imported = grosz("catalogue", "import", str(disk / "catalogue.json"), "--data", str(data))
        assert imported.returncode == 0, imported.stderr
        with RunningGrosz(data, "--workers", "2", environ={"GROSZ_TRACK_WORKERS": "2"}) as up:
            with bidder(up, data, free_port, AHEAD_S) as ahead:
                await asyncio.to_thread(readiness, ahead, wanted="ready")
                exchanges = [BadExchange(url, SEED + number) for number, url in enumerate((up.urls["bid"], ahead))]
                running = [asyncio.create_task(exchange.run()) for exchange in exchanges]
                done = await troubles(up, disk, random.Random(SEED))
                for exchange in exchanges:
                    exchange.stop()
                await asyncio.gather(*running)
            signer = TokenSigner({1: bytes.fromhex((data / "token.key").read_text())})
            told = [one for exchange in exchanges for one in exchange.told]
            billed = [notice_key(signer.verify(one.token, int(time.time()))).hex() for one in told]
            rows = await rows_of(data, set(billed))
            result = await audited(data)
    log.info("%s; %s; %d rows", done, [dict(exchange.counts) for exchange in exchanges], len(rows))
    assert result.returncode == 0, result.stdout + result.stderr
    assert [exchange.faults for exchange in exchanges] == [[], []]
    assert all(one.acknowledged for one in told)
    notices = Counter(row.notice for row in rows)
    assert {notice: notices[notice] for notice in billed if notices[notice] != 1} == {}
    assert notices.keys() <= set(billed)
    assert exceeded(rows) == {}
    assert all(exchange.told for exchange in exchanges), "both bid"
