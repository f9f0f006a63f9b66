"""What saves but cannot deliver: each warning says what will happen and what to do.

A warning never stops a write. The same list is shown again whenever the object is read alone, so it is also the first
answer to "why does it not deliver".
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from admin.store.kinds import ObjectKind
from admin.store.model import Conversion, CountUnique, Webhook
from bidder.targeting.categories import UNCATEGORISED, advertised
from core.errors import Fault
from core.model import Advertiser, Budget, Campaign, Creative, Goal, LineItem, Pacing, Segment, Status
from core.money import format_micros
from core.network.outgoing import check_url
from creatives.formats.table import FORMATS, is_known
from creatives.scanning.declared import findings
from pacing.pace.targets import TargetState
from segments.facts.event import Kind


class Pace(NamedTuple):
    """What pacing says of a line item: the fraction of its daily budget that its bid can spend, and its target."""

    spendable: float | None  # None: the bid is not what limits it
    target: TargetState | None  # None: it has none, or no worker has looked at it yet


class Surroundings(msgspec.Struct, frozen=True):
    """What is known around the object: what it names, the time, exchange rates, and sizes of segments if counted.

    `paces` has line items that pacing was asked about, `agreed` the (advertiser, address) that have agreed to mails,
    `counting` the conversion about purchases that counts, by advertiser.
    """

    objects: Mapping[tuple[str, int], Any]
    now_ms: int
    rates: Mapping[str, int]
    segment_sizes: Mapping[int, int]
    paces: Mapping[int, Pace] = {}
    agreed: frozenset[tuple[int, str]] = frozenset()
    counting: Mapping[int, int] = {}

    def find(self, kind: str, object_id: int) -> Any:  # noqa: ANN401 - the kind says which
        return self.objects.get((kind, object_id))


def warnings_of(kind: ObjectKind, value: Any, around: Surroundings) -> list[Fault]:  # noqa: ANN401 - a struct of the kind
    """All warnings of one object."""
    if getattr(value, "status", None) is Status.ARCHIVED:
        return []
    match value:
        case LineItem():
            found = _line_item(value, around)
        case Campaign():
            found = _campaign(value, around)
        case Advertiser():
            found = _advertiser(value, around)
        case Segment():
            found = _size(value.id, value.name, "/rule", around)
        case Creative():
            found = _creative(value, around)
        case Webhook():
            found = _webhook(value, around)
        case Conversion():
            found = _conversion(value, around)
        case _:
            found = _paused(kind.title, value)
    return list(found)


def _advertiser(value: Advertiser, around: Surroundings) -> Iterator[Fault]:
    yield from _paused("advertiser", value)
    yield from _purse(value, around, "/currency", "/balance")


def _webhook(value: Webhook, around: Surroundings) -> Iterator[Fault]:
    yield from _paused("webhook", value)
    if value.mail:
        if (value.advertiser_id, value.mail) not in around.agreed:
            text = "this address has not agreed to mails of the advertiser itself: it gets them only if it wants all"
            yield Fault("/mail", "not_agreed", text, "ask it: Saved reports in the console, or /v1/reports/recipients")
        return
    fault = check_url(value.url, allow_private=False)
    if fault is not None and fault.code in ("private", "scheme"):
        text = f"{fault.message}: it is called only where worker.private_webhooks is set"
        yield Fault("/url", "not_public", text, "use an https address that the internet can reach")


def _conversion(value: Conversion, around: Surroundings) -> Iterator[Fault]:
    yield from _paused("conversion", value)
    if value.event != Kind.PURCHASE:
        text = f"only purchases count as conversions: a row about {value.event} has no effect"
        yield Fault("/event", "no_effect", text, "set event to purchase, or archive the row")
    elif value.status is Status.ACTIVE and (first := around.counting.get(value.advertiser_id, value.id)) != value.id:
        text = f"conversion {first} is about purchases too and older: this row has no effect"
        yield Fault("/event", "no_effect", text, "change that one instead, or archive one of the two")
    if value.count is not CountUnique.ONE_PER_ORDER:
        text = "every order counts once, by its number, whatever count says"
        yield Fault("/count", "no_effect", text, "set count to one_per_order")


def _owner(value: Campaign | LineItem, around: Surroundings) -> Iterator[Fault]:
    """What stops everything of the advertiser."""
    advertiser = around.find("advertisers", value.advertiser_id)
    if advertiser is None:
        return
    pointer = "/advertiser_id"
    if advertiser.status is not Status.ACTIVE:
        yield Fault(pointer, "advertiser_stopped", "the advertiser does not bid", "resume the advertiser")
    yield from _purse(advertiser, around, pointer, pointer)


def _purse(value: Advertiser, around: Surroundings, at_currency: str, at_balance: str) -> Iterator[Fault]:
    if value.currency != "PLN" and value.currency not in around.rates:
        hint = "add the rate to the catalogue's fx_rates"
        yield Fault(at_currency, "no_rate", f"there is no exchange rate for {value.currency}: nothing can bid", hint)
    if value.balance_micros == 0:
        hint = "raise it, or set null for credit"
        yield Fault(at_balance, "no_balance", "the advertiser's balance is zero: nothing can bid", hint)


def _campaign(value: Campaign, around: Surroundings) -> Iterator[Fault]:
    yield from _paused("campaign", value)
    yield from _flight(value, around)
    yield from _owner(value, around)
    if value.total_budget.micros == 0:
        yield Fault("/total_budget/spend", "budget_is_zero", "the budget is zero: nothing can be bought", "raise it")


def _line_item(value: LineItem, around: Surroundings) -> Iterator[Fault]:
    yield from _paused("line item", value)
    yield from _flight(value, around)
    yield from _owner(value, around)
    campaign = around.find("campaigns", value.campaign_id)
    if campaign is not None and campaign.status is not Status.ACTIVE:
        yield Fault("/campaign_id", "campaign_stopped", "the campaign does not bid", "resume the campaign")
    elif campaign is not None:
        yield from _flight(campaign, around, "/campaign_id", "the campaign's ")
    yield from _creatives(value, around)
    yield from _caps(value, around)
    yield from _budgets(value, campaign)
    yield from _prices(value)
    yield from _targeting(value, around)
    pace = around.paces.get(value.id)
    if pace is not None and value.status is Status.ACTIVE:
        yield from _pace(pace)


def _pace(pace: Pace) -> Iterator[Fault]:
    if pace.spendable is not None:
        text = f"at this bid about {pace.spendable:.0%} of the daily budget can be spent: pacing does not hold it back"
        yield Fault("/bid", "bid_too_low", text, "raise the bid or the maximum CPM, or widen the targeting")
    target = pace.target
    if target is not None and target.stopped_ms:
        text = (
            f"it is stopped: {format_micros(target.drought_micros)} was spent since its last conversion, counting what "
            f"is due by now; {format_micros(target.patience_micros)} is the most"
        )
        hint = "see that conversions are tracked; a late one lets it go on, and so does resuming its target"
        yield Fault("/target_cpa", "target_stopped", text, hint)


def _creatives(value: LineItem, around: Surroundings) -> Iterator[Fault]:
    if not value.creative_ids:
        yield Fault("/creative_ids", "no_creative", "there is no creative: nothing can be shown", "add one")
        return
    known = [around.find("creatives", creative) for creative in value.creative_ids]
    usable = [ad for ad in known if ad is not None and ad.status is Status.ACTIVE]
    if not usable:
        hint = "resume one, or name another"
        yield Fault("/creative_ids", "no_active_creative", "no creative is active: no size can be filled", hint)
    elif not any(is_known(ad) for ad in usable):
        shown = " or ".join(FORMATS)
        text = f"no active creative is a {shown}, and nothing else is shown yet"
        yield Fault("/creative_ids", "no_format", text, f"add a {shown}")
    for position, ad in enumerate(known):
        if ad is None or ad.status is Status.ARCHIVED:
            yield Fault(f"/creative_ids/{position}", "archived_creative", "the creative is archived", "remove it")


def _caps(value: LineItem, around: Surroundings) -> Iterator[Fault]:
    known = [around.find("creatives", creative) for creative in value.creative_ids]
    shown = {ad.format for ad in known if ad is not None and ad.status is not Status.ARCHIVED}
    places = [("/caps", value.caps)]
    places += [(f"/budget_shares/{at}/caps", share.caps) for at, share in enumerate(value.budget_shares)]
    for pointer, caps in places:
        for position, cap in enumerate(caps):
            if cap.format is not None and shown and cap.format not in shown:
                text = f"no creative is of the format {cap.format}: the cap has no effect"
                yield Fault(f"{pointer}/{position}/format", "no_effect", text, "name a format of its creatives")


def _creative(value: Creative, around: Surroundings) -> Iterator[Fault]:
    yield from _paused("creative", value)
    advertiser = around.find("advertisers", value.advertiser_id)
    products = advertiser.product_categories if advertiser is not None else ()
    if UNCATEGORISED in advertised((*value.categories, *products)):
        text = "it has no category that can be checked: publishers who block or allow categories refuse it"
        yield Fault("/categories", "no_category", text, "say what it advertises, for example IAB18-3")
    yield from findings(value, advertiser.domain if advertiser is not None else "")


def _budgets(value: LineItem, campaign: Campaign | None) -> Iterator[Fault]:
    impression = value.max_cpm_micros // 1000
    budgets = [("/daily_budget/spend", "", value.daily_budget), ("/total_budget/spend", "", value.total_budget)]
    if campaign is not None:
        budgets.append(("/campaign_id", "the campaign's budget is ", campaign.total_budget))
    for pointer, whose, budget in budgets:
        if budget.micros is not None and budget.micros < impression:
            text = f"{whose}below the price of one impression ({format_micros(impression)}): nothing can be bought"
            yield Fault(pointer, "budget_below_one_impression", text, "raise the budget")
    if _is_above(value.daily_budget, value.total_budget):
        yield Fault("/daily_budget/spend", "daily_above_total", "the day's budget is above the total", "lower it")
    if value.spend_all and value.pacing is Pacing.ASAP:
        yield Fault(
            "/spend_all",
            "no_effect",
            "spend_all works on paced budgets: this is as soon as possible",
            "set pacing to even",
        )


def _is_above(daily: Budget, total: Budget) -> bool:
    return daily.micros is not None and total.micros is not None and daily.micros > total.micros


def _prices(value: LineItem) -> Iterator[Fault]:
    if value.goal is Goal.CPM and value.bid_micros > value.max_cpm_micros:
        yield Fault("/bid", "bid_above_maximum", "the bid is above max_cpm and will be cut to it", "raise max_cpm")
    if value.goal is Goal.CPM and value.bid_micros < value.min_cpm_micros:
        yield Fault("/bid", "bid_below_minimum", "the bid is below min_cpm: nothing can be bid", "lower min_cpm")


def _targeting(value: LineItem, around: Surroundings) -> Iterator[Fault]:
    targeting = value.targeting
    for wanted, name in ((targeting.segments_any, "segments_any"), (targeting.segments_all, "segments_all")):
        both = set(wanted) & set(targeting.segments_none)
        if both and (name == "segments_all" or both == set(wanted)):
            text = "a segment is both wanted and excluded: nobody can match"
            yield Fault(f"/targeting/{name}", "contradiction", text, "remove it from one of the lists")
        for position, segment in enumerate(wanted):
            stored = around.find("segments", segment)
            yield from _size(segment, stored.name if stored else "", f"/targeting/{name}/{position}", around)
    if set(targeting.domains_allow) and set(targeting.domains_allow) <= set(targeting.domains_deny):
        yield Fault("/targeting/domains_allow", "contradiction", "every allowed domain is denied too", "remove one")
    for position, deal_id in enumerate(targeting.deals):
        deal = around.find("deals", deal_id)
        if deal is not None and targeting.exchanges and deal.exchange_id not in targeting.exchanges:
            text = "the deal's exchange is not targeted: the deal cannot match"
            yield Fault(f"/targeting/deals/{position}", "contradiction", text, "add the exchange")


def _size(segment_id: int, name: str, pointer: str, around: Surroundings) -> Iterator[Fault]:
    if around.segment_sizes.get(segment_id) == 0:
        called = f'"{name}"' if name else str(segment_id)
        yield Fault(pointer, "segment_empty", f"segment {called} has nobody in it now", "see the tag's health")


def _paused(title: str, value: Any) -> Iterator[Fault]:  # noqa: ANN401 - any object with a status
    if value.status is Status.PAUSED:
        yield Fault("/status", "paused", f"the {title} is paused", "resume it when it is ready")


def _flight(
    value: Campaign | LineItem, around: Surroundings, pointer: str = "", whose: str = "the "
) -> Iterator[Fault]:
    if value.end_ms is not None and value.end_ms <= around.now_ms:
        yield Fault(pointer or "/end", "flight_over", f"{whose}end has passed: nothing can be bid", "move the end")
    elif value.start_ms is not None and value.start_ms > around.now_ms:
        yield Fault(pointer or "/start", "flight_not_begun", f"{whose}start is still to come", "wait, or move it")
