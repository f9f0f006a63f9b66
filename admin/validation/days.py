"""Days between the books, which number them from 1970-01-01, and people, who read and write dates.

A day of the books is one in the advertiser's time zone.
"""

import datetime
from typing import Annotated, Final

from msgspec import Meta

_EPOCH: Final = datetime.date(1970, 1, 1)

Day = Annotated[datetime.date, Meta(description="A day, such as 2026-11-01.", examples=["2026-11-01"])]


def date_of(day: int) -> datetime.date:
    """The date of a day of the books."""
    return _EPOCH + datetime.timedelta(days=day)


def number_of(date: datetime.date) -> int:
    """The day of the books of a date; negative before 1970, when no book has rows."""
    return (date - _EPOCH).days
