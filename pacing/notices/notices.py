"""Notices: what a tracker does when an exchange or a browser reports on one of our bids.

Every way in which a notice can arrive has one outcome here, with a status, an effect and a counter (the table is in
docs/money.md). A notice is answered 204 only when its settlement is durable; bad input is the sender's fault (4xx) and
never ours; 503 means that nothing was done and the sender may repeat it.
"""

import asyncio
import enum
from collections.abc import Callable
from typing import NamedTuple

from core import keys
from core.clock import Clock
from core.model import AuctionType, BillingEvent, Catalogue, Exchange
from core.ring import ANY_FORMAT
from core.telemetry.metrics import CounterChild, Telemetry
from core.terms import FORMATS_BY_NUMBER
from pacing.budgets.server_time import ServerTime
from pacing.budgets.timing import DEFAULT_MAX_AGE_S, MAX_CLOCK_SKEW_S, NOTICE_BUCKET_S, lease_day, notice_bucket
from pacing.budgets.transitions import Command, NoticeKind, SettleReply, Transitions, settle_reply
from pacing.budgets.turns import TurnBatch
from pacing.caps import WindowBook
from pacing.landscape.observations import SEVERAL_SIZES, LandscapeCell, ObservationKind, Tally
from pacing.notices.charges import multiplier_of, notice_key, settlement_of
from pacing.notices.claims import Claims, Terms, landing_digest, terms_of
from pacing.notices.clicks import BROWSERS_LIFE_S, LEAST_MS, MOST_A_DAY, ClickFault, browser_of, day_of
from pacing.notices.delivery import CLICKS, IMPRESSIONS, INVALID_CLICKS, LOSS_PREFIX, SPEND_MICROS, WINS, DeliveryCounts
from pacing.notices.lost_bids import CappedBook, lost_command
from pacing.notices.price_forms import NO_PRICE, BidTerms, NoticePrice, PriceForm, read_price
from pacing.notices.reference import Reference
from pacing.notices.tokens import TokenError, TokenFault, TokenSigner
from pacing.notices.told import cpm_of, loss_code_of
from pacing.notices.touches import Touch, TouchKind, touch_command

# Counts of delivery are kept for year-on-year comparisons.
DELIVERY_LIFE_S = 400 * 86_400

STATUS_OF_FAULT = {
    TokenFault.MALFORMED: 400,
    TokenFault.UNKNOWN_KEY: 403,
    TokenFault.FORGED: 403,
    TokenFault.EXPIRED: 410,
    TokenFault.FROM_THE_FUTURE: 400,
}

# Loss codes that are about the price (OpenRTB 2.6, list of loss reasons): below the floors, or to a higher bid. A code
# that is not given counts as one of them.
_LOST_TO_A_PRICE = frozenset(("other", "100", "101", "102"))

_BILLED = frozenset({"billed", "late_bill", "over_budget"})
# The first news of a win or loss; repetitions have outcomes of their own. Late ones came after their lease had closed.
_WON = frozenset({"won", "late_win", "win_after_loss"})
_LOST = frozenset({"lost", "late_loss", "loss_after_win"})


class NoticeEvent(enum.StrEnum):
    """What a notice reports."""

    WIN = "win"
    BILL = "bill"
    LOSS = "loss"
    IMPRESSION = "impression"
    CLICK = "click"


# What each event does to the money, by the exchange's billing event.
_MONEY: dict[tuple[NoticeEvent, BillingEvent], NoticeKind] = {
    (NoticeEvent.WIN, BillingEvent.BILL): NoticeKind.WIN,
    (NoticeEvent.WIN, BillingEvent.WIN): NoticeKind.BILL,
    (NoticeEvent.WIN, BillingEvent.IMPRESSION): NoticeKind.WIN,
    (NoticeEvent.BILL, BillingEvent.BILL): NoticeKind.BILL,
    (NoticeEvent.BILL, BillingEvent.IMPRESSION): NoticeKind.WIN,  # it does not bill here, but it names the price
    (NoticeEvent.IMPRESSION, BillingEvent.IMPRESSION): NoticeKind.BILL,
    (NoticeEvent.LOSS, BillingEvent.BILL): NoticeKind.LOSS,
    (NoticeEvent.LOSS, BillingEvent.WIN): NoticeKind.LOSS,
    (NoticeEvent.LOSS, BillingEvent.IMPRESSION): NoticeKind.LOSS,
}


class NoticeResult(NamedTuple):
    """The HTTP status to answer with, what happened, and for a click where to go ("" nowhere)."""

    status: int
    outcome: str
    location: str = ""


class NoticeReport(NamedTuple):
    """A notice as it came; each text is as the query has it, None where the query lacks it."""

    event: NoticeEvent
    token: str
    price: str | None = None
    currency: str | None = None
    loss_code: str | None = None
    min_to_win: str | None = None
    multiplier: str | None = None  # how many impressions there were


class CountedNotice(NamedTuple):
    """A notice that had its effect for the first time, for a listener that keeps records. Prices are CPM micros."""

    event: NoticeEvent
    outcome: str
    claims: Claims
    price_cpm: int | None = None  # as the notice named it, in the auction's currency
    loss_code: str = ""
    min_to_win_cpm: int | None = None


class ClickedProduct(NamedTuple):
    """The clicked product of an ad, as the query names it, and the signature that pins the page that it leads to."""

    id: str
    signature: str


Reply = Callable[[NoticeResult], None]
Answer = Callable[[int, str], None]

_NOT_NAMED = NoticePrice(PriceForm.ABSENT, NO_PRICE)


class NoticeDesk:
    """Settles notices. `catalogue` gives the present snapshot; without one (None) notices are answered 503."""

    def __init__(
        self,
        signer: TokenSigner,
        transitions: Transitions,
        catalogue: Callable[[], Catalogue | None],
        clock: Clock,
        telemetry: Telemetry,
        delivery: DeliveryCounts,
        *,
        landscape: Tally | None = None,
        server_time: ServerTime | None = None,
        token_max_age_s: int = DEFAULT_MAX_AGE_S,
        on_counted: Callable[[CountedNotice], None] | None = None,
        click_row: Callable[[Claims, int, str, str], bytes] | None = None,
    ) -> None:
        """Tokens are judged by `server_time`: by Redis's clock where this process's is known to be off.

        `on_counted` is told of wins, losses and pixels. `click_row` gives the journal's row of a click, from why it
        does not count ("" where it does) and the product in the ad ("" where it was on none); the script that counts
        the click writes the row.
        """
        self._on_counted = on_counted or _ignore
        self._click_row = click_row or (lambda _claims, _now_ms, _fault, _product: b"")
        self._signer = signer
        self._landscape = landscape or Tally()
        self._delivery = delivery
        self._transitions = transitions
        self._turn = TurnBatch(transitions)
        self._catalogue = catalogue
        self._clock = clock
        self._server_time = server_time or ServerTime(clock)
        # How long a bucket of notice keys is kept after its first notice: the last bid of the bucket was made up to a
        # bucket later, and twice the skew, since the bidder's clock may be behind and the tracker's ahead.
        self._remember_s = token_max_age_s + NOTICE_BUCKET_S + 2 * MAX_CLOCK_SKEW_S
        self._windows, self._capped = WindowBook(), CappedBook()
        self._reference: tuple[Catalogue, Reference] | None = None
        self._outcomes = telemetry.counter(
            "grosz_notices_total", "Notices by what became of them.", ("event", "outcome")
        )
        self._forms = telemetry.counter(
            "grosz_notice_prices_total", "Prices in notices by exchange and their form.", ("exchange", "form")
        )
        self._bound_forms: dict[tuple[str, PriceForm], CounterChild] = {}
        self._losses = telemetry.counter("grosz_losses_total", "Loss notices by OpenRTB loss code.", ("code",))
        self._charged = telemetry.counter(
            "grosz_charged_micros_total", "Settled money in micros of the currency.", ("currency",)
        )
        self._late = telemetry.counter(
            "grosz_late_bills_micros_total", "Settled money of bills whose lease was closed.", ("currency",)
        )
        self._over = telemetry.counter(
            "grosz_over_budget_micros_total", "Settled money that no budget covered: the overspend.", ("currency",)
        )
        self._untracked = telemetry.counter(
            "grosz_touches_lost_total", "Impressions and clicks that were not noted."
        ).labels()
        self._charged_in: dict[str, CounterChild] = {}
        self._bound: dict[tuple[NoticeEvent, str], CounterChild] = {}

    def submit(self, report: NoticeReport, reply: Reply) -> None:
        """Judge a notice and call `reply` once: at once, or when its effect is durable.

        All notices of one turn of the event loop are settled in one round trip.
        """
        event, token = report.event, report.token

        def answer(status: int, outcome: str) -> None:
            reply(self._count(event, NoticeResult(status, outcome)))

        try:
            claims = self._signer.verify(token, self._now_s())
        except TokenError as error:
            return answer(STATUS_OF_FAULT[error.fault], error.fault.value)
        if claims.is_test:
            return answer(204, "test")
        reference = self._refer()
        if reference is None:
            return answer(503, "unavailable")
        exchange = reference.exchanges.get(claims.exchange_id)
        terms = _terms(claims, exchange)
        kind = _MONEY.get((event, terms.billing_event))
        if kind is None:
            if event is NoticeEvent.IMPRESSION:
                return self._see(claims, answer)
            return answer(204, "not_the_billing_event")
        known = _NOT_NAMED
        if event is not NoticeEvent.LOSS:
            bid = BidTerms(claims.bid_cpm, claims.currency)
            known = read_price(report.price, report.currency, bid, terms, exchange, reference.fx)
            self._count_form("" if exchange is None else exchange.key, known.form)
        if known.form is PriceForm.AUDIT:
            return answer(204, "audit")
        currency = reference.currencies.get(claims.advertiser_id, "")
        counted = multiplier_of(report.multiplier, claims)
        settlement = settlement_of(kind, claims, known, terms, exchange, currency, self._remember_s, counted)
        self._turn.add(
            self._transitions.settle_command(settlement),
            lambda raw: self._settled(report, claims, currency, reference, raw, answer, known.cpm),
        )

    async def win(
        self, token: str, price: str | None, currency: str | None, multiplier: str | None = None
    ) -> NoticeResult:
        """A win notice (nurl)."""
        return await self.answer(NoticeReport(NoticeEvent.WIN, token, price, currency, multiplier=multiplier))

    async def bill(
        self, token: str, price: str | None, currency: str | None, multiplier: str | None = None
    ) -> NoticeResult:
        """A billing notice (burl)."""
        return await self.answer(NoticeReport(NoticeEvent.BILL, token, price, currency, multiplier=multiplier))

    async def loss(self, token: str, code: str | None, min_to_win: str | None = None) -> NoticeResult:
        """A loss notice (lurl); `min_to_win` is the CPM that would have won, as the query has it."""
        return await self.answer(NoticeReport(NoticeEvent.LOSS, token, loss_code=code, min_to_win=min_to_win))

    async def impression(
        self, token: str, price: str | None, currency: str | None, multiplier: str | None = None
    ) -> NoticeResult:
        """The pixel in our markup; the billable event where the exchange bills on impressions."""
        return await self.answer(NoticeReport(NoticeEvent.IMPRESSION, token, price, currency, multiplier=multiplier))

    async def answer(self, report: NoticeReport) -> NoticeResult:
        """`submit` for a caller that waits."""
        future: asyncio.Future[NoticeResult] = asyncio.get_running_loop().create_future()

        def reply(result: NoticeResult) -> None:
            if not future.done():  # otherwise the sender has hung up
                future.set_result(result)

        self.submit(report, reply)
        return await future

    async def click(
        self,
        token: str,
        landing: str | None,
        fault: ClickFault | None = None,
        *,
        product: ClickedProduct | None = None,
    ) -> NoticeResult:
        """Answer a click with a redirect to the page that the token, or the product's signature, pins, counted or not.

        `fault` is why it does not count, where that is known already.
        """
        return self._count(NoticeEvent.CLICK, await self._click(token, landing, fault, product))

    def look(self, token: str) -> NoticeResult:
        """What a notice with this token would be answered, without any effect."""
        try:
            self._signer.verify(token, self._now_s())
        except TokenError as error:
            return NoticeResult(STATUS_OF_FAULT[error.fault], error.fault.value)
        return NoticeResult(503, "unavailable") if self._refer() is None else NoticeResult(204, "looked")

    def look_at_click(self, token: str, landing: str | None, product: ClickedProduct | None = None) -> NoticeResult:
        """Where a click with this token would lead, without counting it."""
        return self._destination(token, landing, product)[0]

    def _settled(
        self,
        report: NoticeReport,
        claims: Claims,
        currency: str,
        reference: Reference,
        raw: object,
        answer: Answer,
        price_cpm: int,
    ) -> None:
        """Finish a notice with Redis's reply to its settlement."""
        reply = None if raw is None else settle_reply(raw)
        if reply is None or reply.outcome == "unready":
            return answer(503, "unavailable")
        outcome, event = reply.outcome, report.event
        if claims.auction_type is AuctionType.FIRST_PRICE and outcome in _WON | _LOST | _BILLED:
            self._observe(report, claims, reference)
        if event is NoticeEvent.WIN and (outcome in _WON or outcome in _BILLED):
            self._delivery.add(claims.line_item_id, WINS)
        elif event is NoticeEvent.LOSS and outcome in _LOST:
            code = loss_code_of(report.loss_code)
            self._losses.labels(code).inc()
            self._delivery.add(claims.line_item_id, LOSS_PREFIX + code)
        if outcome in _WON | _LOST | _BILLED:
            self._tell(report, claims, outcome, price_cpm)
        if outcome in _BILLED:
            self._account(claims, reply, currency)
            if event is NoticeEvent.IMPRESSION:
                self._turn.add(self._shown_command(claims, ""), _ignore)
            touch = self._touch(claims, TouchKind.VIEW, reference)
        else:
            touch = self._lost(claims, reference) if outcome in _LOST else None
        if touch is None:
            return answer(204, outcome)

        def touched(raw: object) -> None:
            self._untracked.inc(raw is None)
            answer(204, outcome)

        self._turn.add(touch, touched)

    def _lost(self, claims: Claims, reference: Reference) -> Command | None:
        """The command that notes a lost bid; None where no cap counts it."""
        if not reference.capped.owners.own(claims):
            return None
        exchange = reference.exchanges.get(claims.exchange_id)
        return lost_command(self._transitions, claims, exchange, self._now_s())

    def _tell(self, report: NoticeReport, claims: Claims, outcome: str, price_cpm: int) -> None:
        is_loss = report.event is NoticeEvent.LOSS
        self._on_counted(
            CountedNotice(
                report.event, outcome, claims, price_cpm if price_cpm >= 0 else None,
                loss_code_of(report.loss_code) if is_loss else "", cpm_of(report.min_to_win),
            )
        )  # fmt: skip

    def _observe(self, report: NoticeReport, claims: Claims, reference: Reference) -> None:
        """Tell the landscape what became of a bid at first price."""
        size = reference.sizes.get(claims.creative_id, (SEVERAL_SIZES, SEVERAL_SIZES))
        cell = LandscapeCell(claims.exchange_id, claims.currency, *size)
        price = cpm_of(report.min_to_win)
        if report.event is NoticeEvent.LOSS:
            kind = ObservationKind.LOSS if loss_code_of(report.loss_code) in _LOST_TO_A_PRICE else ObservationKind.VOID
            told = price if kind is ObservationKind.LOSS and price is not None and price >= claims.bid_cpm else None
            self._landscape.note(cell, kind, claims.bid_cpm, told)
        else:
            kind = ObservationKind.WIN if report.event is NoticeEvent.WIN else ObservationKind.BILL
            told = price if price is not None and price <= claims.bid_cpm else None
            self._landscape.note(cell, kind, claims.bid_cpm, told)

    def _account(self, claims: Claims, reply: SettleReply, currency: str) -> None:
        charged = self._charged_in.get(currency)
        if charged is None:
            charged = self._charged_in[currency] = self._charged.labels(currency)
        charged.inc(reply.charge_micros)
        self._delivery.add(claims.line_item_id, IMPRESSIONS)
        self._delivery.add(claims.line_item_id, SPEND_MICROS, reply.charge_micros)
        if reply.late:
            self._late.labels(currency).inc(reply.charge_micros)
            self._over.labels(currency).inc(reply.over_micros)

    def _touch(self, claims: Claims, kind: TouchKind, reference: Reference | None = None) -> Command | None:
        """The command that notes a touch, an impression by `reference`; None for a user who may not be identified."""
        if not claims.user_id:
            return None
        touch = Touch(
            kind, claims.advertiser_id, claims.campaign_id, claims.line_item_id, claims.creative_id,
            claims.exchange_id, lease_day(claims.lease_id), self._now_s(), claims.nonce,
        )  # fmt: skip
        window_s, shown_as = 0, ANY_FORMAT
        if reference is not None:
            window_s = reference.longest_window_s
            if reference.capped.by_format.own(claims):
                shown_as = FORMATS_BY_NUMBER.index(claims.format)
        return touch_command(self._transitions, claims.user_id, touch, window_s, claims.issued_s, shown_as)

    def _see(self, claims: Claims, answer: Answer) -> None:
        """A pixel that bills nothing: counted for viewability and discrepancy reports."""

        def seen(raw: object) -> None:
            if raw is not None:
                self._on_counted(CountedNotice(NoticeEvent.IMPRESSION, "seen", claims))
            answer(200, "not_counted" if raw is None else "seen")

        self._turn.add(self._shown_command(claims, f"{claims.line_item_id}:seen"), seen)

    def _shown_command(self, claims: Claims, field: str) -> Command:
        """The command that notes when the ad was shown, to find clicks that came too soon; counts in `field`."""
        key_list = (
            keys.money_notices(claims.advertiser_id, notice_bucket(claims.issued_s)),
            keys.delivery(claims.advertiser_id, lease_day(claims.lease_id)),
        )
        arguments = (notice_key(claims), self._now_ms(), self._remember_s, field, DELIVERY_LIFE_S)
        return self._transitions.record_command(key_list, arguments, "see")

    def _destination(
        self, token: str, landing: str | None, product: ClickedProduct | None
    ) -> tuple[NoticeResult, Claims | None]:
        """The answer to a click that is not counted, and the claims of one that may be."""
        try:
            claims, in_date = self._signer.verify(token, self._now_s()), True
        except TokenError as error:
            if error.claims is None:
                return NoticeResult(STATUS_OF_FAULT[error.fault], error.fault.value), None
            claims, in_date = error.claims, False  # the page was open overnight: the user still gets there
        if not landing or not self._is_pinned(claims, landing, product):
            return NoticeResult(400, "wrong_landing"), None
        if claims.is_test:
            return NoticeResult(302, "test", landing), None
        if not in_date:
            return NoticeResult(302, "expired", landing), None
        return NoticeResult(302, "not_counted", landing), claims

    def _is_pinned(self, claims: Claims, landing: str, product: ClickedProduct | None) -> bool:
        if product is not None:
            return self._signer.is_signed_click(claims.nonce, product.id, landing, product.signature)
        return landing_digest(landing) == claims.landing

    async def _click(
        self, token: str, landing: str | None, fault: ClickFault | None, product: ClickedProduct | None
    ) -> NoticeResult:
        answer, claims = self._destination(token, landing, product)
        if claims is None:
            return answer
        landing, now_ms = answer.location, self._now_ms()
        clicked = product.id if product is not None else ""
        count = self._transitions.click_command(
            claims.advertiser_id, notice_bucket(claims.issued_s), (lease_day(claims.lease_id), day_of(now_ms)),
            (
                notice_key(claims), self._remember_s, DELIVERY_LIFE_S, now_ms, LEAST_MS, browser_of(claims), MOST_A_DAY,
                BROWSERS_LIFE_S, "" if fault is None else fault.value,
                "clicked", f"{claims.line_item_id}:{CLICKS}", self._click_row(claims, now_ms, "", clicked),
                *self._fault_arguments(claims, now_ms, fault or ClickFault.BOT, clicked),
                *self._fault_arguments(claims, now_ms, ClickFault.TOO_SOON, clicked),
                *self._fault_arguments(claims, now_ms, ClickFault.TOO_MANY, clicked),
            ),
        )  # fmt: skip
        counted = await self._turn.run(count)
        if not counted:  # 0: the link was followed again; None: Redis is away
            return NoticeResult(302, "not_counted" if counted is None else "duplicate_click", landing)
        if counted != b"clicked":
            return NoticeResult(302, f"click_{bytes(counted).decode()}" if isinstance(counted, bytes) else "", landing)
        self._delivery.add(claims.line_item_id, CLICKS)
        touch = self._touch(claims, TouchKind.CLICK)
        if touch is not None:
            self._untracked.inc(await self._turn.run(touch) is None)
        return NoticeResult(302, "clicked", landing)

    def _fault_arguments(self, claims: Claims, now_ms: int, fault: ClickFault, clicked: str) -> tuple[str | bytes, ...]:
        row = self._click_row(claims, now_ms, fault.value, clicked)
        return fault.value, f"{claims.line_item_id}:{INVALID_CLICKS}", row

    def _now_ms(self) -> int:
        return self._clock.now_ms() + self._server_time.offset_ms

    def _now_s(self) -> int:
        """Now by the clock that all processes share."""
        return (self._clock.now_ms() + self._server_time.offset_ms) // 1000

    def _refer(self) -> Reference | None:
        catalogue = self._catalogue()
        if catalogue is None:
            return None
        if self._reference is None or self._reference[0] is not catalogue:
            windows, capped = self._windows.update(catalogue), self._capped.update(catalogue)
            self._reference = (catalogue, Reference(catalogue, windows, capped))
        return self._reference[1]

    def _count_form(self, exchange: str, form: PriceForm) -> None:
        child = self._bound_forms.get((exchange, form))
        if child is None:
            child = self._bound_forms[exchange, form] = self._forms.labels(exchange, form.value)
        child.inc()

    def _count(self, event: NoticeEvent, result: NoticeResult) -> NoticeResult:
        key = (event, result.outcome)
        child = self._bound.get(key)
        if child is None:
            child = self._bound[key] = self._outcomes.labels(event.value, result.outcome)
        child.inc()
        return result


def _terms(claims: Claims, exchange: Exchange | None) -> Terms:
    """The terms of the bid; for a token without terms those of the exchange now, or the defaults where it is gone."""
    if claims.terms is not None:
        return claims.terms
    return Terms() if exchange is None else terms_of(exchange)


def _ignore(_reply: object) -> None:
    """Takes a reply that does not matter: a time to live that was not renewed is renewed by the next pixel."""
