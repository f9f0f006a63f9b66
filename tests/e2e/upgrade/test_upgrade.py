"""`grosz up` on a data directory of b6473a0, and a bidder of b6473a0 beside those of today on one Redis."""

import asyncio
import contextlib
import csv
import io
import itertools
import json
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from admin.store.migrate import newest
from core.redis.embedded import EmbeddedServer
from pacing.notices.tokens import TokenSigner
from segments.facts.layout import HOT_VERSION
from tests.kit.old_release import OldBidder, OldRelease
from tests.kit.old_tokens import old_token
from tests.kit.processes import RunningGrosz, grosz

WAIT_S = 60.0

# Line items of the old catalogue whose audiences time alone does not end, and those that bid for everybody.
LASTING = {"101", "104", "105", "201", "204", "205"}
FOR_EVERYBODY = {"100", "200"}


@pytest.fixture
def old() -> Iterator[OldRelease]:
    directory = Path(tempfile.mkdtemp(prefix="grosz-"))  # short: it holds a socket
    yield OldRelease(directory)
    shutil.rmtree(directory)


def ledger(data: Path) -> Counter[tuple[str, str]]:
    """Impressions by line item and exchange."""
    done = grosz("ledger", "export", "--data", str(data))
    assert done.returncode == 0, done.stderr
    counted: Counter[tuple[str, str]] = Counter()
    for row in csv.DictReader(io.StringIO(done.stdout)):
        counted[row["line_item_id"], row["exchange"]] += int(row["impressions"])
    return counted


def audited(data: Path) -> None:
    done = grosz("audit", "--data", str(data))
    assert (done.returncode, "0 differences" in done.stdout) == (0, True), done.stdout + done.stderr


async def post(session: aiohttp.ClientSession, url: str, body: object) -> dict[str, Any] | None:
    """The bid in the answer, None for a no-bid."""
    async with session.post(url, json=body) as response:
        assert response.status in (200, 204), await response.text()
        answer = await response.json() if response.status == 200 else {"seatbid": []}
    return next((bid for seat in answer["seatbid"] for bid in seat["bid"]), None)


async def is_known(session: aiohttp.ClientSession, url: str, offer: dict[str, Any]) -> bool:
    """Whether a line item that knows the user bids within a while (it may wait for a lease)."""
    request = {**offer["request"], "tmax": 1_000}
    ends = time.monotonic() + WAIT_S
    while time.monotonic() < ends:
        bid = await post(session, f"{url}/openrtb2/{offer['exchange']}", request)
        if bid is not None and bid["tactic"] not in FOR_EVERYBODY:
            return True
        await asyncio.sleep(0.2)
    return False


async def bill(session: aiohttp.ClientSession, track: str, path: str) -> int:
    async with session.get(f"{track}{path}") as response:
        return int(response.status)


def reissued(old: OldRelease, offer: dict[str, Any]) -> str:
    """An old bid's token as the old release would write it now: its own has expired long ago."""
    claims = TokenSigner({1: old.key}).verify(old.token_of(offer), int(old.made_s))
    return old_token(
        old.key, share=claims.share, line_item_id=claims.line_item_id, advertiser_id=claims.advertiser_id,
        campaign_id=claims.campaign_id, creative_id=claims.creative_id, exchange_id=claims.exchange_id,
        landing=claims.landing, currency=claims.currency, request_id=offer["request"]["id"],
        issued_s=int(time.time()), user_id=claims.user_id, lease_id=claims.lease_id,
        reserved_micros=claims.reserved_micros, bid_groszes=claims.bid_cpm // 10_000,
        second_groszes=claims.second_cpm // 10_000, floor_groszes=claims.floor_cpm // 10_000,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_an_old_data_directory_opens_bids_books_and_audits_clean(old: OldRelease) -> None:
    booked = Counter(
        {
            (row["line_item_id"], row["exchange"]): int(row["impressions"])
            for row in csv.DictReader(io.StringIO(old.expected["ledger"]))
        }
    )
    known = {offer["user"]: offer for offer in old.offers if offer["bid"]["tactic"] in LASTING}
    out = [offer for offer in old.offers if not offer["told"] and offer["exchange"] in ("bills", "firsts")]
    with RunningGrosz(old.data, "--workers", "1") as up:
        with sqlite3.connect(f"file:{old.data / 'grosz.sqlite'}?mode=ro", uri=True) as database:
            assert database.execute("select version_num from alembic_version").fetchall() == [(newest(),)]
        database.close()
        audited(old.data)
        assert ledger(old.data) == booked
        async with aiohttp.ClientSession() as session:
            # Every audience is there, from profiles that nobody has touched since.
            assert len(known) > 10
            found = await asyncio.gather(*(is_known(session, up.urls["bid"], offer) for offer in known.values()))
            assert dict(zip(known, found, strict=True)) == dict.fromkeys(known, True)
            for offer in out:
                path = f"/n/bill/{reissued(old, offer)}?p=1.00&c=PLN"
                assert await bill(session, up.urls["track"], path) == 204
                assert await bill(session, up.urls["track"], path) == 204
        await until_rewritten(old.data)
        expected = booked + Counter((offer["bid"]["tactic"], offer["exchange"]) for offer in out)
        await until(lambda: ledger(old.data) == expected)
        audited(old.data)


async def until(condition: Any) -> None:  # noqa: ANN401 - a callable without arguments
    ends = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.5)


async def until_rewritten(data: Path) -> None:
    """The doctor tells when all profiles are in the new layout, and when all audiences change by the rules of today."""

    def told() -> bool:
        done = grosz("doctor", "--json", "--data", str(data))
        assert "Traceback" not in done.stderr, done.stderr
        return f"rewritten in hot layout {HOT_VERSION}: done" in done.stdout and "all audiences change" in done.stdout

    await until(told)


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
async def test_bidders_of_both_releases_share_one_redis(old: OldRelease, tmp_path: Path, seconds: int) -> None:
    """Each bids, each bid is billed by the tracker of today, none is refused, and the books agree."""
    with RunningGrosz(old.data, "--workers", "1") as up:
        settings = {
            "GROSZ_REDIS_URL": EmbeddedServer(old.data).url,
            "GROSZ_MONEY_TOKEN_KEYS": json.dumps({"1": old.key.hex()}),
            "GROSZ_TRACK_PUBLIC_URL": up.urls["track"],
            "GROSZ_DATA_DIRECTORY": str(tmp_path),
        }
        with OldBidder(old.program, settings, tmp_path / "old.log") as older:
            await until(older.is_ready)
            before = ledger(old.data)
            made: Counter[str] = Counter()
            statuses: Counter[int] = Counter()
            async with aiohttp.ClientSession() as session:
                ends = time.monotonic() + seconds
                for number in itertools.count():
                    if time.monotonic() > ends and min(made["old"], made["new"]) >= 20:
                        break
                    assert time.monotonic() < ends + WAIT_S, (made, older.log()[-2_000:])
                    name, url = (("old", older.url), ("new", up.urls["bid"]))[number % 2]
                    request = {**old.offers[number % 24]["request"], "id": f"{name}-{number}"}
                    bid = await post(session, f"{url}/openrtb2/bills", request)
                    if bid is None:
                        await asyncio.sleep(0.02)
                        continue
                    made[name] += 1
                    path = "/n/bill/" + bid["burl"].split("/n/bill/", 1)[1]
                    path = path.replace("${AUCTION_PRICE}", "1.10").replace("${AUCTION_CURRENCY}", "PLN")
                    statuses[await bill(session, up.urls["track"], path)] += 1
            assert statuses == {204: made["old"] + made["new"]}
            await until(lambda: (ledger(old.data) - before).total() == statuses[204])
        audited(old.data)


def test_a_database_of_a_later_release_is_refused_with_a_sentence(old: OldRelease) -> None:
    """Going back: what this release says where the next one has migrated the database."""
    with contextlib.closing(sqlite3.connect(old.data / "grosz.sqlite")) as database, database:
        database.execute("update alembic_version set version_num = '9999'")
    done = grosz("migrate", "--data", str(old.data))
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "the database has schema 9999, and this release knows" in " ".join(done.stderr.split())
