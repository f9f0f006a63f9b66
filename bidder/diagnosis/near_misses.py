"""By how much, and until when: what is near the reasons of one line item, for explanations.

Prices have their numbers at hand where they are judged. Flights and hours of the week are judged for all line items at
once each second (bidder/targeting/eligible_now.py), targeting by sets of line items that do not say what they want: so
what is near them is worked out here, for one line item.
"""

import datetime
import zoneinfo
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bidder.targeting.fields import FIELDS
from bidder.targeting.index import Index
from core.model import Creative, Deal, Format, LineItem, Radius, Targeting
from core.moments import moment_text
from core.reasons import NoBid

# Values of a list that are named; of a longer list, how many more there are is told.
MOST_VALUES: Final = 6

HOURS_PER_WEEK = 168
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def clock_detail(reason: NoBid, index: Index, position: int, now_ms: int) -> str:
    """Words about OUTSIDE_FLIGHT or DAYPART of one line item; "" for other reasons."""
    if reason is NoBid.OUTSIDE_FLIGHT:
        return _flight(int(index.lines.start_ms[position]), int(index.lines.end_ms[position]), now_ms)
    if reason is NoBid.DAYPART:
        return _daypart(index, position, now_ms)
    return ""


def _flight(start_ms: int, end_ms: int, now_ms: int) -> str:
    if now_ms < start_ms:
        return f"flight starts {moment_text(start_ms // 1000, now_ms // 1000)}"
    return f"flight ended {moment_text(end_ms // 1000, now_ms // 1000)}"


def _daypart(index: Index, position: int, now_ms: int) -> str:
    """The present hour in the advertiser's time zone and the next one that is targeted, in words."""
    zone_name = index.timezones[int(index.lines.timezone[position])]
    local = datetime.datetime.fromtimestamp(now_ms / 1000, zoneinfo.ZoneInfo(zone_name))
    now = local.weekday() * 24 + local.hour
    hours = index.lines.hours[index.lines.hour_pattern[position]]
    following = next((ahead for ahead in range(1, HOURS_PER_WEEK) if hours[(now + ahead) % HOURS_PER_WEEK]), None)
    text = f"it is {_hour(now)} in {zone_name}"
    if following is None:
        return f"{text}, and no hour is targeted"
    return f"{text}, next targeted {_hour((now + following) % HOURS_PER_WEEK)}"


def _hour(hour_of_week: int) -> str:
    day, hour = divmod(hour_of_week, 24)
    return f"{_WEEKDAYS[day]} {hour:02d}:00"


def targeting_detail(
    reason: NoBid,
    line_item: LineItem,
    creatives: Mapping[int, Creative],
    deals: Mapping[int, Deal],
    segments: Mapping[int, str],
    said: str,
) -> str:
    """What a line item wants beside what the request said: "wants POL, request DEU"; "" for other reasons.

    `segments` are names by id, of all that the line item and `said` may name.
    """
    if reason is NoBid.SIZE:
        own = _listed(_shape(creatives[each]) for each in line_item.creative_ids if each in creatives)
        return f"offers {said or 'nothing'}, creatives {own or 'none'}"
    targeting = line_item.targeting
    if reason in (NoBid.DEAL, NoBid.PRIVATE_AUCTION):
        own = _listed(deals[each].deal_id for each in targeting.deals if each in deals)
        return f"wants deal {own}, request offers {said or 'none'}" if own else ""
    if reason in (NoBid.SEGMENT, NoBid.EXCLUDED_SEGMENT):
        return _about_segments(reason, targeting, segments, said)
    wants = [text for field in FIELDS if field.reason is reason for text in _wants(field.allow, field.deny, targeting)]
    return f"{' and '.join(wants)}, request {said or 'does not say'}" if wants else ""


def _about_segments(reason: NoBid, targeting: Targeting, segments: Mapping[int, str], said: str) -> str:
    def named(ids: Iterable[int]) -> str:
        return _listed(f"{each} ({segments[each]})" if each in segments else str(each) for each in ids)

    held = named(int(each) for each in said.split(", ")) if said else "none"
    if reason is NoBid.EXCLUDED_SEGMENT:
        return f"wants none of {named(targeting.segments_none)}, user is in {held}"
    any_of = f"one of {named(targeting.segments_any)}" if targeting.segments_any else ""
    every = f"all of {named(targeting.segments_all)}" if targeting.segments_all else ""
    wanted = " and ".join(part for part in (any_of, every) if part)
    return f"wants {wanted}, user is in {held}" if wanted else ""


def _wants(allow: str, deny: str, targeting: Any) -> Iterable[str]:  # noqa: ANN401 - members by their names
    allowed = _listed(getattr(targeting, allow)) if allow else ""
    denied = _listed(getattr(targeting, deny)) if deny else ""
    lists = f"lists {_listed(targeting.lists_allow)}" if deny and targeting.lists_allow else ""
    if allowed or lists:
        yield f"wants {' or '.join(part for part in (allowed, lists) if part)}"
    refused = f"lists {_listed(targeting.lists_deny)}" if deny and targeting.lists_deny else ""
    if denied or refused:
        yield f"denies {' or '.join(part for part in (denied, refused) if part)}"


def _shape(creative: Creative) -> str:
    return f"{creative.width}x{creative.height}" if creative.format == Format.BANNER else str(creative.format)


def _listed(values: Iterable[object]) -> str:
    known = list(dict.fromkeys(_text(value) for value in values))
    more = len(known) - MOST_VALUES
    return ", ".join(known[:MOST_VALUES]) + (f" and {more} more" if more > 0 else "")


def _text(value: object) -> str:
    if isinstance(value, Radius):
        return f"{value.kilometres:g} km around {value.latitude}, {value.longitude}"
    return str(value)
