"""Judges every answer as an exchange would: what may not be sent is a violation, named, counted, and shown with its
request.

Knows only the request's facts and, where a catalogue export is given, what each line item may do.
"""

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadtest.judging.native import check_native
from loadtest.judging.spots import SpotBid, check_spot
from loadtest.judging.violation import Violation
from loadtest.traffic.catalogue import read_catalogue
from loadtest.traffic.facts import (
    BANNER,
    FIXED_PRICE,
    MICROS,
    NATIVE,
    DealFacts,
    ImpressionFacts,
    RequestFacts,
    listed,
    mapping,
    objects,
    text,
    texts,
    whole,
)

Json = Mapping[str, Any]

# The longest notice URL: twice 512 bytes, the shortest documented limit. An exchange's server that cuts a URL would
# lose the notice silently.
MAX_NOTICE_URL = 1024

_DEFAULT_CURRENCIES = frozenset({"USD"})
_BANNER_ALONE = frozenset({BANNER})
_HARMLESS_HOSTS = frozenset({"127.0.0.1", "localhost", "www.w3.org", "www.iab.com"})
_INSECURE = re.compile(r"""(?:src|href|url|action)\s*[=(:]\s*["']?http://""", re.IGNORECASE)


class LineItemRules(NamedTuple):
    """What the catalogue says of one line item."""

    start_ms: int | None
    end_ms: int | None
    active: bool
    needs_profile: bool


class CatalogueRules(NamedTuple):
    """Rules of all line items by id, and the line items that a bid may stand for by (campaign, creative)."""

    line_items: Mapping[int, LineItemRules]
    by_creative: Mapping[tuple[int, int], tuple[int, ...]]

    def judge(self, bid: "Bid", now_ms: int, profile_allowed: bool) -> Iterator[Violation]:
        """The fault of a bid. One without a tactic may stand for any line item of its campaign with its creative: it is
        at fault if all of them are."""
        tactic = whole(bid.tactic)
        pair = (whole(bid.cid), whole(bid.adid))
        first = None
        for line_item in (tactic,) if tactic else self.by_creative.get(pair, ()):
            fault = self._fault(line_item, now_ms, profile_allowed)
            if fault is None:
                return
            first = first or fault
        yield first or Violation("unknown-line-item", f"no line item of campaign {pair[0]} has creative {pair[1]}")

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
    catalogue = read_catalogue(path)
    campaigns = {whole(campaign.get("id")): campaign for campaign in objects(catalogue.get("campaigns"))}
    advertisers = {whole(entry.get("id")): entry for entry in objects(catalogue.get("advertisers"))}
    rules: dict[int, LineItemRules] = {}
    by_creative: dict[tuple[int, int], tuple[int, ...]] = {}
    for item in objects(catalogue.get("line_items")):
        key, campaign = whole(item.get("id")), whole(item.get("campaign_id"))
        advertiser = advertisers.get(whole(item.get("advertiser_id")), {})
        rules[key] = _line_item(item, campaigns.get(campaign, {}), advertiser)
        for creative in listed(item.get("creative_ids")):
            pair = (campaign, whole(creative))
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


class Bid(msgspec.Struct, frozen=True, gc=False):
    """The members of a bid that an exchange looks at, of whatever type they came in."""

    id: object = None
    impid: object = None
    iurl: object = None
    price: object = None
    adid: object = None
    adm: object = None
    adomain: object = None
    apis: object = None
    attr: object = None
    burl: object = None
    cat: object = None
    cid: object = None
    crid: object = None
    dealid: object = None
    dur: object = None
    ext: object = None
    h: object = None
    lurl: object = None
    mtype: object = None
    nurl: object = None
    protocol: object = None
    tactic: object = None
    w: object = None


class _Seat(msgspec.Struct, gc=False):
    seat: object = None
    bid: list[Bid] | None = None


class _Answer(msgspec.Struct, gc=False):
    id: object = None
    cur: object = None
    nbr: object = None
    seatbid: list[_Seat] | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class OfferedBid(NamedTuple):
    """One bid of an answer, as far as the auction and the notices need it. `price` is CPM micros."""

    impression: str
    price: int
    currency: str
    bid: Bid
    deal: str
    seat: str


class Answer(NamedTuple):
    """A parsed answer: what is wrong with it, and the bids that an exchange could still take."""

    bids: list[OfferedBid]
    violations: list[Violation]
    no_bid_code: int | None = None


class Checker:
    """Checks answers. `rates` convert a floor's currency to the answer's: units of the latter for one unit of the
    former. `judge` gives what the played exchange asks besides, from the bids by seat."""

    def __init__(
        self,
        rules: CatalogueRules | None,
        rates: Mapping[str, float],
        now_ms: Callable[[], int],
        judge: Callable[[list[tuple[str, list["Bid"]]]], Iterator[Violation]] = lambda _seats: iter(()),
    ) -> None:
        self._judge = judge
        self._rules = rules
        self._rates = dict(rates)
        self._now_ms = now_ms

    def check(self, request_id: str, facts: RequestFacts, body: bytes) -> Answer:
        """Parse and judge one 200 answer."""
        try:
            answer = _decode(body)
        except msgspec.ValidationError as error:
            return Answer([], [Violation("malformed-answer", f"the answer has another form: {error}")])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Answer([], [Violation("not-json", f"the answer is not JSON: {error}")])
        found: list[Violation] = []
        if answer.id != request_id and (answer.id is not None or any(seat.bid for seat in answer.seatbid or ())):
            found.append(Violation("id-echo", f"the answer has the id {answer.id}, the request {request_id}"))
        currency = text(answer.cur) or "USD"
        bids: list[OfferedBid] = []
        seen: set[str] = set()
        for seat in answer.seatbid or ():
            name = text(seat.seat)
            for bid in seat.bid or ():
                key = text(bid.id)
                if key in seen:
                    found.append(Violation("duplicate-bid-id", f"bid id {key} occurs twice"))
                seen.add(key)
                bids.append(self._check_bid(found, facts, bid, currency, name))
        if bids:
            found += self._judge([(text(seat.seat), seat.bid or []) for seat in answer.seatbid or ()])
        if not bids:
            return Answer([], found, whole(answer.nbr) if answer.nbr is not None else None)
        if currency not in (facts.currencies or _DEFAULT_CURRENCIES):
            allowed = ", ".join(sorted(facts.currencies or _DEFAULT_CURRENCIES))
            found.append(Violation("currency", f"the currency {currency} is not one of {allowed}"))
        return Answer([] if found else bids, found)

    def _check_bid(self, found: list[Violation], facts: RequestFacts, bid: Bid, currency: str, seat: str) -> OfferedBid:
        """Add what is wrong with a bid to `found`."""
        key, deal, price = text(bid.impid), text(bid.dealid), bid.price
        imp = facts.impressions.get(key)
        if imp is None:
            found.append(Violation("unknown-impression", f"impression {key!r} was not offered"))
        elif not isinstance(price, int | float) or isinstance(price, bool) or not 0 < price < MICROS:
            found.append(Violation("price", f"the price of a bid cannot be {price!r}"))
        else:
            micros = round(price * MICROS)
            self._check_price(found, imp.deals.get(deal) or imp, micros, currency)
            if deal or imp.private:
                _check_deal(found, imp, bid, deal, seat)
            _check_slot(found, imp, bid)
            spot = imp.spots.get(whole(bid.mtype))
            if spot is not None:
                found += check_spot(spot, SpotBid(bid.adm, bid.apis, bid.attr, bid.dur, bid.protocol))
            if imp.native is not None and whole(bid.mtype) == NATIVE:
                found += check_native(imp.native, bid.adm)
            _check_markup(found, imp, bid)
            _check_blocking(found, facts, imp, bid)
            if (facts.seats and seat not in facts.seats) or seat in facts.blocked_seats:
                found.append(Violation("seat", f"seat {seat!r} may not bid"))
            if not text(bid.id) or not text(bid.crid):
                found.append(Violation("missing-member", "a bid needs an id and a crid"))
            if self._rules is not None:
                found += self._rules.judge(bid, self._now_ms(), facts.profile_allowed)
            return OfferedBid(key, micros, currency, bid, deal, seat)
        return OfferedBid(key, 0, currency, bid, deal, seat)  # a bid with a fault is never sold

    def _check_price(
        self, found: list[Violation], owner: ImpressionFacts | DealFacts, micros: int, currency: str
    ) -> None:
        floor = self.floor_micros(owner, currency)
        if floor is None:
            return
        if micros < floor:
            found.append(Violation("below-floor", f"{micros / MICROS} {currency} is below the floor {floor / MICROS}"))
        if isinstance(owner, DealFacts) and owner.auction_type == FIXED_PRICE and micros != floor:
            detail = f"{micros / MICROS} {currency} on a deal at the fixed price of {floor / MICROS}"
            found.append(Violation("deal-price", detail))

    def floor_micros(self, owner: ImpressionFacts | DealFacts, currency: str) -> int | None:
        """A floor in the currency of the answer, rounded up; None when there is no rate to judge it by."""
        if owner.currency == currency or owner.floor == 0:
            return owner.floor
        rate = self._rates.get(owner.currency)
        return None if rate is None else -(-owner.floor * round(rate * MICROS) // MICROS)


def _check_deal(found: list[Violation], imp: ImpressionFacts, bid: Bid, name: str, seat: str) -> None:
    deal = imp.deals.get(name)
    if not name:
        found.append(Violation("private-auction", "a bid without a deal in a private auction"))
    elif deal is None:
        found.append(Violation("unknown-deal", f"deal {name!r} was not offered on the impression"))
    else:
        if deal.seats and seat not in deal.seats:
            found.append(Violation("deal-seat", f"seat {seat!r} has no part in deal {name}"))
        if deal.domains and not any(domain.lower() in deal.domains for domain in texts(bid.adomain)):
            found.append(Violation("deal-domain", f"the advertiser is not one of deal {name}"))


def _check_slot(found: list[Violation], imp: ImpressionFacts, bid: Bid) -> None:
    kind = whole(bid.mtype)
    if (kind and kind not in imp.formats) or (not kind and len(imp.formats) > 1):
        found.append(Violation("format", f"markup type {kind} was not offered: {sorted(imp.formats)}"))
    if imp.sizes and (kind == BANNER or imp.formats == _BANNER_ALONE):
        size = (whole(bid.w), whole(bid.h))
        if size not in imp.sizes:
            found.append(Violation("size", f"the size {size[0]}x{size[1]} is not one of {sorted(imp.sizes)}"))


def _check_markup(found: list[Violation], imp: ImpressionFacts, bid: Bid) -> None:
    markup = text(bid.adm)
    if not markup and not text(bid.nurl):
        found.append(Violation("no-markup", "a bid has neither adm nor nurl"))
    # nurl, burl and lurl are called by servers and need not be https; the page sees only the markup
    if imp.secure and not _is_secure(markup):
        found.append(Violation("insecure", "the markup loads http:// on a secure page"))
    sample = text(bid.iurl)
    if sample and not sample.startswith(("https://", "http://")):
        found.append(Violation("iurl", f"{sample[:60]!r} is no absolute address of a picture"))
    for name, url in (("nurl", bid.nurl), ("burl", bid.burl), ("lurl", bid.lurl)):
        if isinstance(url, str) and len(url) > MAX_NOTICE_URL:
            found.append(Violation("long-notice-url", f"the address {name} has more than {MAX_NOTICE_URL} characters"))


def _is_secure(markup: str) -> bool:
    """Whether a page would load nothing by http. Browsers treat loopback as secure, so a tracker on 127.0.0.1 does no
    harm."""
    links = markup.count("http://")
    if links == 0 or links == markup.count("http://127.0.0.1:"):  # counting costs a tenth of the patterns below
        return True
    hosts = re.findall(r"http://([^/:\"'\s]+)", markup)
    return all(host in _HARMLESS_HOSTS for host in hosts) or not _INSECURE.search(markup)


def _check_blocking(found: list[Violation], facts: RequestFacts, imp: ImpressionFacts, bid: Bid) -> None:
    if facts.blocked_domains:
        for domain in texts(bid.adomain):
            labels = domain.lower().split(".")
            if any(".".join(labels[start:]) in facts.blocked_domains for start in range(len(labels))):
                found.append(Violation("blocked-domain", f"the domain {domain} is blocked"))
    if facts.blocked_categories:
        found += [
            Violation("blocked-category", f"the category {category} is blocked")
            for category in texts(bid.cat)
            if category in facts.blocked_categories or category.split("-")[0] in facts.blocked_categories
        ]
    if bid.attr and imp.blocked_attributes:
        attributes = {whole(value) for value in listed(bid.attr)} & imp.blocked_attributes
        if attributes:
            found.append(Violation("blocked-attribute", f"attributes {sorted(attributes)} are blocked"))
