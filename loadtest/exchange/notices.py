"""What an exchange and a browser send after an auction: win, billing and loss notices, impressions, clicks.

They come late, twice, out of order, without their price or not at all, by the rates of the plan. Our own bill is
written here: an impression is billed when its billing notice was acknowledged, once, at the price that the notice
carried.
"""

import heapq
import random
import re
from collections.abc import Callable
from typing import Literal

from loadtest.exchange.auction import Outcome, Rules, clearing_price
from loadtest.exchange.dialects import GENERIC, Manner, plain_price
from loadtest.exchange.markup import links_of
from loadtest.judging.books import Books
from loadtest.judging.checks import OfferedBid
from loadtest.measure.tally import NOTICE, BillLine, Tally
from loadtest.traffic.facts import text, whole
from loadtest.traffic.scenario import NoticePlan
from loadtest.wire.client import STATUS_NO_ANSWER, Pool

# The part of viewers that stop watching in each quarter of a spot: some six in ten see the end.
LEAVES = 0.1

Kind = Literal["win", "bill", "loss", "impression", "event", "click"]

# The implementation notes ask to repeat a billing notice that was not acknowledged; three times is what exchanges
# document.
MAX_ATTEMPTS = 3
RETRY_S = 0.5

_MACRO = re.compile(r"\$\{(AUCTION_[A-Z_]+(?::[A-Z0-9]+)?)\}")

# With more pending notices the run would measure the tracker and not load it: further ones wait, and are counted.
MAX_PENDING = 1_000_000


class Sale:
    """One impression that we sold, until it is billed."""

    __slots__ = ("bid", "billed", "is_test", "least", "price", "request_id", "rules")

    def __init__(self, request_id: str, bid: OfferedBid, price: int, least: int, rules: Rules, is_test: bool) -> None:
        self.request_id = request_id
        self.bid = bid
        self.price = price  # CPM micros
        self.least = least  # the least CPM micros that would have won
        self.rules = rules
        self.is_test = is_test
        self.billed = False


class Notice:
    """One notice on its way."""

    __slots__ = ("attempt", "kind", "post", "priced", "sale", "sent", "url", "user")

    def __init__(self, kind: Kind, url: str, sale: Sale | None, *, post: bool = False, priced: bool = True) -> None:
        self.kind = kind
        self.url = url
        self.sale = sale
        self.post = post
        self.priced = priced
        self.attempt = 1
        self.sent = 0.0
        self.user = b""


class NoticeDesk:
    """Schedules and sends notices to one tracker, and keeps the bill."""

    def __init__(
        self,
        plan: NoticePlan,
        books: Books,
        tracker: str,
        pool: "Pool[Notice]",
        tally: Tally,
        monotonic: Callable[[], float],
        seed: int,
        on_shown: Callable[[bytes], None],
        manner: Manner = GENERIC,
    ) -> None:
        self._manner = manner
        self._plan = plan
        self._books = books
        self._origin = tracker.rstrip("/") + "/"
        self._host = self._origin.split("/")[2]
        self._pool = pool
        self._tally = tally
        self._monotonic = monotonic
        self._chance = random.Random(seed)
        self._on_shown = on_shown
        self._queue: list[tuple[float, int, Notice]] = []
        self._number = 0
        self._in_flight = 0
        self._is_over = False

    @property
    def pending(self) -> int:
        """Notices that are scheduled or on their way."""
        return len(self._queue) + self._in_flight

    def is_ours(self, url: str) -> bool:
        """Whether a URL points to the tracker of this run; nothing else is ever called."""
        return url.startswith(self._origin)

    def won(self, request_id: str, bid: OfferedBid, outcome: Outcome, rules: Rules, user: bytes, is_test: bool) -> None:
        """Schedule what follows when our bid has won."""
        plan, chance = self._plan, self._chance
        price = outcome.price - outcome.price % self._manner.price_step
        sale = Sale(request_id, bid, price, outcome.least, rules, is_test)
        now = self._monotonic()
        if self._manner.calls_win_notice:
            self._announce("win", text(bid.bid.nurl), sale, now + self._delay(plan.win_delay_ms))
        if chance.random() >= plan.rendered_share:
            return
        billed_at = now + self._delay(plan.bill_delay_ms)
        self._announce("bill", text(bid.bid.burl), sale, billed_at)
        links = links_of(text(bid.bid.adm), self.is_ours)
        for url in links.pixels:
            self._schedule(billed_at, self._shown(url, sale, user))
        for number, url in enumerate(links.events):
            if chance.random() < LEAVES:  # a viewer may leave at any quarter
                break
            played = whole(bid.bid.dur) * number / max(len(links.events) - 1, 1)
            self._schedule(billed_at + played, self._notice("event", url, sale, user))
        if links.click and chance.random() < plan.click_rate:
            self._schedule(billed_at + self._delay(plan.click_delay_ms), self._notice("click", links.click, sale, user))

    def lost(self, request_id: str, bid: OfferedBid, outcome: Outcome) -> None:
        """Schedule the loss notice when our bid has lost."""
        url = text(bid.bid.lurl)
        if not url or self._chance.random() >= self._plan.loss_share:
            return
        values = self._values(request_id, bid, 0) | {
            "AUCTION_LOSS": str(outcome.loss_code),
            "AUCTION_MIN_TO_WIN": plain_price(outcome.least, b""),
        }
        notice = Notice("loss", _replace(url, values), None, post=self._chance.random() < self._plan.post_share)
        self._schedule(self._monotonic() + self._delay(self._plan.win_delay_ms), notice)

    def _announce(self, kind: Kind, url: str, sale: Sale, due: float) -> None:
        """Schedule a win or billing notice: perhaps lost, late, twice, or without its price."""
        plan, chance = self._plan, self._chance
        if not url:
            return
        if chance.random() < plan.lost_share:
            self._tally.counts[f"notice.{kind}.lost"] += 1
            return
        priced = chance.random() >= plan.unreplaced_share
        values = self._values(sale.request_id, sale.bid, sale.price)
        values["AUCTION_MIN_TO_WIN"] = plain_price(sale.least, b"")
        if not priced:
            del values[self._manner.price_macro]
        final = _replace(url, values)
        if chance.random() < plan.late_share:
            due += plan.late_delay_ms / 1000
        copies = 2 if chance.random() < plan.duplicate_share else 1
        for copy in range(copies):
            notice = Notice(kind, final, sale, post=chance.random() < plan.post_share, priced=priced)
            self._schedule(due + copy * self._delay(plan.bill_delay_ms), notice)
        if copies == 2:
            self._tally.counts[f"notice.{kind}.duplicate"] += 1

    def _shown(self, url: str, sale: Sale, user: bytes) -> Notice:
        """The call of our pixel by the page; it has a price where the markup has the exchange's macro."""
        values = self._values(sale.request_id, sale.bid, sale.price)
        priced = f"${{{self._manner.price_macro}}}" in url and self._chance.random() >= self._plan.unreplaced_share
        if not priced:
            del values[self._manner.price_macro]
        notice = self._notice("impression", _replace(url, values), sale, user)
        notice.priced = priced
        return notice

    def _notice(self, kind: Kind, url: str, sale: Sale, user: bytes) -> Notice:
        notice = Notice(kind, url, sale)
        notice.user = user
        return notice

    def _values(self, request_id: str, bid: OfferedBid, price: int) -> dict[str, str]:
        return {
            "AUCTION_ID": request_id,
            "AUCTION_IMP_ID": bid.impression,
            "AUCTION_SEAT_ID": bid.seat,
            "AUCTION_AD_ID": text(bid.bid.adid),
            "AUCTION_CURRENCY": bid.currency,
            self._manner.price_macro: self._manner.write_price(price, f"{request_id} {bid.impression}".encode()),
            "AUCTION_MBR": f"{price / bid.price:.4f}",
        }

    def _delay(self, milliseconds: float) -> float:
        jitter = self._plan.jitter
        return milliseconds / 1000 * (1 - jitter + 2 * jitter * self._chance.random())

    def _schedule(self, due: float, notice: Notice) -> None:
        if not self.is_ours(notice.url):
            self._tally.violate("foreign-notice-url", f"{notice.kind} notice to {notice.url[:200]}", "", "")
            return
        if len(self._queue) >= MAX_PENDING:
            self._tally.counts["notice.overflow"] += 1
            return
        self._number += 1
        heapq.heappush(self._queue, (due, self._number, notice))

    def pump(self, now: float) -> None:
        """Send what is due."""
        queue = self._queue
        while queue and queue[0][0] <= now:
            self._send(heapq.heappop(queue)[2])

    def hurry(self) -> None:
        """Send everything that is still scheduled, due or not, since the run is over."""
        self.pump(float("inf"))

    def close(self) -> None:
        """End: count what is still scheduled as unsent, and repeat nothing. The pool still reports notices on their
        way."""
        self._is_over = True
        for _, _, notice in self._queue:
            self._tally.counts[f"notice.{notice.kind}.unsent"] += 1
            if notice.attempt > 1:
                self._in_doubt(notice)
        self._queue.clear()

    def _send(self, notice: Notice) -> None:
        notice.sent = self._monotonic()
        self._in_flight += 1
        self._tally.counts[f"notice.{notice.kind}.sent"] += 1
        method = "POST" if notice.post else "GET"
        lines = [f"{method} /{notice.url[len(self._origin) :]} HTTP/1.1", f"Host: {self._host}"]
        if notice.post:
            lines.append("Content-Length: 0")
        self._pool.submit(notice, ("\r\n".join(lines) + "\r\n\r\n").encode())

    def on_answer(self, notice: Notice, status: int, head: bytes, body: bytes) -> None:
        """The pool's callback."""
        del head, body
        self._in_flight -= 1
        now = self._monotonic()
        counts = self._tally.counts
        if status != STATUS_NO_ANSWER:
            self._tally.histograms[NOTICE].record(now - notice.sent)
        if status >= 500:
            self._tally.violate("notice-5xx", f"{notice.kind} notice answered {status}", notice.url, "")
        if 200 <= status < 400:
            counts[f"notice.{notice.kind}.acknowledged"] += 1
            self._acknowledged(notice)
        elif 400 <= status < 500:
            counts[f"notice.{notice.kind}.refused"] += 1
        elif notice.attempt < MAX_ATTEMPTS and not self._is_over:
            notice.attempt += 1
            self._schedule(now + RETRY_S, notice)
        else:
            counts[f"notice.{notice.kind}.unanswered"] += 1
            self._in_doubt(notice)

    def _acknowledged(self, notice: Notice) -> None:
        sale = notice.sale
        if sale is None:
            return
        if notice.kind == "impression":
            self._on_shown(notice.user)
        if notice.kind != self._plan.billing_event or sale.billed or sale.is_test:
            return
        sale.billed = True
        line = BillLine(impressions=1)
        bid = sale.bid
        key = self._books.key(bid.bid, bid.currency)
        self._tally.counts["billed"] += 1
        if notice.priced:
            line.exact_micros = self._books.charge(sale.price, bid.price, bid.currency, key.currency)
            self._tally.counts["billed_micros"] += sale.price // 1000
        else:  # the bidder knows neither competitors nor price: it settles between the floor and its own bid
            line.unpriced = 1
            alone = clearing_price(bid.price, 0, sale.rules)
            line.low_micros = self._books.charge(alone, bid.price, bid.currency, key.currency)
            line.high_micros = self._books.charge(bid.price, bid.price, bid.currency, key.currency)
        self._tally.owe(key, line)

    def _in_doubt(self, notice: Notice) -> None:
        """Count a billing notice without an answer: it may have been settled or not, and the audit allows for both."""
        sale = notice.sale
        if sale is None or notice.kind != self._plan.billing_event or sale.billed or sale.is_test:
            return
        sale.billed = True
        bid = sale.bid
        key = self._books.key(bid.bid, bid.currency)
        self._tally.counts["billed.in_doubt"] += 1
        most = self._books.charge(bid.price, bid.price, bid.currency, key.currency)
        self._tally.owe(key, BillLine(doubtful=1, high_micros=most))


def _replace(url: str, values: dict[str, str]) -> str:
    """The URL with macros replaced where a value is known; others stay as they are."""
    return _MACRO.sub(lambda match: values.get(match.group(1), match.group(0)), url)
