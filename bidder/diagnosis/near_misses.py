"""By how much, and until when: the details of reasons that the clock decides, for explanations.

Targeting and prices have their numbers at hand where they are judged; flights and hours of the week are judged for all
line items at once each second (bidder/targeting/eligible_now.py), so what is near them is worked out here, for one
line item.
"""

import datetime
import zoneinfo

from bidder.targeting.index import Index
from core.moments import moment_text
from core.reasons import NoBid

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
    """The hour that it is for the advertiser, and the next one that is targeted."""
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
