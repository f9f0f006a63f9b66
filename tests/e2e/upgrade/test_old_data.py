"""What b6473a0 left behind is read as it was meant: tokens, profiles, bids, bills, at the moment when it was left.

The clock of these tests stands where the old release stopped, so that its tokens are in date and its carts are young.
"""

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from bidder.decision.model_file import load_model
from bidder.decision.pipeline import evaluate, look_up, screen
from bidder.decision.snapshot import Snapshot
from bidder.dialects.table import speaker_of
from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction
from bidder.request.consent import ConsentPolicy
from bidder.targeting.compiled import Compiled
from core import keys
from core.catalogue.codec import decode_published
from core.catalogue.follower import read_whole
from core.clock import ManualClock, SystemClock
from core.config import ConsentSettings
from core.model import Catalogue, Goal
from core.redis.client import control_redis
from core.redis.embedded import EmbeddedServer
from core.telemetry.metrics import Telemetry
from pacing.budgets.leases import LeaseBook
from pacing.budgets.transitions import Transitions
from pacing.notices.delivery import DeliveryCounts
from pacing.notices.notices import NoticeDesk, NoticeEvent, NoticeReport
from pacing.notices.tokens import TokenSigner
from segments.facts.layout import HOT_VERSION, unpack_windows
from segments.profiles.reading import ProfileReader
from segments.profiles.scanning import ServerScanner
from segments.worker.reindex import SETTLE_S, SegmentReindexer
from tests.kit.bidding import generous
from tests.kit.old_release import OldRelease, old_memberships
from tests.kit.openrtb import body_of
from tests.kit.profiles import EventRig, event_rig

# By which notice the exchanges of the old catalogue bill.
BILLING = {
    "bills": NoticeEvent.BILL,
    "wins": NoticeEvent.WIN,
    "pixels": NoticeEvent.IMPRESSION,
    "firsts": NoticeEvent.BILL,
}


class Left(NamedTuple):
    """The old release's data on a running server, and a clock that stands where it stopped."""

    old: OldRelease
    url: str
    clock: ManualClock
    catalogue: Catalogue
    control: Redis

    @property
    def signer(self) -> TokenSigner:
        return TokenSigner({1: self.old.key})


@pytest.fixture
def old() -> Iterator[OldRelease]:
    directory = Path(tempfile.mkdtemp(prefix="grosz-"))  # short: it holds a socket
    yield OldRelease(directory)
    shutil.rmtree(directory)


@pytest.fixture
async def left(old: OldRelease) -> AsyncIterator[Left]:
    server = EmbeddedServer(old.data)
    server.start()
    control = control_redis(server.url)
    try:
        snapshot, chain = await read_whole(control)
        published = decode_published(snapshot, chain.changes)
        yield Left(old, server.url, ManualClock(round(old.made_s * 1000)), published, control)
    finally:
        await control.aclose()
        server.stop()


def test_every_old_token_says_what_its_bid_said(old: OldRelease) -> None:
    signer = TokenSigner({1: old.key})
    for offer in old.offers:
        claims = signer.verify(old.token_of(offer), int(old.made_s))
        bid = offer["bid"]
        assert str(claims.line_item_id) == bid["tactic"]
        assert (str(claims.campaign_id), str(claims.creative_id)) == (bid["cid"], bid["adid"])
        assert claims.bid_cpm == round(bid["price"] * 1_000_000)
        assert claims.currency == "PLN"
        assert claims.terms is None
        assert claims.user_id == (old.users[0] if offer["user"] == "theirs-1" else offer["user"])


@contextlib.asynccontextmanager
async def rig_of(left: Left) -> AsyncIterator[EventRig]:
    async with event_rig(left.url, left.clock, published=left.catalogue) as rig:
        yield rig


async def halves(rig: EventRig, user: str) -> dict[int, tuple[bytes, bytes]]:
    """Hot and cold field by advertiser."""
    found = await rig.store.read({user: [1, 2]})
    return {key: (field.hot, field.cold) for key, field in found[user].fields.items() if field.hot}


async def test_every_audience_is_there_before_and_after_profiles_are_rewritten(left: Left) -> None:
    old, now_s = left.old, int(left.old.made_s)
    async with rig_of(left) as rig:
        before = {user: await halves(rig, user) for user in old.users}
        members = {
            user: set().union(*(old_memberships(hot, now_s) for hot, _ in fields.values()))
            for user, fields in before.items()
        }
        assert sum(map(len, members.values())) > 40
        assert await read_members(rig, old.users, now_s) == members

        scanner = ServerScanner(left.control)
        reindexer = SegmentReindexer(
            rig.store, scanner, rig.planner, rig.directory.rule_versions, rig.sizes, left.clock, Telemetry()
        )
        await reindexer.step()
        left.clock.advance(SETTLE_S)
        while await reindexer.step() is not None:
            pass
        after = {user: await halves(rig, user) for user in old.users}
        for user, fields in before.items():
            assert after[user].keys() == fields.keys()
            for advertiser, (hot, cold) in fields.items():
                new_hot, new_cold = after[user][advertiser]
                assert (hot[0], new_hot[0], new_cold) == (1, HOT_VERSION, cold)
                assert unpack_windows(new_hot) == unpack_windows(hot)
        assert await read_members(rig, old.users, now_s) == members
        assert await rig.store.commands([("ZCARD", keys.WEBHOOK_QUEUE)]) == [0], "nobody is told a second time"


async def read_members(rig: EventRig, users: list[str], now_s: int) -> dict[str, set[int]]:
    batch = await ProfileReader(rig.redis).fetch([(user, 1, None) for user in users], now_s * 1000, 1e9)
    found = [segments or b"" for segments in batch.segments]
    return {
        user: {int.from_bytes(ids[at : at + 4], "little") for at in range(0, len(ids), 4)}
        for user, ids in zip(users, found, strict=True)
    }


async def test_every_bid_may_be_made_again_without_a_new_event(left: Left) -> None:
    """The line item of each old bid may bid on the same request at the same price.

    Not that it wins: which of them held a lease at that moment was chance.
    """
    goals = {line_item.id: line_item.goal for line_item in left.catalogue.line_items}
    async with rig_of(left) as rig:
        compiled = Compiled(left.catalogue)
        book = LeaseBook()
        book.bind(compiled.index.pools)
        generous(book)
        snapshot = Snapshot(compiled, load_model(), book, "https://track.example")
        policy, reader = ConsentPolicy(ConsentSettings()), ProfileReader(rig.redis)
        for offer in left.old.offers:
            now_ms = round(offer["at_s"] * 1000)
            snapshot.live.refresh(now_ms, book)
            request = decode_request(body_of(offer["request"]), Tolerances())
            exchange = snapshot.index.exchanges[offer["exchange"]]
            auction = Auction(request, exchange, deadline=1e9, speaker=speaker_of(exchange))
            assert screen(auction, snapshot, policy), auction.no_bid
            batch = await look_up([auction], reader, now_ms, 1e9)
            batch.rings = [b""]  # impressions that were billed after this bid would lower the value of another one
            found = evaluate([auction], batch, snapshot, now_ms)
            assert found is not None
            prices = dict(
                zip(
                    snapshot.index.lines.line_item[found.positions[found.eligible]].tolist(),
                    found.cpm[found.eligible].tolist(),
                    strict=True,
                )
            )
            line_item, price = int(offer["bid"]["tactic"]), round(offer["bid"]["price"] * 1_000_000)
            assert line_item in prices, offer["request"]["id"]
            if goals[line_item] is Goal.CPM and offer["exchange"] != "firsts":  # by model, or shaded
                assert prices[line_item] == price, offer["request"]["id"]


async def test_notices_of_old_tokens_are_booked_once(left: Left) -> None:
    """Bids that were out are billed from the reservation that the old release made, others are known already."""
    clock = left.clock
    outcomes: Counter[tuple[str, str]] = Counter()
    async with rig_of(left) as rig:
        transitions = Transitions(rig.redis, SystemClock(), time_ms=clock.now_ms)
        desk = NoticeDesk(left.signer, transitions, lambda: left.catalogue, clock, Telemetry(), DeliveryCounts(clock))
        for offer in left.old.offers:
            event = BILLING[offer["exchange"]]
            result = await desk.answer(NoticeReport(event, left.old.token_of(offer), "1.20", "PLN"))
            assert result.status == 204, result
            outcomes[state_of(offer), result.outcome] += 1
    assert set(outcomes) == {
        ("out", "billed"), ("won", "billed"), ("billed", "duplicate_bill"), ("lost", "late_bill"),
    }  # fmt: skip
    assert sum(count for (state, _), count in outcomes.items() if state == "out") > 40


def state_of(offer: dict[str, Any]) -> str:
    """What the old release had been told of a bid."""
    told = set(offer["told"])
    if told & {{"bills": "burl", "wins": "nurl", "pixels": "pixel", "firsts": "burl"}[offer["exchange"]]}:
        return "billed"
    return "won" if "nurl" in told else "lost" if "lurl" in told else "out"
