"""Tokens of layout 2, which releases until October 2026 wrote: read until the last of them has expired.

Who reads them may settle bids that were out during an upgrade; nobody writes them any more (docs/tokens.md).
"""

import struct
from typing import Final

from core.money import GROSZ_CPM_MICROS
from pacing.notices.claims import Claims

LAYOUT: Final = 2

_LAYOUT: Final = struct.Struct("<BB?BIIIII8s3s8sI22sQQIIIH")
PACKED_BYTES: Final = _LAYOUT.size


def unpack(packed: bytes) -> Claims:
    """The claims of a token whose signature has been verified."""
    (
        _, _, is_test, share, line_item, advertiser, campaign, creative, exchange, landing,
        currency, auction, issued_s, user,
        lease, reserved, bid, second, floor, position,
    ) = _LAYOUT.unpack(packed)  # fmt: skip
    return Claims(
        share=share,
        line_item_id=line_item,
        advertiser_id=advertiser,
        campaign_id=campaign,
        creative_id=creative,
        exchange_id=exchange,
        lease_id=lease,
        reserved_micros=reserved,
        bid_cpm=bid * GROSZ_CPM_MICROS,
        second_cpm=second * GROSZ_CPM_MICROS,
        floor_cpm=floor * GROSZ_CPM_MICROS,
        currency=currency.decode(),
        issued_s=issued_s,
        user_id=user.rstrip(b"\0").decode(),
        landing=landing,
        is_test=is_test,
        auction=auction,
        position=position,
    )
