"""Types of single fields, with their limits. The same annotations validate input and make the OpenAPI document.

Patterns end in `$(?!\\n)`: Python's `$` alone also matches before a final line break, JSON Schema's does not.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from bidder.targeting.field import MAX_LIST as MAX_LIST
from bidder.targeting.shapes import END as END
from bidder.targeting.shapes import TEXT as TEXT
from bidder.targeting.shapes import Category as Category
from bidder.targeting.shapes import Id as Id
from bidder.targeting.shapes import Seller as Seller
from core.dialects import DIALECTS, GENERIC

PROSE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*" + END
Name = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=TEXT, description="Name for people.", examples=["Autumn"])
]
ShortText = Annotated[str, Meta(max_length=255, pattern=TEXT)]
ExternalId = Annotated[
    str, Meta(max_length=191, pattern=TEXT, description="Your own id; unique among your objects of the kind.")
]
Notes = Annotated[str, Meta(max_length=4000, pattern=PROSE, description="Free text for people.")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}" + END, description="ISO 4217 code.", examples=["PLN"])]
Timezone = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=TEXT, description="IANA time zone.", examples=["Europe/Warsaw"])
]
OptionalDomain = Annotated[
    str,
    Meta(max_length=253, pattern=r"^(([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?)?" + END),
]
# As a browser sends it: no path and no slash.
Origin = Annotated[
    str,
    Meta(
        max_length=270,
        pattern=r"^https?://([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?(:[1-9][0-9]{0,4})?" + END,
        description="Scheme, host in lower case and, where it is unusual, port.",
        examples=["https://m.shop.example"],
    ),
]
# What the Digital Services Act's extension of OpenRTB has room for.
Transparency = Annotated[
    str,
    Meta(
        max_length=100, pattern=TEXT,
        description="Name for `bid.ext.dsa`; without one no ad answers requests that ask for it.",
    ),
]  # fmt: skip
ListValue = Annotated[str, Meta(min_length=1, max_length=320, pattern=TEXT)]
HeaderName = Annotated[
    str, Meta(max_length=64, pattern=r"^([Xx]-[A-Za-z0-9-]{1,62})?" + END, description="A header beginning with X-.")
]
Network = Annotated[
    str, Meta(max_length=49, pattern=r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?" + END, examples=["203.0.113.0/24"])
]
Inventory = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+" + END, examples=["mfa.example"])]
UserIdSource = Annotated[
    str,
    Meta(
        min_length=3, max_length=255, pattern=r"^(ifa|(eids|data):[^\sA-Z]{1,250})" + END,
        description="Where bid requests have the id that cookie sync binds: ifa, eids:SOURCE or data:PROVIDER.",
        examples=["eids:ssp.example"],
    ),
]  # fmt: skip
Url = Annotated[
    str, Meta(max_length=2048, pattern=r"^(https?://[!-~]+)?" + END, description="Absolute http or https URL.")
]
RequiredUrl = Annotated[
    str, Meta(max_length=2048, pattern=r"^https?://[!-~]+" + END, description="Absolute http or https URL.")
]
ImageUrl = Annotated[
    str,
    Meta(
        max_length=65_536,
        pattern=r"^(https?://[!-~]+|data:image/[!-~]+)?" + END,
        description="http, https or data URL of an image.",
    ),
]
# One ad is sent in every bid: exchanges commonly refuse answers above 64 KiB.
PictureUrl = Annotated[
    str,
    Meta(
        max_length=8_192,
        pattern=r"^(https?://[!-~]+|data:image/[!-~]+)" + END,
        description="http, https or data URL of an image.",
    ),
]
FrameUrl = Annotated[
    str,
    Meta(
        max_length=2048,
        pattern=r"^(https?://[!-~]+)?" + END,
        description="Page to show in a frame; macros such as ${CLICK_URL_ENC} are filled in, percent-encoded.",
    ),
]
Pixels = Annotated[int, Meta(ge=1, le=10_000)]
OptionalMime = Annotated[
    str, Meta(max_length=100, pattern=r"^([a-z0-9.+-]+/[a-z0-9.+-]+)?" + END, examples=["image/png"])
]
MediaMime = Annotated[
    str, Meta(max_length=100, pattern=r"^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+" + END, examples=["video/mp4"])
]
NativeText = Annotated[str, Meta(min_length=1, max_length=500, pattern=TEXT)]
Markup = Annotated[
    str, Meta(max_length=65_536, pattern=PROSE, description="HTML of the ad, with macros such as {CLICK_URL}.")
]

# Twelve digits of units and six decimals stay within a signed 64-bit number of micros.
AMOUNT = r"^[0-9]{1,12}(\.[0-9]{1,6})?" + END
Decimal = Annotated[
    str, Meta(pattern=AMOUNT, description="Decimal number with six decimals at most.", examples=["12.50"])
]
# Prices of a thousand impressions lie on the grosz grid (0.01) and below a million (core.money.MAX_CPM_MICROS).
PriceDecimal = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,6}(\.[0-9]{1,2})?" + END, description="Price with two decimals at most.", examples=["4.20"]
    ),
]


class Amount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount of money. The currency is the advertiser's; when it is left out, that one is meant."""

    amount: Decimal
    currency: Currency | None = None


# What a correction gives back, and so what was spent after one, may be below zero.
SignedDecimal = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,6})?" + END,
        description="Decimal number with six decimals at most, below zero where something was given back.",
        examples=["-1.50"],
    ),
]


class Balance(msgspec.Struct, frozen=True):
    """An amount of money that may be below zero."""

    amount: SignedDecimal
    currency: Currency


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price of a thousand impressions. The currency is the advertiser's; when it is left out, that one is meant."""

    amount: PriceDecimal
    currency: Currency | None = None


Percent = Annotated[int, Meta(ge=1, le=100)]
Seconds = Annotated[int, Meta(ge=0, le=31_536_000, description="Seconds, a year at most.")]
# Ten years: a longer time is a mistake in the unit.
Days = Annotated[int, Meta(ge=0, le=3_650)]
PositiveCount = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]

OptionalLanguage = Annotated[str, Meta(pattern=r"^([a-z]{2,3})?" + END)]
ListCode = Annotated[int, Meta(ge=1, le=999)]
ExchangeKey = Annotated[
    str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}" + END, description="Name in the bid URL.", examples=["demo"])
]
DialectName = Annotated[
    str,
    Meta(
        pattern="^(" + "|".join(DIALECTS) + ")" + END,
        description="How the exchange speaks OpenRTB (docs/dialects.md): " + ", ".join(DIALECTS) + ".",
        examples=[GENERIC],
    ),
]
Email = Annotated[str, Meta(max_length=254, pattern=r"^[^\s@\x00-\x20\x7f]+@[^\s@\x00-\x20\x7f]+" + END)]
MailRecipient = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=r"^([^\s@\x00-\x20\x7f]+@[^\s@\x00-\x20\x7f]+)?" + END,
        description="Instead of a URL: an address that has agreed to mails of this advertiser.",
    ),
]
# Twelve characters is what password guidance asks of a secret without further rules; the upper bound is argon2's work.
Password = Annotated[str, Meta(min_length=12, max_length=256, description="Write-only.")]
Secret = Annotated[str, Meta(max_length=512, pattern=r"^[!-~]*" + END, description="Write-only: read back as '***'.")]
SecretUrl = Annotated[
    str,
    Meta(
        max_length=2048,
        pattern=r"^(\*\*\*|https?://[!-~]+)?" + END,
        description="The whole address where `url` masks a part of it. Read back as '***'; need not be written.",
    ),
]
OptionalCurrency = Annotated[str, Meta(pattern=r"^([A-Z]{3})?" + END, description="ISO 4217 code, or empty.")]
