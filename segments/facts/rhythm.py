"""When somebody usually comes: the hour of the day around which most of their visits began, and how sure that is."""

import datetime
import itertools
import zoneinfo
from typing import Final

import msgspec

from segments.facts.facts import DAY_S, VISIT_GAP_S, Facts

# Habits change within a season: a visit counts half after four weeks.
HALF_LIFE_S: Final = 28 * DAY_S
# An hour to each side is the same habit.
NEAR_HOURS: Final = 1
# So many visits at no hour in particular are added to the seen ones: one visit alone says little.
DOUBT: Final = 3.0
HOURS: Final = 24


class UsualHour(msgspec.Struct, frozen=True):
    """`hour` 0 to 23 of the shop's time zone.

    `confidence` is the share of visits, the newer ones weighing more, that began within an hour of it, with DOUBT
    visits that might have been at any time: .25 after one visit, towards 1 for somebody who always comes then.
    `minute` is the middle one of the minutes at which visits of that hour began.
    """

    hour: int
    confidence: float
    visits: int
    minute: int = 0


def visit_starts(facts: Facts) -> list[int]:
    """Unix seconds at which the visits began that the facts still tell of, oldest first.

    Everything in the profile that has a time counts as a sign; a visit begins after VISIT_GAP_S without one.
    """
    moments = sorted({
        *(entry.at_s for entry in facts.entries), *(product.seen_s for product in facts.products),
        *(page.at_s for page in facts.paths), *(search.at_s for search in facts.searches),
        *(order.at_s for order in facts.orders), *facts.events.values(),
    } - {0})  # fmt: skip
    if not moments:
        return []
    return [moments[0], *(later for before, later in itertools.pairwise(moments) if later - before > VISIT_GAP_S)]


def usual_hour(facts: Facts, timezone: str, now_s: int) -> UsualHour | None:
    """The hour, of the zone of a name such as Europe/Warsaw; None where no visit is known."""
    starts = visit_starts(facts)
    if not starts:
        return None
    zone = zoneinfo.ZoneInfo(timezone)
    weights = [0.0] * HOURS
    minutes: list[list[int]] = [[] for _ in range(HOURS)]
    for start in starts:
        local = datetime.datetime.fromtimestamp(start, zone)
        weights[local.hour] += 0.5 ** (max(0, now_s - start) / HALF_LIFE_S)
        minutes[local.hour].append(local.minute)
    near = [sum(weights[(hour + by) % HOURS] for by in range(-NEAR_HOURS, NEAR_HOURS + 1)) for hour in range(HOURS)]
    best = max(range(HOURS), key=lambda hour: (round(near[hour], 6), round(weights[hour], 6), -hour))
    total = sum(weights)
    # Old visits alone are no habit any more, but as many of them say as much about the hour as they ever did.
    share = near[best] / total
    confidence = round(share * len(starts) / (len(starts) + DOUBT), 3)
    own = sorted(minutes[best])
    return UsualHour(best, confidence, len(starts), own[len(own) // 2] if own else 0)


def next_at_hour(hour: int, timezone: str, from_s: int, minute: int = 0) -> int:
    """The first moment (unix seconds) from `from_s` on within that hour of the zone's day, from its `minute` on."""
    zone = zoneinfo.ZoneInfo(timezone)
    local = datetime.datetime.fromtimestamp(from_s, zone)
    if local.hour == hour and local.minute >= minute:
        return from_s
    day = local.date() + datetime.timedelta(days=int(local.hour > hour))
    wanted = datetime.datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
    return int(wanted.timestamp())
