import msgspec
import pytest

from core.clock import ManualClock
from loadtest.exchange.auction import Outcome, Rules
from loadtest.exchange.notices import Notice, NoticeDesk
from loadtest.judging.books import NO_BOOKS, Books
from loadtest.judging.checks import Bid, OfferedBid
from loadtest.measure.tally import BillLine, Tally
from loadtest.traffic.scenario import NoticePlan
from loadtest.wire.client import Pool, parse_target
from tests.kit.fake_bidder import NO_BID, FakeBidder, json_answer, until

RULES = Rules(1_000_000, first_price=False)
PLAIN = NoticePlan(duplicate_share=0, post_share=0, rendered_share=1.0, click_rate=1.0, jitter=0)


class Desk:
    """A notice desk in front of a fake tracker, in manual time."""

    def __init__(self, tracker: FakeBidder, plan: NoticePlan, books: Books = NO_BOOKS) -> None:
        self.clock = ManualClock()
        self.tally = Tally()
        self.tracker = tracker
        self.shown: list[bytes] = []
        self.pool: Pool[Notice] = Pool(parse_target(tracker.url), 1, self._on_answer, self.clock.monotonic)
        self.desk = NoticeDesk(
            plan, books, tracker.url, self.pool, self.tally, self.clock.monotonic, 1, self.shown.append
        )

    def _on_answer(self, notice: Notice, status: int, head: bytes, body: bytes) -> None:
        self.desk.on_answer(notice, status, head, body)

    def bid(self, price: int = 3_000_000) -> OfferedBid:
        url = self.tracker.url
        members = Bid(
            tactic="70",
            cid="7",
            nurl=url + "/n/win/T?p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}",
            burl=url + "/n/bill/T?p=${AUCTION_PRICE}",
            lurl=url + "/n/loss/T?r=${AUCTION_LOSS}&m=${AUCTION_MIN_TO_WIN}&i=${AUCTION_IMP_ID}",
            adm=f'<a href="{url}/t/click/T"><img src="{url}/t/imp/T"></a>',
        )
        return OfferedBid("1", price, "PLN", members, "", "grosz")

    def win(self, price: int = 1_500_000, *, is_test: bool = False) -> None:
        self.desk.won("r1", self.bid(), Outcome(True, price), RULES, b"user", is_test)

    async def play(self, seconds: float = 60.0) -> list[str]:
        """Let time pass until nothing is pending; returns the request lines."""
        await self.pool.open()
        for _ in range(int(seconds / 0.5)):
            self.clock.advance(0.5)
            self.desk.pump(self.clock.monotonic())
            await until(lambda: self.pool.outstanding == 0)
        await self.pool.close()
        return [head.split(b" HTTP")[0].decode() for head in self.tracker.heads]


async def test_a_sale_is_announced_billed_shown_and_clicked_with_its_price() -> None:
    async with FakeBidder() as tracker:
        desk = Desk(tracker, PLAIN)
        desk.win()
        lines = await desk.play()
    assert lines == ["GET /n/win/T?p=1.50&c=PLN", "GET /n/bill/T?p=1.50", "GET /t/imp/T", "GET /t/click/T"]
    assert desk.tally.bill == {"70:PLN": BillLine(exact_micros=1_500, impressions=1)}
    assert desk.shown == [b"user"]
    assert desk.desk.pending == 0


async def test_a_loss_says_why_and_what_would_have_won() -> None:
    async with FakeBidder() as tracker:
        desk = Desk(tracker, PLAIN)
        desk.desk.lost("r1", desk.bid(), Outcome(False, 3_200_000, 102, 3_210_000))
        assert await desk.play() == ["GET /n/loss/T?r=102&m=3.21&i=1"]
    assert desk.tally.bill == {}


async def test_a_bill_says_what_would_have_won() -> None:
    async with FakeBidder() as tracker:
        desk = Desk(tracker, PLAIN)
        offered = desk.bid()
        members = msgspec.structs.replace(offered.bid, nurl="", burl=tracker.url + "/n/bill/T?m=${AUCTION_MIN_TO_WIN}")
        desk.desk.won("r1", offered._replace(bid=members), Outcome(True, 3_000_000, least=1_230_000), RULES, b"", False)
        assert "GET /n/bill/T?m=1.23" in await desk.play()


async def test_a_duplicate_is_sent_twice_and_billed_once() -> None:
    async with FakeBidder() as tracker:
        desk = Desk(tracker, NoticePlan(duplicate_share=1, post_share=1, rendered_share=1, click_rate=0))
        desk.win()
        lines = await desk.play()
    assert lines.count("POST /n/bill/T?p=1.50") == lines.count("POST /n/win/T?p=1.50&c=PLN") == 2
    assert desk.tally.bill["70:PLN"].impressions == 1


async def test_a_notice_without_its_price_is_billed_within_a_range() -> None:
    async with FakeBidder() as tracker:
        desk = Desk(tracker, NoticePlan(unreplaced_share=1, duplicate_share=0, rendered_share=1, click_rate=0))
        desk.win()
        assert any("${AUCTION_PRICE}" in line for line in await desk.play())
    assert desk.tally.bill == {"70:PLN": BillLine(impressions=1, unpriced=1, low_micros=1_010, high_micros=3_000)}


async def test_a_lost_billing_notice_is_not_billed() -> None:
    async with FakeBidder() as tracker:
        desk = Desk(tracker, NoticePlan(lost_share=1))
        desk.win()
        await desk.play()
    assert desk.tally.bill == {}
    assert desk.tally.counts["notice.bill.lost"] + desk.tally.counts["notice.win.lost"] >= 1


async def test_test_traffic_is_announced_but_never_billed() -> None:
    async with FakeBidder() as tracker:
        desk = Desk(tracker, PLAIN)
        desk.win(is_test=True)
        assert len(await desk.play()) == 4
    assert desk.tally.bill == {}


async def test_a_refused_bill_is_not_billed() -> None:
    async with FakeBidder(lambda _: json_answer(b"", 410)) as tracker:
        desk = Desk(tracker, PLAIN)
        desk.win()
        await desk.play()
    assert desk.tally.bill == {}
    assert desk.tally.counts["notice.bill.refused"] == 1


async def test_a_bill_that_is_not_acknowledged_is_repeated_and_then_in_doubt() -> None:
    async with FakeBidder(lambda _: json_answer(b"", 503)) as tracker:
        desk = Desk(tracker, NoticePlan(duplicate_share=0, post_share=0, rendered_share=1, click_rate=0))
        desk.win()
        lines = await desk.play()
    assert lines.count("GET /n/bill/T?p=1.50") == 3
    assert desk.tally.bill == {"70:PLN": BillLine(doubtful=1, high_micros=3_000)}
    assert desk.tally.violations["notice-5xx"] >= 3


@pytest.mark.parametrize(("event", "micros"), [("bill", 1_500), ("win", 1_500), ("impression", 0)])
async def test_the_billing_event_is_the_plans(event: str, micros: int) -> None:
    async with FakeBidder() as tracker:
        plan = NoticePlan(billing_event=event, duplicate_share=0, rendered_share=1, click_rate=0)  # type: ignore[arg-type]
        desk = Desk(tracker, plan)
        desk.win()
        await desk.play()
    line = desk.tally.bill["70:PLN"]
    assert (line.impressions, line.exact_micros) == (1, micros)


async def test_only_the_tracker_of_the_run_is_ever_called() -> None:
    async with FakeBidder() as tracker, FakeBidder(lambda _: NO_BID) as stranger:
        desk = Desk(tracker, PLAIN)
        bid = desk.bid()
        foreign = {name: str(getattr(bid.bid, name)).replace(tracker.url, stranger.url) for name in ("nurl", "burl")}
        moved = bid._replace(bid=msgspec.structs.replace(bid.bid, adm="", **foreign))
        desk.desk.won("r1", moved, Outcome(True, 1_500_000), RULES, b"", False)
        assert await desk.play() == []
        assert stranger.heads == []
    assert desk.tally.violations["foreign-notice-url"] == 2


async def test_an_advertiser_that_pays_in_another_currency_is_billed_in_it() -> None:
    books = Books({}, {}, {"7": "EUR"}, {"EUR": 4_270_000})
    async with FakeBidder() as tracker:
        desk = Desk(tracker, PLAIN, books)
        desk.win()
        await desk.play()
    # the bid of 3.00 PLN a thousand is at most 703 micros of a euro an impression, and half of it is charged
    assert desk.tally.bill == {"70:EUR": BillLine(exact_micros=352, impressions=1)}
    assert desk.tally.counts["billed_micros"] == 1_500


async def test_what_is_on_its_way_when_the_run_ends_is_in_doubt_and_what_never_left_is_counted() -> None:
    async with FakeBidder(lambda _: b"") as silent:
        desk = Desk(silent, NoticePlan(duplicate_share=0, post_share=0, rendered_share=1, click_rate=0, jitter=0))
        await desk.pool.open()
        desk.win()
        desk.clock.advance(0.5)
        desk.desk.pump(desk.clock.monotonic())  # the win goes out; the bill waits behind it for the only connection
        desk.win()
        await until(lambda: len(silent.heads) == 1)
        desk.desk.close()
        await desk.pool.close()
    counts = desk.tally.counts
    assert counts["notice.win.unsent"] == counts["notice.bill.unsent"] == counts["notice.impression.unsent"] == 1
    assert desk.tally.bill == {"70:PLN": BillLine(doubtful=1, high_micros=3_000)}
    assert desk.desk.pending == 0
