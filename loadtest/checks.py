"""Judges every answer as an exchange would: what may not be sent is a violation, named, counted, and shown with its
request.

Knows only the request's facts and, where a catalogue export is given, what each line item may do.
"""

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from loadtest.facts import (
    BANNER,
    FIXED_PRICE,
    MICROS,
    DealFacts,
    ImpressionFacts,
    RequestFacts,
    listed,
    mapping,
    number,
    objects,
    text,
    texts,
)
from loadtest.scenario import ScenarioError

Json = Mapping[str, Any]

# A notice URL that a bid server of an exchange cuts off would be lost silently; 512 bytes is the shortest documented
# limit doubled.
MAX_NOTICE_URL = 1024

_INSECURE = re.compile(r"""(?:src|href|url|action)\s*[=(:]\s*["']?http://""", re.IGNORECASE)


class Violation(NamedTuple):
    """One broken rule: `kind` is stable and counted, `detail` says what exactly."""

    kind: str
    detail: str


class LineItemRules(NamedTuple):
    """What the catalogue says of one line item."""

    start_ms: int | None
    end_ms: int | None
    active: bool
    needs_profile: bool


class CatalogueRules(NamedTuple):
    """Rules of all line items by id, and which of them a bid may stand for by (campaign, creative)."""

    line_items: Mapping[int, LineItemRules]
    by_creative: Mapping[tuple[int, int], tuple[int, ...]]

    def judge(self, bid: Json, now_ms: int, profile_allowed: bool) -> Iterator[Violation]:
        """A bid without a tactic may stand for any line item of its campaign with its creative: all must be at
        fault."""
        tactic = int(number(bid.get("tactic")))
        pair = (int(number(bid.get("cid"))), int(number(bid.get("adid"))))
        candidates = (tactic,) if tactic else self.by_creative.get(pair, ())
        faults = [self._fault(line_item, now_ms, profile_allowed) for line_item in candidates]
        if not faults:
            yield Violation("unknown-line-item", f"no line item of campaign {pair[0]} has creative {pair[1]}")
        elif None not in faults:
            yield from (fault for fault in faults[:1] if fault is not None)

    def _fault(self, line_item: int, now_ms: int, profile_allowed: bool) -> Violation | None:
        rules = self.line_items.get(line_item)
        if rules is None:
            return Violation("unknown-line-item", f"line item {line_item} is not in the catalogue")
        if not rules.active:
            return Violation("paused-line-item", f"line item {line_item} is not active")
        is_over = rules.end_ms is not None and now_ms >= rules.end_ms
        if is_over or (rules.start_ms is not None and now_ms < rules.start_ms):
            return Violation("expired-line-item", f"line item {line_item} is outside its flight")
        if rules.needs_profile and not profile_allowed:
            return Violation("no-consent", f"line item {line_item} rests on a profile that the request does not permit")
        return None


def load_rules(path: Path) -> CatalogueRules:
    """Rules from a `grosz catalogue export` file. Raises ScenarioError."""
    try:
        catalogue = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ScenarioError(f"catalogue '{path}' cannot be read: {error}") from error
    campaigns = {int(number(campaign.get("id"))): campaign for campaign in objects(catalogue.get("campaigns"))}
    advertisers = {int(number(entry.get("id"))): entry for entry in objects(catalogue.get("advertisers"))}
    rules: dict[int, LineItemRules] = {}
    by_creative: dict[tuple[int, int], tuple[int, ...]] = {}
    for item in objects(catalogue.get("line_items")):
        key, campaign = int(number(item.get("id"))), int(number(item.get("campaign_id")))
        advertiser = advertisers.get(int(number(item.get("advertiser_id"))), {})
        rules[key] = _line_item(item, campaigns.get(campaign, {}), advertiser)
        for creative in listed(item.get("creative_ids")):
            pair = (campaign, int(number(creative)))
            by_creative[pair] = (*by_creative.get(pair, ()), key)
    return CatalogueRules(rules, by_creative)


def _line_item(item: Json, campaign: Json, advertiser: Json) -> LineItemRules:
    targeting = mapping(item.get("targeting"))
    starts = [moment for owner in (item, campaign) if (moment := _moment(owner.get("start"))) is not None]
    ends = [moment for owner in (item, campaign) if (moment := _moment(owner.get("end"))) is not None]
    return LineItemRules(
        start_ms=max(starts, default=None),
        end_ms=min(ends, default=None),
        active=all(owner.get("status", "active") == "active" for owner in (item, campaign, advertiser)),
        needs_profile=bool(targeting.get("segments_any") or targeting.get("segments_all")),
    )


def _moment(value: object) -> int | None:
    """Milliseconds since 1970 of an ISO 8601 time with an offset; None when there is none."""
    return (
        round(datetime.datetime.fromisoformat(value).timestamp() * 1000) if isinstance(value, str) and value else None
    )


class OfferedBid(NamedTuple):
    """One bid of an answer, as far as the auction and the notices need it. `price` is CPM micros."""

    impression: str
    price: int
    currency: str
    account: str
    bid: Json
    deal: str
    seat: str


class Answer(NamedTuple):
    """A parsed answer: what is wrong with it, and the bids that an exchange could still take."""

    bids: tuple[OfferedBid, ...]
    violations: tuple[Violation, ...]
    no_bid_code: int | None = None


def account_of(bid: Json) -> str:
    """Whom a bid is billed to: its `tactic`, which is the line item, or else its campaign."""
    return text(bid.get("tactic")) or f"campaign-{text(bid.get('cid'))}"


class Checker:
    """Checks answers. `rates` convert a floor's currency to the answer's: units of the latter for one unit of the
    former."""

    def __init__(self, rules: CatalogueRules | None, rates: Mapping[str, float], now_ms: Callable[[], int]) -> None:
        self._rules = rules
        self._rates = dict(rates)
        self._now_ms = now_ms

    def check(self, request_id: str, facts: RequestFacts, body: bytes) -> Answer:
        """Parse and judge one 200 answer."""
        try:
            answer = orjson.loads(body)
        except ValueError as error:
            return Answer((), (Violation("not-json", str(error)),))
        if not isinstance(answer, dict):
            return Answer((), (Violation("not-json", "the answer is not an object"),))
        seats = objects(answer.get("seatbid"))
        if not any(objects(seat.get("bid")) for seat in seats):
            return self._no_bid(request_id, answer)
        found = list(self._check_envelope(request_id, facts, answer))
        currency = text(answer.get("cur")) or "USD"
        bids = []
        seen: set[str] = set()
        for seat in seats:
            name = text(seat.get("seat"))
            for bid in objects(seat.get("bid")):
                problems = list(self._check_bid(facts, bid, currency, name))
                if text(bid.get("id")) in seen:
                    problems.append(Violation("duplicate-bid-id", f"bid id {bid.get('id')} occurs twice"))
                seen.add(text(bid.get("id")))
                if not problems:
                    bids.append(_offered(bid, currency, name))
                found += problems
        return Answer(tuple(bids) if not found else (), tuple(found))

    def _no_bid(self, request_id: str, answer: Json) -> Answer:
        code = answer.get("nbr")
        found: tuple[Violation, ...] = ()
        if "id" in answer and answer["id"] != request_id:
            found = (Violation("id-echo", f"answer id {answer['id']} to request {request_id}"),)
        return Answer((), found, int(number(code)) if code is not None else None)

    def _check_envelope(self, request_id: str, facts: RequestFacts, answer: Json) -> Iterator[Violation]:
        if answer.get("id") != request_id:
            yield Violation("id-echo", f"answer id {answer.get('id')} to request {request_id}")
        currency = text(answer.get("cur")) or "USD"
        allowed = facts.currencies or frozenset({"USD"})
        if currency not in allowed:
            yield Violation("currency", f"{currency} is not one of {', '.join(sorted(allowed))}")

    def _check_bid(self, facts: RequestFacts, bid: Json, currency: str, seat: str) -> Iterator[Violation]:
        key = text(bid.get("impid"))
        imp = facts.impressions.get(key)
        if imp is None:
            yield Violation("unknown-impression", f"impression {key!r} was not offered")
            return
        yield from self._check_price(imp, bid, currency)
        yield from _check_deal(imp, bid, seat)
        yield from _check_creative(imp, bid)
        yield from _check_blocking(facts, imp, bid)
        if (facts.seats and seat not in facts.seats) or seat in facts.blocked_seats:
            yield Violation("seat", f"seat {seat!r} may not bid")
        if not text(bid.get("id")) or not text(bid.get("crid")):
            yield Violation("missing-member", "a bid needs an id and a crid")
        if self._rules is not None:
            yield from self._rules.judge(bid, self._now_ms(), facts.profile_allowed)

    def _check_price(self, imp: ImpressionFacts, bid: Json, currency: str) -> Iterator[Violation]:
        price = bid.get("price")
        if not isinstance(price, int | float) or isinstance(price, bool) or not 0 < price < MICROS:
            yield Violation("price", f"{price!r} is not a price")
            return
        deal = imp.deals.get(text(bid.get("dealid")))
        floor = self.floor_micros(deal or imp, currency)
        if floor is not None and round(price * MICROS) < floor:
            yield Violation("below-floor", f"{price} {currency} is below the floor of {floor / MICROS} {currency}")
        if (
            deal is not None
            and deal.auction_type == FIXED_PRICE
            and floor is not None
            and round(price * MICROS) != floor
        ):
            yield Violation("deal-price", f"{price} {currency} on a deal at the fixed price of {floor / MICROS}")

    def floor_micros(self, owner: ImpressionFacts | DealFacts, currency: str) -> int | None:
        """A floor in the currency of the answer, rounded up; None when there is no rate to judge it by."""
        if owner.currency == currency or owner.floor == 0:
            return owner.floor
        rate = self._rates.get(owner.currency)
        return None if rate is None else -(-owner.floor * round(rate * MICROS) // MICROS)


def _offered(bid: Json, currency: str, seat: str) -> OfferedBid:
    return OfferedBid(
        impression=text(bid.get("impid")),
        price=round(number(bid.get("price")) * MICROS),
        currency=currency,
        account=account_of(bid),
        bid=bid,
        deal=text(bid.get("dealid")),
        seat=seat,
    )


def _check_deal(imp: ImpressionFacts, bid: Json, seat: str) -> Iterator[Violation]:
    name = text(bid.get("dealid"))
    if not name:
        if imp.private:
            yield Violation("private-auction", "a bid without a deal in a private auction")
        return
    deal = imp.deals.get(name)
    if deal is None:
        yield Violation("unknown-deal", f"deal {name!r} was not offered on the impression")
        return
    if deal.seats and seat not in deal.seats:
        yield Violation("deal-seat", f"seat {seat!r} has no part in deal {name}")
    if deal.domains and not any(domain.lower() in deal.domains for domain in texts(bid.get("adomain"))):
        yield Violation("deal-domain", f"the advertiser is not one of deal {name}")


def _check_creative(imp: ImpressionFacts, bid: Json) -> Iterator[Violation]:
    kind = int(number(bid.get("mtype")))
    if (kind and kind not in imp.formats) or (not kind and len(imp.formats) > 1):
        yield Violation("format", f"markup type {kind} was not offered: {sorted(imp.formats)}")
    if (kind == BANNER or imp.formats == {BANNER}) and imp.sizes:
        size = (int(number(bid.get("w"))), int(number(bid.get("h"))))
        if size not in imp.sizes:
            yield Violation("size", f"{size[0]}x{size[1]} is not one of {sorted(imp.sizes)}")
    markup = text(bid.get("adm"))
    if not markup and not text(bid.get("nurl")):
        yield Violation("no-markup", "a bid has neither adm nor nurl")
    # nurl, burl and lurl are called by servers and need not be https; the page sees only the markup
    if imp.secure and _INSECURE.search(markup) and not _only_loopback(markup):
        yield Violation("insecure", "the markup loads http:// on a secure page")
    for name in ("nurl", "burl", "lurl"):
        if len(text(bid.get(name))) > MAX_NOTICE_URL:
            yield Violation("long-notice-url", f"{name} has more than {MAX_NOTICE_URL} characters")


def _only_loopback(markup: str) -> bool:
    """Browsers treat loopback as secure, so a tracker of a test set-up on 127.0.0.1 over http breaks no page."""
    hosts = re.findall(r"http://([^/:\"'\s]+)", markup)
    return all(host in ("127.0.0.1", "localhost", "www.w3.org") for host in hosts)


def _check_blocking(facts: RequestFacts, imp: ImpressionFacts, bid: Json) -> Iterator[Violation]:
    for domain in texts(bid.get("adomain")):
        labels = domain.lower().split(".")
        if any(".".join(labels[start:]) in facts.blocked_domains for start in range(len(labels))):
            yield Violation("blocked-domain", f"{domain} is blocked")
    for category in texts(bid.get("cat")):
        if category in facts.blocked_categories or category.split("-")[0] in facts.blocked_categories:
            yield Violation("blocked-category", f"{category} is blocked")
    attributes = {int(number(value)) for value in listed(bid.get("attr"))}
    if attributes & imp.blocked_attributes:
        yield Violation("blocked-attribute", f"attributes {sorted(attributes & imp.blocked_attributes)} are blocked")
