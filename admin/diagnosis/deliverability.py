"""The doctor's second half: what stops one line item, from its status down to the reasons that bidders counted."""

import datetime
import zoneinfo
from collections.abc import Iterator, Mapping

import msgspec

from admin.diagnosis.budgets import Levels, shortage
from admin.diagnosis.findings import Finding, Severity, fine, note, stop
from admin.diagnosis.funnels import ReasonCount, Window
from admin.diagnosis.spendable import Multipliers, spendable_share
from admin.store.kinds import LINE_ITEMS
from admin.validation.warnings import Pace, Surroundings, warnings_of
from core.errors import Fault
from core.model import Advertiser, Campaign, Catalogue, Creative, LineItem, Status
from core.reasons import NoBid
from pacing.bank.bank import calendar
from pacing.budgets.pools import PoolSpec, pools_of
from pacing.pace.targets import TargetState

# Warnings (admin/validation/warnings.py) that mean that nothing is delivered; the others only mean that less is.
_STOPPING = frozenset(
    {
        "paused", "advertiser_stopped", "campaign_stopped", "flight_over", "flight_not_begun", "no_creative",
        "no_active_creative", "no_format", "budget_below_one_impression", "bid_below_minimum", "no_rate", "no_balance",
        "target_stopped",
    }
)  # fmt: skip

# Reasons that are left out here: findings about status, flight, hours and budget name them, with what mends them.
_TOLD_ELSEWHERE = frozenset({"inactive", "outside_flight", "daypart", "no_lease", "budget_spent"})

COMMON_SIZES = "300x250, 728x90, 320x50, 160x600, 300x600"

# Fewer impressions say nothing about the traffic: a line item for one region waits for its visitors.
LEAST_JUDGED = 30

_EMPTY_AUDIENCE = (
    "people come and leave, as buyers do; if nobody comes, check that the shop's tag sends events, and the segment's "
    "rule; `grosz segment show` has it"
)

# Of several reasons that together leave nothing, the three most frequent are enough to begin with.
TOP_REASONS = 3


class Scene(msgspec.Struct, frozen=True):
    """What is known around all line items of a published catalogue."""

    advertisers: dict[int, Advertiser]
    campaigns: dict[int, Campaign]
    creatives: dict[int, Creative]
    objects: dict[tuple[str, int], object]
    rates: Mapping[str, int]
    levels: Mapping[int, Levels]
    segment_sizes: Mapping[int, int]
    windows: Mapping[int, Window]  # of the last hour
    now_ms: int
    multipliers: Multipliers = {}
    targets: Mapping[int, TargetState] = {}

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        levels: Mapping[int, Levels],
        segment_sizes: Mapping[int, int],
        windows: Mapping[int, Window],
        now_ms: int,
        multipliers: Multipliers | None = None,
        targets: Mapping[int, TargetState] | None = None,
    ) -> "Scene":
        objects: dict[tuple[str, int], object] = {}
        for name in ("advertisers", "campaigns", "creatives", "deals"):
            objects |= {(name, value.id): value for value in getattr(catalogue, name)}
        return cls(
            {one.id: one for one in catalogue.advertisers},
            {one.id: one for one in catalogue.campaigns},
            {one.id: one for one in catalogue.creatives},
            objects, catalogue.fx_rates, levels, segment_sizes, windows, now_ms, multipliers or {}, targets or {},
        )  # fmt: skip


def is_paused(line_item: LineItem, scene: Scene) -> bool:
    """Whether the line item, its campaign or its advertiser was stopped on purpose."""
    owners = (scene.campaigns[line_item.campaign_id], scene.advertisers[line_item.advertiser_id])
    return any(one.status is not Status.ACTIVE for one in (line_item, *owners))


def examine(line_item: LineItem, scene: Scene) -> list[Finding]:
    """All findings about a line item; the first that stops it is the one to mend first."""
    advertiser, campaign = scene.advertisers[line_item.advertiser_id], scene.campaigns[line_item.campaign_id]
    paces = {line_item.id: Pace(None, scene.targets.get(line_item.id))}  # what can be spent is told with the budgets
    around = Surroundings(scene.objects, scene.now_ms, scene.rates, scene.segment_sizes, paces)
    faults = warnings_of(LINE_ITEMS, line_item, around)
    number = line_item.id
    findings = [_of_warning(fault, number) for fault in faults if fault.code != "segment_empty"]
    findings += _audience(line_item, scene)
    findings += _hours(line_item, advertiser, scene.now_ms)
    if not is_paused(line_item, scene):
        findings += _budgets(line_item, campaign, advertiser, scene)
    findings += _creatives(line_item, scene)
    findings += _funnel(line_item, scene, advertiser.currency)
    named = [msgspec.structs.replace(finding, name=line_item.name) for finding in findings]
    return sorted(named, key=lambda one: (one.severity is not Severity.STOP, one.is_waiting))


def _of_warning(fault: Fault, line_item_id: int) -> Finding:
    make = stop if fault.code in _STOPPING or fault.code == "contradiction" else note
    return make("line item", fault.message, fault.hint, line_item_id)


def _audience(line_item: LineItem, scene: Scene) -> Iterator[Finding]:
    targeting, sizes = line_item.targeting, scene.segment_sizes
    counted = [segment for segment in targeting.segments_any if segment in sizes]
    if counted:
        text = ", ".join(f"segment {segment} has {sizes[segment]} users" for segment in counted)
        is_empty = len(counted) == len(targeting.segments_any) and not any(sizes[segment] for segment in counted)
        yield _people(is_empty, text, line_item.id)
    for segment in targeting.segments_all:
        if segment in sizes:
            yield _people(not sizes[segment], f"segment {segment} has {sizes[segment]} users", line_item.id)


def _people(is_empty: bool, text: str, line_item_id: int) -> Finding:
    if not is_empty:
        return fine("audience", text, line_item_id)
    found = stop("audience", f"nobody is in its audience now: {text}", _EMPTY_AUDIENCE, line_item_id)
    return msgspec.structs.replace(found, is_waiting=True)


def _hours(line_item: LineItem, advertiser: Advertiser, now_ms: int) -> Iterator[Finding]:
    hours = line_item.targeting.hours_of_week
    local = datetime.datetime.fromtimestamp(now_ms / 1000, zoneinfo.ZoneInfo(advertiser.timezone))
    if hours and local.weekday() * 24 + local.hour not in hours:
        text = f"now ({local:%A %H:00} in {advertiser.timezone}) is outside its hours of the week"
        yield stop("line item", text, "wait, or widen the hours", line_item.id)


def _budgets(line_item: LineItem, campaign: Campaign, advertiser: Advertiser, scene: Scene) -> Iterator[Finding]:
    levels = scene.levels.get(line_item.advertiser_id, {})
    if f"l{line_item.id}" not in levels:
        text = "its budgets are not in Redis, so no bidder gets money for it"
        yield stop("budget", text, "wait a second; if it stays, start the worker role", line_item.id)
        return
    day = calendar(advertiser.timezone, scene.now_ms).day
    pools: list[PoolSpec] = pools_of(line_item, campaign)
    found = [shortage(levels, pool, campaign.id, day, advertiser.currency) for pool in pools]
    spent = [each.text for each in found if each is not None and each.is_spent]
    if len(spent) == len(pools):
        advice = "raise it; a daily budget begins again at the advertiser's midnight"
        yield stop("budget", f"nothing is left to spend: {', '.join(dict.fromkeys(spent))}", advice, line_item.id)
        return
    for text in spent:
        yield note("budget", f"nothing is left of a part: {text}", "raise the budget or its share", line_item.id)
    share = spendable_share(
        line_item, levels, pools, scene.multipliers, day=day, timezone=advertiser.timezone, now_ms=scene.now_ms
    )
    if share is not None:
        text = f"at this bid about {share:.0%} of its daily budget can be spent: pacing does not hold it back"
        yield note("budget", text, "raise the bid or the maximum CPM, or widen the targeting", line_item.id)
    tight = [each.text for each in found if each is not None and not each.is_spent]
    yield fine("budget", ", ".join(dict.fromkeys(tight)) or "no budget limits it", line_item.id)


def _sizes(line_item: LineItem, scene: Scene) -> str:
    ads = [scene.creatives[ad] for ad in line_item.creative_ids if ad in scene.creatives]
    found = {f"{ad.width}x{ad.height}" for ad in ads if ad.status is Status.ACTIVE}
    return ", ".join(sorted(found))


def _creatives(line_item: LineItem, scene: Scene) -> Iterator[Finding]:
    if sizes := _sizes(line_item, scene):
        yield fine("creatives", f"active creatives in {sizes}", line_item.id)


def _funnel(line_item: LineItem, scene: Scene, currency: str) -> Iterator[Finding]:
    window = scene.windows.get(line_item.id)
    if window is None or not window.requests:
        text = "no impression was offered to it in the last hour, or since it began"
        yield note("last hour", text, "see the findings about exchanges", line_item.id)
    elif not window.bids and window.requests < LEAST_JUDGED:
        text = f"no bid yet on {window.requests} impressions, too few to say why"
        yield note("last hour", text, f"ask again after {LEAST_JUDGED}", line_item.id)
    elif not window.bids:
        yield from _why_no_bid(line_item, window, scene)
    elif not window.wins and not window.impressions:
        losses = ", ".join(f"{loss.count} {loss.text}" for loss in window.losses[:TOP_REASONS]) or "no loss notice"
        text = f"{window.bids} bids for {window.requests} impressions, none reported as won ({losses})"
        advice = "raise the bid where it loses to higher ones; check with the exchange that notices reach the tracker"
        yield note("last hour", text, advice, line_item.id)
    else:
        text = (
            f"{window.requests} impressions offered, {window.bids} bids, {window.wins} wins, "
            f"{window.impressions} impressions, {window.clicks} clicks, {window.spend} {currency} spent"
        )
        yield fine("last hour", text, line_item.id)


def _why_no_bid(line_item: LineItem, window: Window, scene: Scene) -> Iterator[Finding]:
    """Findings for reasons that applied everywhere, each of which must go; without one, for those that applied most."""
    if any(one.reason == NoBid.OUTRANKED.name.lower() for one in window.reasons):
        # It met every other condition there, so nothing of its own stops it.
        text = f"no bid on {window.requests} impressions: where it fits, another of our line items pays more"
        yield note("last hour", text, "raise the bid to win these from one's own other line items", line_item.id)
        return
    everywhere = [one for one in window.reasons if one.count >= window.requests]
    mattering = [one for one in everywhere if one.reason not in _TOLD_ELSEWHERE]
    if everywhere and not mattering:
        return  # status, flight, hours or budget: said above, where it can be mended
    if mattering and all(one.reason == NoBid.SEGMENT.name.lower() for one in mattering):
        text = f"no bid: none of {window.requests} impressions was for somebody in its audience"
        yield note("last hour", text, "wait for these people, or widen the segments", line_item.id)
        return
    for one in mattering or window.reasons[:TOP_REASONS]:
        text, advice = _said(one, line_item, scene)
        yield stop("last hour", f"no bid: on {one.count} of {window.requests} impressions {text}", advice, line_item.id)


def _said(one: ReasonCount, line_item: LineItem, scene: Scene) -> tuple[str, str]:
    if one.reason == NoBid.SIZE.name.lower():
        text = f"no creative fits the offered size (there is {_sizes(line_item, scene) or 'none'})"
        return text, f"add creatives in the sizes that `grosz explain` shows; most common are {COMMON_SIZES}"
    return one.text, one.hint
