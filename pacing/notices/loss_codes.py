"""Loss reason codes of OpenRTB in words (AdCOM list "Loss Reason Codes"; 2.x section 5.25), for readers of funnels."""

from typing import Final

LOSS_TEXTS: Final[dict[int, str]] = {
    0: "bid won",
    1: "internal error of the exchange",
    2: "the impression expired",
    3: "invalid bid response",
    4: "invalid deal id",
    5: "invalid auction id",
    6: "advertiser domain is malformed",
    7: "markup is missing",
    8: "creative id is missing",
    9: "price is missing",
    10: "creative lacks data for its approval",
    100: "below the auction floor",
    101: "below the deal's floor",
    102: "lost to a higher bid",
    103: "lost to a bid on a deal",
    104: "our seat is blocked",
    200: "creative filtered, reason unknown",
    201: "creative is still to be approved by the exchange",
    202: "creative was disapproved by the exchange",
    203: "creative's size is not allowed",
    204: "creative's format is wrong",
    205: "advertiser is excluded",
    206: "app is excluded",
    207: "creative is not secure (https)",
    208: "creative's language is excluded",
    209: "creative's category is excluded",
    210: "creative's attribute is excluded",
    211: "ad type is excluded",
    212: "animation is too long",
    213: "creative is not allowed in the deal",
}

# Codes from 1,000 on are agreements between an exchange and its bidders.
FIRST_OWN_CODE: Final = 1_000


def loss_text(code: str) -> str:
    """What an exchange means by a code; codes of its own have no common meaning."""
    if code.isascii() and code.isdigit():
        return LOSS_TEXTS.get(int(code), "see the exchange's documentation")
    return "no code, or one that is not a number"
