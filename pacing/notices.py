"""Notices: what a tracker does when an exchange or a browser reports on one of our bids.

Every way in which a notice can arrive has one outcome here, with a status, an effect and a counter (the table is in
docs/money.md). A notice is answered 204 only when its settlement is durable; bad input is the sender's fault (4xx) and
never ours; 503 means that nothing was done and the sender may repeat it.
"""

import enum
from collections.abc import Callable
from typing import NamedTuple

from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from core.model import BillingEvent, Catalogue, Exchange
from core.money import FxTable, settle
from core.telemetry import CounterChild, Telemetry
from pacing.caps import CapTable
from pacing.delivery import CLICKS, IMPRESSIONS, LOSS_PREFIX, SPEND_MICROS, WINS, DeliveryCounts
from pacing.ledger import PriceSource, RowHead, RowKind, encode_head
from pacing.pools import PoolKey
from pacing.price_forms import NO_PRICE, Bid, Price, PriceForm, read_price
from pacing.timing import lease_day, notice_bucket
from pacing.tokens import (
    DEFAULT_MAX_AGE_S,
    MAX_CLOCK_SKEW_S,
    Claims,
    TokenError,
    TokenFault,
    TokenSigner,
    landing_digest,
)
from pacing.touches import Touch, TouchKind, record_touch
from pacing.transitions import Settlement, SettleReply, Transitions

# Counts of delivery are kept for year-on-year comparisons.
DELIVERY_LIFE_S = 400 * 86_400

# Loss codes of OpenRTB go to 499; exchanges add their own above. Others are counted together.
MAX_LOSS_CODE = 1_000

_STATUS_OF_FAULT = {
    TokenFault.MALFORMED: 400,
    TokenFault.UNKNOWN_KEY: 403,
    TokenFault.FORGED: 403,
    TokenFault.EXPIRED: 410,
    TokenFault.FROM_THE_FUTURE: 400,
}

_BILLED = frozenset({"billed", "late_bill", "over_budget"})
# The first news of a win or loss; repetitions have outcomes of their own. Late ones came after their lease had closed.
_WON = frozenset({"won", "late_win", "win_after_loss"})
_LOST = frozenset({"lost", "late_loss", "loss_after_win"})


class Event(enum.StrEnum):
    """What is reported."""

    WIN = "win"
    BILL = "bill"
    LOSS = "loss"
    IMPRESSION = "impression"
    CLICK = "click"


# What each event does to the money, by what the exchange bills on: b settles, w keeps the reservation, l releases it.
_MONEY: dict[tuple[Event, BillingEvent], str] = {
    (Event.WIN, BillingEvent.BILL): "w",
    (Event.WIN, BillingEvent.WIN): "b",
    (Event.WIN, BillingEvent.IMPRESSION): "w",
    (Event.BILL, BillingEvent.BILL): "b",
    (Event.BILL, BillingEvent.IMPRESSION): "w",  # not what counts, but it names the price
    (Event.IMPRESSION, BillingEvent.IMPRESSION): "b",
    (Event.LOSS, BillingEvent.BILL): "l",
    (Event.LOSS, BillingEvent.WIN): "l",
    (Event.LOSS, BillingEvent.IMPRESSION): "l",
}


class NoticeResult(NamedTuple):
    """The HTTP status to answer with, what happened, and for a click where to go ("" nowhere)."""

    status: int
    outcome: str
    location: str = ""


class Reference:
    """What notices need of a catalogue. `currencies` is by advertiser."""

    __slots__ = ("currencies", "exchanges", "fx", "longest_window_s")

    def __init__(self, catalogue: Catalogue) -> None:
        self.exchanges = {exchange.id: exchange for exchange in catalogue.exchanges}
        self.currencies = {advertiser.id: advertiser.currency for advertiser in catalogue.advertisers}
        self.fx = FxTable(catalogue.fx_base, catalogue.fx_rates)
        self.longest_window_s = CapTable(catalogue).longest_window_s


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
        token_max_age_s: int = DEFAULT_MAX_AGE_S,
    ) -> None:
        self._signer = signer
        self._delivery = delivery
        self._transitions = transitions
        self._catalogue = catalogue
        self._clock = clock
        # Twice the skew: the bidder's clock may be behind and the tracker's ahead.
        self._remember_s = token_max_age_s + 2 * MAX_CLOCK_SKEW_S
        self._reference: tuple[Catalogue, Reference] | None = None
        self._outcomes = telemetry.counter(
            "grosz_notices_total", "notices by what became of them", ("event", "outcome")
        )
        self._forms = telemetry.counter("grosz_notice_prices_total", "prices in notices by their form", ("form",))
        self._losses = telemetry.counter("grosz_losses_total", "loss notices by OpenRTB loss code", ("code",))
        self._charged = telemetry.counter(
            "grosz_charged_micros_total", "settled money in micros of the currency", ("currency",)
        )
        self._late = telemetry.counter(
            "grosz_late_bills_micros_total", "of it, billed after its lease closed", ("currency",)
        )
        self._over = telemetry.counter("grosz_over_budget_micros_total", "of it, that no budget covered", ("currency",))
        self._untracked = telemetry.counter("grosz_touches_lost_total", "impressions and clicks not noted").labels()
        self._bound: dict[tuple[Event, str], CounterChild] = {}

    async def win(self, token: str, price: str | None, currency: str | None) -> NoticeResult:
        """A win notice (nurl)."""
        return self._count(Event.WIN, await self._money(Event.WIN, token, price, currency))

    async def bill(self, token: str, price: str | None, currency: str | None) -> NoticeResult:
        """A billing notice (burl)."""
        return self._count(Event.BILL, await self._money(Event.BILL, token, price, currency))

    async def loss(self, token: str, code: str | None) -> NoticeResult:
        """A loss notice (lurl)."""
        reported = _loss_code(code)
        result = await self._money(Event.LOSS, token, None, None, reported)
        if result.outcome in _LOST:
            self._losses.labels(reported).inc()
        return self._count(Event.LOSS, result)

    async def impression(self, token: str, price: str | None, currency: str | None) -> NoticeResult:
        """The pixel in our markup; the billable event where the exchange bills on impressions."""
        result = await self._money(Event.IMPRESSION, token, price, currency)
        return self._count(Event.IMPRESSION, result)

    async def click(self, token: str, landing: str | None) -> NoticeResult:
        """A click: on to the landing page that the token pins, whether or not it could be counted."""
        return self._count(Event.CLICK, await self._click(token, landing))

    async def _money(
        self, event: Event, token: str, price: str | None, currency: str | None, loss_code: str = ""
    ) -> NoticeResult:
        claims = self._claims(token)
        if isinstance(claims, NoticeResult):
            return claims
        if claims.is_test:
            return NoticeResult(204, "test")
        reference = self._refer()
        if reference is None:
            return NoticeResult(503, "unavailable")
        exchange = reference.exchanges.get(claims.exchange_id)
        kind = _MONEY.get((event, BillingEvent.BILL if exchange is None else exchange.billing_event))
        if kind is None:
            if event is Event.IMPRESSION:
                return await self._seen(claims)
            return NoticeResult(204, "not_the_billing_event")
        known = Price(PriceForm.ABSENT, NO_PRICE)
        if event is not Event.LOSS:
            bid = Bid(claims.bid_cpm, claims.currency)
            known = read_price(price, currency, bid, exchange, reference.fx)
            self._forms.labels(known.form.value).inc()
        if known.form is PriceForm.AUDIT:
            return NoticeResult(204, "audit")
        result = await self._settle(kind, claims, known, exchange, reference)
        if event is Event.WIN and result.outcome in _WON | _BILLED:
            self._delivery.add(claims.line_item_id, WINS)
        elif event is Event.LOSS and result.outcome in _LOST:
            self._delivery.add(claims.line_item_id, LOSS_PREFIX + loss_code)
        return result

    async def _settle(
        self, kind: str, claims: Claims, known: Price, exchange: Exchange | None, reference: Reference
    ) -> NoticeResult:
        advertiser_currency = reference.currencies.get(claims.advertiser_id, "")
        try:
            reply = await self._transitions.settle(self._settlement(kind, claims, known, exchange, advertiser_currency))
        except UnavailableError:
            return NoticeResult(503, "unavailable")
        if reply.outcome == "unready":
            return NoticeResult(503, "unavailable")
        if reply.outcome in _BILLED:
            await self._after_bill(claims, reply, reference, advertiser_currency)
        return NoticeResult(204, reply.outcome)

    def _settlement(
        self, kind: str, claims: Claims, price: Price, exchange: Exchange | None, currency: str
    ) -> Settlement:
        house = _house_cpm(claims, exchange)
        source = PriceSource.REPORTED
        if price.form is PriceForm.ABOVE_BID:
            source = PriceSource.ABOVE_BID
        elif price.cpm < 0:
            source = PriceSource.HOUSE
        notice = notice_key(claims)
        row = RowHead(
            RowKind.BILL, notice.hex(), claims.campaign_id, claims.line_item_id, claims.share,
            lease_day(claims.lease_id), claims.exchange_id, claims.creative_id, claims.lease_id, claims.issued_s,
            currency, claims.currency, claims.bid_cpm, claims.reserved_micros, source,
        )  # fmt: skip
        return Settlement(
            advertiser_id=claims.advertiser_id,
            kind=kind,
            notice=notice,
            bucket=notice_bucket(claims.issued_s),
            lease_id=claims.lease_id,
            key=PoolKey(claims.line_item_id, claims.share),
            campaign_id=claims.campaign_id,
            reserved_micros=claims.reserved_micros,
            price_cpm=price.cpm,
            charge_micros=charge_micros(claims, price.cpm) if price.cpm >= 0 else -1,
            house_cpm=house,
            house_micros=charge_micros(claims, house),
            remember_s=self._remember_s,
            row=encode_head(row),
        )

    async def _after_bill(self, claims: Claims, reply: SettleReply, reference: Reference, currency: str) -> None:
        self._charged.labels(currency).inc(reply.charge_micros)
        self._delivery.add(claims.line_item_id, IMPRESSIONS)
        self._delivery.add(claims.line_item_id, SPEND_MICROS, reply.charge_micros)
        if reply.late:
            self._late.labels(currency).inc(reply.charge_micros)
            self._over.labels(currency).inc(reply.over_micros)
        await self._touch(claims, TouchKind.VIEW, reference.longest_window_s)

    async def _touch(self, claims: Claims, kind: TouchKind, longest_window_s: int) -> None:
        if not claims.user_id:
            return
        touch = Touch(
            kind, claims.advertiser_id, claims.campaign_id, claims.line_item_id, claims.creative_id,
            claims.exchange_id, lease_day(claims.lease_id), self._clock.now_ms() // 1000,
        )  # fmt: skip
        try:
            await record_touch(self._transitions, claims.user_id, touch, longest_window_s)
        except UnavailableError:
            self._untracked.inc()

    async def _seen(self, claims: Claims) -> NoticeResult:
        """A pixel that bills nothing: counted for viewability and discrepancy reports."""
        return NoticeResult(200, "seen") if await self._deliver(claims, "seen") else NoticeResult(200, "not_counted")

    async def _click(self, token: str, landing: str | None) -> NoticeResult:
        try:
            claims, in_date = self._signer.verify(token, self._clock.now_ms() // 1000), True
        except TokenError as error:
            if error.claims is None:
                return NoticeResult(_STATUS_OF_FAULT[error.fault], error.fault.value)
            claims, in_date = error.claims, False  # a page that was open overnight: the user still gets there
        if not landing or landing_digest(landing) != claims.landing:
            return NoticeResult(400, "wrong_landing")
        if claims.is_test:
            return NoticeResult(302, "test", landing)
        if not in_date:
            return NoticeResult(302, "expired", landing)
        counted = await self._deliver(claims, CLICKS)
        await self._touch(claims, TouchKind.CLICK, 0)
        return NoticeResult(302, "clicked" if counted else "not_counted", landing)

    async def _deliver(self, claims: Claims, what: str) -> bool:
        key = keys.delivery(claims.advertiser_id, lease_day(claims.lease_id))
        try:
            await self._transitions.commands(
                [("HINCRBY", key, f"{claims.line_item_id}:{what}", 1), ("EXPIRE", key, DELIVERY_LIFE_S)]
            )
        except UnavailableError:
            return False
        if what == CLICKS:
            self._delivery.add(claims.line_item_id, CLICKS)
        return True

    def _claims(self, token: str) -> Claims | NoticeResult:
        try:
            return self._signer.verify(token, self._clock.now_ms() // 1000)
        except TokenError as error:
            return NoticeResult(_STATUS_OF_FAULT[error.fault], error.fault.value)

    def _refer(self) -> Reference | None:
        catalogue = self._catalogue()
        if catalogue is None:
            return None
        if self._reference is None or self._reference[0] is not catalogue:
            self._reference = (catalogue, Reference(catalogue))
        return self._reference[1]

    def _count(self, event: Event, result: NoticeResult) -> NoticeResult:
        key = (event, result.outcome)
        child = self._bound.get(key)
        if child is None:
            child = self._bound[key] = self._outcomes.labels(event.value, result.outcome)
        child.inc()
        return result


def notice_key(claims: Claims) -> bytes:
    """18 bytes that name a bid: the auction, the impression in it, and the lease (request ids do come twice)."""
    return claims.auction + claims.position.to_bytes(2, "little") + claims.lease_id.to_bytes(8, "little")


def charge_micros(claims: Claims, price_cpm: int) -> int:
    """What a clearing price costs in the advertiser's currency, at the exchange rate of the bid; half rounds up.

    Exact where the currencies are the same: the reservation is a thousandth of the bid then.
    """
    if claims.bid_cpm <= 0:
        return 0
    charge = (2 * price_cpm * claims.reserved_micros + claims.bid_cpm) // (2 * claims.bid_cpm)
    return min(charge, claims.reserved_micros)


def _house_cpm(claims: Claims, exchange: Exchange | None) -> int:
    """The clearing price that nobody told us: of a first-price exchange the bid, else second price plus one grosz."""
    if exchange is not None and exchange.first_price:
        return claims.bid_cpm
    return int(settle(claims.bid_cpm, claims.second_cpm, claims.floor_cpm))


def _loss_code(text: str | None) -> str:
    if text and text.isascii() and text.isdigit() and int(text[:9]) < MAX_LOSS_CODE:
        return str(int(text))
    return "other"
