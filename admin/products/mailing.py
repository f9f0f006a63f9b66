"""Products for mails and short messages: who gets which, why, and when, for a thousand people a call."""

import asyncio
import datetime
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from admin.products.documents import ProductView, view_of
from admin.products.shopper import shopper_of
from admin.validation import fields as f
from core.clock import Clock
from core.errors import Fault, InputError
from core.ids import is_user_id
from core.keys import person
from core.model import Advertiser, ProductChoice, ProductStrategy
from creatives.products.choosing import Plan
from creatives.products.known import ProductLookup
from creatives.products.listing import list_products
from creatives.products.models import KnownModel, ModelStore
from creatives.products.store import Found, ProductStore
from segments.facts.event import person_digest
from segments.facts.facts import DAY_S, Facts, has_cart_at
from segments.facts.layout import LayoutError, expires_of, unpack_cold
from segments.facts.rhythm import UsualHour, next_at_hour, usual_hour
from segments.profiles.store import ProfileStore

MAX_PEOPLE: Final = 1_000
HOUR_S: Final = 3_600
# Reminders within the first hour lower purchases against none (docs/evidence.md, "Carts").
CART_DELAY_S: Final = HOUR_S
VIEWED_DELAY_S: Final = DAY_S
VIEWED_S: Final = 14 * DAY_S
# As the ready-made segment about_to_reorder: begin a week before the purchase is due, end two weeks after.
REORDER_BEFORE_S: Final = 7 * DAY_S
REORDER_OVERDUE_S: Final = 14 * DAY_S
WIN_BACK_S: Final = 60 * DAY_S
# A usual hour that is less certain is reported, and not waited for.
SURE: Final = 0.3
# Planning is computation; after so many people the process gets its turn.
PEOPLE_PER_TURN: Final = 20

Reason = Literal["cart", "reorder", "viewed", "win_back", "bestsellers"]

_S: Final = ProductStrategy
STRATEGIES: Final[Mapping[Reason, tuple[ProductStrategy, ...]]] = {
    "cart": (_S.CART, _S.COMPLEMENTARY, _S.SIMILAR, _S.BESTSELLERS),
    "reorder": (_S.BOUGHT, _S.COMPLEMENTARY, _S.BESTSELLERS),
    "viewed": (_S.REDUCED, _S.LAST_VISIT, _S.EVER_SEEN, _S.SIMILAR, _S.BESTSELLERS),
    "win_back": (_S.REDUCED, _S.TRENDING, _S.BESTSELLERS),
    "bestsellers": (_S.BESTSELLERS,),
}
"""What a message of each reason shows, unless the call says otherwise."""


class MailPerson(msgspec.Struct, forbid_unknown_fields=True):
    """A person, by one of the two: our user id (the cookie `grosz_uid`), or the SHA-256 of the e-mail."""

    user_id: Annotated[str, Meta(max_length=64)] = ""
    email_sha256: Annotated[str, Meta(pattern=r"\A([0-9a-fA-F]{64})?\Z")] = ""


class MailRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to write to, for one advertiser. Without `strategies` each person's reason decides which are used."""

    advertiser_id: f.Id
    people: Annotated[list[MailPerson], Meta(min_length=1, max_length=MAX_PEOPLE)]
    strategies: Annotated[list[ProductStrategy], Meta(max_length=12)] = []
    count: Annotated[int, Meta(ge=1, le=20)] = 4


class MailProduct(msgspec.Struct):
    """A product of a message, the strategy that chose it, and why."""

    product: ProductView
    strategy: ProductStrategy
    why: str


class MailAdvice(msgspec.Struct):
    """What to send to one person. `found` is false for a person who is not known, has opted out, or was erased.

    `delay_s` is how long to wait at least, as the reason asks; `send_at` the first time after that in the person's
    usual hour, where that is sure enough. `next_purchase` is due by the person's own rhythm; null before the second
    purchase.
    """

    person: str
    found: bool
    reason: Reason
    delay_s: int
    send_at: datetime.datetime
    next_purchase: datetime.datetime | None
    usual_hour: UsualHour | None
    products: list[MailProduct]


class MailAdvices(msgspec.Struct):
    """One for each person, in the order of the call. Hours are of the advertiser's time zone."""

    items: list[MailAdvice]
    timezone: str


class _Occasion(NamedTuple):
    reason: Reason
    due_s: int


class Remembered:
    """Look-ups of one call, each made once: a thousand people share many of the products that they have seen."""

    def __init__(self, store: ProductLookup) -> None:
        self._store = store
        self._found: dict[str, Found | None] = {}

    async def find(self, advertiser_id: int, product_ids: Iterable[str]) -> dict[str, Found]:
        """As ProductStore.find. `advertiser_id` must be the same in each call."""
        wanted = list(dict.fromkeys(product_ids))
        missing = [one for one in wanted if one not in self._found]
        if missing:
            found = await self._store.find(advertiser_id, missing)
            self._found |= {one: found.get(one) for one in missing}
        return {one: row for one in wanted if (row := self._found[one]) is not None}


class MailDesk:
    """Advises what to send."""

    def __init__(self, profiles: ProfileStore, products: ProductStore, models: ModelStore, clock: Clock) -> None:
        self._profiles = profiles
        self._products = products
        self._models = models
        self._clock = clock

    async def advise(self, advertiser: Advertiser, request: MailRequest) -> MailAdvices:
        """Advice for each person. Raises InputError for a person who is not named, UnavailableError."""
        _check(request.people)
        now_s = self._clock.now_ms() // 1000
        known = await self._facts(advertiser.id, request.people, now_s)
        model = await self._models.get(advertiser.id)
        remembered = Remembered(self._products)
        items: list[MailAdvice] = []
        for number, one in enumerate(request.people):
            if number % PEOPLE_PER_TURN == PEOPLE_PER_TURN - 1:
                await asyncio.sleep(0)
            facts = known.get(one.user_id or one.email_sha256.lower())
            items.append(await self._advice(advertiser, request, one, facts, remembered, model, now_s))
        return MailAdvices(items, advertiser.timezone)

    async def _facts(self, advertiser_id: int, people: list[MailPerson], now_s: int) -> dict[str, Facts]:
        """What the shop knows of the persons, by the id or hash that names them; of several devices the last used."""
        hashes = list(dict.fromkeys(one.email_sha256.lower() for one in people if one.email_sha256))
        keys = [person(advertiser_id, person_digest(advertiser_id, one).hex()) for one in hashes]
        replies = await self._profiles.commands([("SMEMBERS", key) for key in keys]) if keys else []
        devices = {
            one: sorted(member.decode() for member in reply) if isinstance(reply, list | set) else []
            for one, reply in zip(hashes, replies, strict=True)
        }
        devices |= {one.user_id: [one.user_id] for one in people if one.user_id}
        users = await self._profiles.read({user: [advertiser_id] for ids in devices.values() for user in ids})
        found: dict[str, Facts] = {}
        for name, ids in devices.items():
            for user_id in ids:
                user = users[user_id]
                field = user.fields[advertiser_id]
                if user.meta.opted_out or not field.cold or not field.hot:
                    continue
                try:
                    facts = unpack_cold(field.cold) if expires_of(field.hot) > now_s else None
                except LayoutError:
                    continue
                if facts is not None and (name not in found or facts.last_visit_s > found[name].last_visit_s):
                    found[name] = facts
        return found

    async def _advice(
        self, advertiser: Advertiser, request: MailRequest, one: MailPerson, known: Facts | None,
        lookup: ProductLookup, model: KnownModel | None, now_s: int,
    ) -> MailAdvice:  # fmt: skip
        facts = known if known is not None else Facts()
        occasion = occasion_of(facts, now_s)
        hour = usual_hour(facts, advertiser.timezone, now_s)
        due_s = max(now_s, occasion.due_s)
        waits = hour is not None and hour.confidence >= SURE
        send_s = due_s
        if waits and hour is not None:
            send_s = next_at_hour(hour.hour, advertiser.timezone, due_s, hour.minute)
        strategies = tuple(request.strategies) or STRATEGIES[occasion.reason]
        choice = ProductChoice(strategies=strategies, count=request.count)
        listed = await list_products(lookup, advertiser.id, shopper_of(facts, now_s), Plan(choice), model, now_s)
        return MailAdvice(
            one.user_id or one.email_sha256.lower(), known is not None, occasion.reason, due_s - now_s, _date(send_s),
            _date(facts.last_purchase_s + facts.cycle_s) if facts.cycle_s else None, hour,
            [MailProduct(view_of(row.product, now_s), row.strategy, row.reason) for row in listed],
        )  # fmt: skip


def occasion_of(facts: Facts, now_s: int) -> _Occasion:
    """The reason for writing to a person, and the time (unix seconds) from which on it holds."""
    if has_cart_at(facts, now_s):
        return _Occasion("cart", facts.cart_idle_s + CART_DELAY_S)
    if facts.cycle_s:
        due_s = facts.last_purchase_s + facts.cycle_s
        if due_s - REORDER_BEFORE_S - DAY_S <= now_s <= due_s + REORDER_OVERDUE_S:
            return _Occasion("reorder", due_s - REORDER_BEFORE_S)
    seen_s = max((product.seen_s for product in facts.products), default=0)
    if seen_s > facts.last_purchase_s and now_s - seen_s < VIEWED_S:
        return _Occasion("viewed", facts.last_visit_s + VIEWED_DELAY_S)
    if facts.last_purchase_s and now_s - max(facts.last_purchase_s, facts.last_visit_s) >= WIN_BACK_S:
        return _Occasion("win_back", now_s)
    return _Occasion("bestsellers", now_s)


def _check(people: list[MailPerson]) -> None:
    faults = [
        Fault(f"/people/{place}", "person", "is named by neither or both of user_id and email_sha256", "give one")
        for place, one in enumerate(people)
        if bool(one.user_id) == bool(one.email_sha256)
    ]
    faults += [
        Fault(f"/people/{place}/user_id", "value", "is not a user id", "pass the cookie grosz_uid")
        for place, one in enumerate(people)
        if one.user_id and not is_user_id(one.user_id)
    ]
    if faults:
        raise InputError("the input is not valid", faults=faults[:MAX_FAULTS])


MAX_FAULTS: Final = 20


def _date(at_s: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC)
