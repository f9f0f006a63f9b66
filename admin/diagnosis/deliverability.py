"""The doctor's second half: what stops one line item, from its status down to the reasons that bidders counted."""

import datetime
import zoneinfo
from collections.abc import Iterator, Mapping

import msgspec

from admin.diagnosis.budgets import Levels, shortage
from admin.diagnosis.findings import Finding, Severity
from admin.diagnosis.funnels import ReasonCount, Window
from admin.diagnosis.spendable import Multipliers, spendable_share
from admin.diagnosis.told import found
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
    """A warning as a finding of the area "line item". Its code there is `line_item.CODE`."""
    stops = fault.code in _STOPPING or fault.code == "contradiction"
    severity = Severity.STOP if stops else Severity.NOTE
    codes = f"line_item.{fault.code}", f"warning.{fault.code}"
    return Finding(codes[0], "line item", severity, fault.message, fault.hint, codes[1], {}, line_item_id)


def _audience(line_item: LineItem, scene: Scene) -> Iterator[Finding]:
    targeting, sizes = line_item.targeting, scene.segment_sizes
    counted = [segment for segment in targeting.segments_any if segment in sizes]
    if counted:
        text = ", ".join(f"segment {segment} has {sizes[segment]} users" for segment in counted)
        is_empty = len(counted) == len(targeting.segments_any) and not any(sizes[segment] for segment in counted)
        yield _people(is_empty, text, line_item)
    for segment in targeting.segments_all:
        if segment in sizes:
            yield _people(not sizes[segment], f"segment {segment} has {sizes[segment]} users", line_item)


def _people(is_empty: bool, text: str, line_item: LineItem) -> Finding:
    finding = found(
        "audience.empty" if is_empty else "audience.counted",
        line_item.id,
        words=text,
        advertiser=line_item.advertiser_id,
    )
    return msgspec.structs.replace(finding, is_waiting=is_empty)


def _hours(line_item: LineItem, advertiser: Advertiser, now_ms: int) -> Iterator[Finding]:
    hours = line_item.targeting.hours_of_week
    local = datetime.datetime.fromtimestamp(now_ms / 1000, zoneinfo.ZoneInfo(advertiser.timezone))
    if hours and local.weekday() * 24 + local.hour not in hours:
        yield found("line_item.hours", line_item.id, hour=f"{local:%A %H:00}", zone=advertiser.timezone)


def _budgets(line_item: LineItem, campaign: Campaign, advertiser: Advertiser, scene: Scene) -> Iterator[Finding]:
    levels = scene.levels.get(line_item.advertiser_id, {})
    if f"l{line_item.id}" not in levels:
        yield found("budget.not_entered", line_item.id)
        return
    day = calendar(advertiser.timezone, scene.now_ms).day
    pools: list[PoolSpec] = pools_of(line_item, campaign)
    short = [shortage(levels, pool, campaign.id, day, advertiser.currency) for pool in pools]
    spent = [each.text for each in short if each is not None and each.is_spent]
    if len(spent) == len(pools):
        yield found("budget.spent", line_item.id, what=", ".join(dict.fromkeys(spent)))
        return
    for text in spent:
        yield found("budget.part_spent", line_item.id, what=text)
    share = spendable_share(
        line_item, levels, pools, scene.multipliers, day=day, timezone=advertiser.timezone, now_ms=scene.now_ms
    )
    if share is not None:
        yield found("budget.bid_too_low", line_item.id, share=f"{share:.0%}")
    tight = [each.text for each in short if each is not None and not each.is_spent]
    left = ", ".join(dict.fromkeys(tight))
    yield found("budget.left", line_item.id, what=left) if left else found("budget.unlimited", line_item.id)


def _sizes(line_item: LineItem, scene: Scene) -> str:
    ads = [scene.creatives[ad] for ad in line_item.creative_ids if ad in scene.creatives]
    return ", ".join(sorted({f"{ad.width}x{ad.height}" for ad in ads if ad.status is Status.ACTIVE}))


def _creatives(line_item: LineItem, scene: Scene) -> Iterator[Finding]:
    if sizes := _sizes(line_item, scene):
        yield found("creatives.active", line_item.id, sizes=sizes)


def _funnel(line_item: LineItem, scene: Scene, currency: str) -> Iterator[Finding]:
    window = scene.windows.get(line_item.id)
    if window is None or not window.requests:
        yield found("last_hour.nothing_offered", line_item.id)
    elif not window.bids and window.requests < LEAST_JUDGED:
        yield found("last_hour.too_few", line_item.id, count=window.requests, least=LEAST_JUDGED)
    elif not window.bids:
        yield from _why_no_bid(line_item, window, scene)
    elif not window.wins and not window.impressions:
        losses = ", ".join(f"{loss.count} {loss.text}" for loss in window.losses[:TOP_REASONS]) or "no loss notice"
        yield found("last_hour.none_won", line_item.id, bids=window.bids, impressions=window.requests, losses=losses)
    else:
        yield found(
            "last_hour.delivered",
            line_item.id,
            count=window.requests,
            bids=window.bids,
            wins=window.wins,
            impressions=window.impressions,
            clicks=window.clicks,
            spent=window.spend,
            currency=currency,
        )


def _why_no_bid(line_item: LineItem, window: Window, scene: Scene) -> Iterator[Finding]:
    """Findings for reasons that applied everywhere, each of which must go; without one, for those that applied most."""
    if any(one.reason == NoBid.OUTRANKED.name.lower() for one in window.reasons):
        # It met every other condition there, so nothing of its own stops it.
        yield found("last_hour.outranked", line_item.id, count=window.requests)
        return
    everywhere = [one for one in window.reasons if one.count >= window.requests]
    mattering = [one for one in everywhere if one.reason not in _TOLD_ELSEWHERE]
    if everywhere and not mattering:
        return  # status, flight, hours or budget: said above, where it can be mended
    if mattering and all(one.reason == NoBid.SEGMENT.name.lower() for one in mattering):
        yield found("last_hour.none_in_audience", line_item.id, count=window.requests)
        return
    for one in mattering or window.reasons[:TOP_REASONS]:
        yield _no_bid(one, window.requests, line_item, scene)


def _no_bid(one: ReasonCount, requests: int, line_item: LineItem, scene: Scene) -> Finding:
    if one.reason == NoBid.SIZE.name.lower():
        own = _sizes(line_item, scene) or "none"
        return found("last_hour.no_size", line_item.id, count=one.count, all=requests, own=own, sizes=COMMON_SIZES)
    finding = found("last_hour.no_bid", line_item.id, count=one.count, all=requests, reason=one.text, hint=one.hint)
    return finding.advised(f"reason.{one.reason}")
