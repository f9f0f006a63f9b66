"""`GET /v1/auctions/tail`: pages, a stream of events, and nobody else's bids."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from admin.cli import tail
from bidder.decision.tailing import TailedAuction, TailedBid
from bidder.door.tail import AUCTION_FIELD
from core import keys
from core.clock import ManualClock
from core.errors import NotFoundError
from tests.integration.admin.conftest import make_shop
from tests.kit.api import Api, running_api


def auction(*shops: int) -> bytes:
    bids = tuple(TailedBid("1", "banner", shop, 10 + shop, 0, "2.00", "1.00", 5) for shop in shops)
    reason = "" if bids else "not_targeted"
    return msgspec.json.encode(
        TailedAuction(1, "demo", "r1", "news.example", "POL", 2, ("300x250",), "PLN", reason, bids)
    )


async def test_a_restricted_key_sees_its_own_bids_alone(api: Api, valkey: str, clock: ManualClock) -> None:
    owner, first, second = await api.caller(), await make_shop(api, "szpilka"), await make_shop(api, "obcas")
    redis = Redis.from_url(valkey)
    mine, theirs = first.advertiser["id"], second.advertiser["id"]
    begun = [await caller.get("/v1/auctions/tail") for caller in (owner, first.caller)]
    assert [one.status for one in begun] == [200, 200]
    for shops in ((mine, theirs), (theirs,), ()):
        await redis.xadd(keys.TAIL_AUCTIONS, {AUCTION_FIELD: auction(*shops)})
    await redis.aclose()
    everything = await owner.get(f"/v1/auctions/tail?nobid=true&after={begun[0].body['next']}")
    assert [len(one["bids"]) for one in everything.body["auctions"]] == [2, 1, 0]
    own = await first.caller.get(f"/v1/auctions/tail?after={begun[1].body['next']}")
    assert [[bid["advertiser_id"] for bid in one["bids"]] for one in own.body["auctions"]] == [[mine]]
    one = await first.caller.get(f"/v1/auctions/tail?line_item_id={10 + theirs}&after=0-0")
    assert one.body["auctions"] == []
    assert (await first.caller.get("/v1/auctions/tail?nobid=true")).status == 403
    for after in ("x", "20000000000000000000-0"):  # Redis takes no more than 64 bits
        assert (await owner.get(f"/v1/auctions/tail?after={after}")).status == 422
    assert clock.now_ms() > 0


async def test_a_stream_goes_on_from_where_it_was_left(api: Api, valkey: str) -> None:
    owner, redis = await api.caller(), Redis.from_url(valkey)
    await redis.xadd(keys.TAIL_AUCTIONS, {AUCTION_FIELD: auction(1)})
    headers = owner.headers | {"Accept": "text/event-stream", "Last-Event-ID": "0-0"}
    async with api.client.get("/v1/auctions/tail", headers=headers) as stream:
        assert stream.content_type == "text/event-stream"
        first = await stream.content.readuntil(b"\n\n")
        await redis.xadd(keys.TAIL_AUCTIONS, {AUCTION_FIELD: auction(1, 2)})
        second = b": nothing"
        while b"data" not in second:
            second = await stream.content.readuntil(b"\n\n")
    await redis.aclose()
    assert first.startswith(b"id: ")
    assert [len(msgspec.json.decode(text.split(b"data: ")[1])["bids"]) for text in (first, second)] == [1, 2]
    async with api.client.get("/v1/auctions/tail", headers={"Accept": "text/event-stream"}) as refused:
        assert refused.status == 401


@pytest.mark.parametrize("way", ["http", "data"])
async def test_the_command_says_what_is_not_there_instead_of_waiting_for_it(
    way: str, valkey: str, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}", valkey, clock) as api:
        owner, shop = await api.caller(), await make_shop(api, "szpilka")
        await owner.made("/v1/exchanges", {"key": "demo", "name": "Demo exchange", "default_currency": "PLN"})
        item = await shop.caller.made("/v1/line-items", shop.line_item())
        gone = await shop.caller.made("/v1/line-items", shop.line_item())
        await shop.caller.post(f"/v1/line-items/{gone['id']}/archive")
        await api.publisher.publish()
        if way == "data":
            monkeypatch.setenv("GROSZ_REDIS_URL", valkey)
            where = ["--data", str(tmp_path)]
        else:
            secret = owner.headers["Authorization"].removeprefix("Bearer ")
            where = ["--url", str(api.client.make_url("/")), "--key", secret]

        async def tailed(*options: str) -> object:
            words = [*options, "--seconds", "0.1", *where]
            return (await asyncio.to_thread(CliRunner().invoke, tail.app, words)).exception

        assert await tailed("--exchange", "demo", "--line-item", str(item["id"])) is None
        for options, says, hint in (
            (("--exchange", "nope"), "there is no exchange 'nope'", "see `grosz exchange list`"),
            (("--line-item", "999999"), "there is no line item 999999", "archived ones do not bid"),
            (("--line-item", str(gone["id"])), f"there is no line item {gone['id']}", "archived ones do not bid"),
        ):
            error = await tailed(*options)
            assert isinstance(error, NotFoundError), error
            assert error.message == says
            assert hint in error.hint
