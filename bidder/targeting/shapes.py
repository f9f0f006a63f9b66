"""Types of single targeted values, with their limits: what the API takes, and its OpenAPI document describes.

Patterns end in `$(?!\\n)`: Python's `$` alone also matches before a final line break, JSON Schema's does not.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from core.ids import MAX_ID

END = r"$(?!\n)"

# Text goes into logs, tables and HTML headers: no control characters and no other line ends (U+0085, U+2028, U+2029),
# and PostgreSQL cannot store NUL at all.
TEXT = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*" + END

Id = Annotated[int, Meta(ge=1, le=MAX_ID, description="Number of an object.")]
Domain = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?" + END,
        examples=["buty.example"],
    ),
]
Environment = Literal["site", "app", "dooh"]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{3}" + END, description="ISO 3166 alpha-3.", examples=["POL"])]
Region = Annotated[str, Meta(pattern=r"^[A-Z]{3}/[A-Z0-9]{1,8}" + END, examples=["POL/MZ"])]
LowerText = Annotated[
    str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7fA-Z]+" + END, description="Lower case.")
]
Bundle = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+" + END)]
Postcode = Annotated[str, Meta(pattern=r"^[a-z0-9]{1,12}" + END, description="Prefix, without spaces and dashes.")]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}" + END, examples=["pl"])]
PathPattern = Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^/[!-~]*" + END, examples=["/buty/*"])]
Keyword = Annotated[str, Meta(min_length=1, max_length=128, pattern=TEXT, examples=["szpilki"])]
Category = Annotated[
    str,
    Meta(pattern=r"^IAB[0-9]{1,2}(-[0-9]{1,2})?" + END, description="IAB Content Taxonomy 1.0.", examples=["IAB18-3"]),
]
HourOfWeek = Annotated[int, Meta(ge=0, le=167, description="0 is Monday 00:00-01:00 in the advertiser's time zone.")]
DeviceType = Annotated[int, Meta(ge=1, le=8)]
Connection = Annotated[int, Meta(ge=1, le=7)]
Position = Annotated[int, Meta(ge=0, le=7)]


class RadiusDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A circle on the earth."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    kilometres: Annotated[float, Meta(gt=0, le=20_040)]


Publisher = Annotated[str, Meta(min_length=1, max_length=255, pattern=TEXT, examples=["815", "demo/815"])]
Seller = Annotated[
    str,
    Meta(
        min_length=1, max_length=320, pattern=r"^[^\x00-\x20\x7f/]+(/[^\x00-\x1f\x7f]{1,64})?" + END,
        examples=["ssp.example", "ssp.example/4711"],
    ),
]  # fmt: skip
Token = Annotated[str, Meta(min_length=1, max_length=255, pattern=TEXT, examples=["/1234/news/top"])]
PlacementType = Annotated[int, Meta(ge=1, le=9)]
PodSlot = Annotated[int, Meta(ge=-1, le=2)]
PodBreak = Annotated[int, Meta(ge=-1, le=1)]
Flag = Annotated[int, Meta(ge=0, le=1)]
Venue = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[a-z0-9_.]+" + END, examples=["transit.airports"])]
