"""Days of a time zone, of 23, 24 or 25 hours: what daily budgets count, and what they are spread over."""

import datetime
import zoneinfo

_EPOCH = datetime.date(1970, 1, 1)


def local_date(zone: zoneinfo.ZoneInfo, now_ms: int) -> datetime.date:
    return datetime.datetime.fromtimestamp(now_ms / 1000, zone).date()


def number_of(date: datetime.date) -> int:
    """Days since 1970, as levels and lease ids have them."""
    return (date - _EPOCH).days


def starts_ms(zone: zoneinfo.ZoneInfo, date: datetime.date) -> int:
    """Unix ms of the day's midnight; where the clocks skip midnight, of the moment at which they skip it."""
    return round(datetime.datetime(date.year, date.month, date.day, tzinfo=zone).timestamp() * 1000)
