"""The API against its own description: schemathesis makes requests that fit it and that break it, and follows links."""

import asyncio
import sys
from pathlib import Path

import pytest

from core.clock import SystemClock
from tests.integration.admin.conftest import bring_books, make_shop
from tests.kit.api import Api, running_api
from tests.kit.postgres import PostgresServer

CONFIG = Path(__file__).with_name("schemathesis.toml")

# A generator of requests is not a guesser of passwords, and is not slowed down like one.
UNLIMITED = 1_000_000

# All resources are built on one kernel, so the one with the most fields is tried hard, and all by the stateful run.
HARD = (
    "/v1/(recommendations|line-items|change-log|login|ledger|explain|audit|catalogue|visitors|segment-|given-up|cookie-sync"
    "|advertisers/\\{id\\}/(seg|tag|cou|mat|eve))"
)


async def _schemathesis(api: Api, redis_url: str, *options: str) -> tuple[int, str]:
    caller = await api.caller(requests_per_minute=UNLIMITED)
    shop = await make_shop(api, "szpilka")  # ids from 1 exist, so that more requests get through to the logic
    await shop.caller.made("/v1/line-items", shop.line_item())
    await caller.made("/v1/exchanges", {"key": "demo"})
    await api.publisher.publish()
    await bring_books(api, redis_url)
    url = api.client.make_url("/openapi.json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", str(url),
        "--header", f"Authorization: {caller.headers['Authorization']}", "--checks", "all", "--seed", "20261101",
        "--no-color", "--warnings", "off", "--generation-database", "none", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.timeout(600)
async def test_requests_of_every_shape_get_documented_answers(tmp_path: Path, valkey: str) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    async with running_api(url, valkey, SystemClock(), failures_per_minute=UNLIMITED) as api:
        code, output = await _schemathesis(api, valkey, "--phases", "examples,coverage", "--include-path-regex", HARD)
    assert code == 0, output


@pytest.mark.timeout(600)
async def test_objects_of_every_kind_live_as_the_links_say(postgres_server: PostgresServer, valkey: str) -> None:
    url = postgres_server.new_database()
    async with running_api(url, valkey, SystemClock(), failures_per_minute=UNLIMITED) as api:
        code, output = await _schemathesis(api, valkey, "--phases", "examples,stateful", "--max-examples", "5")
    assert code == 0, output
