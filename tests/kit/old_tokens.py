"""Writes tokens of layout 2, as releases until October 2026 did, for tests of what reads them now."""

import base64
import hashlib
import hmac
import struct

_LAYOUT = struct.Struct("<BB?BIIIII8s3s8sI22sQQIIIH")


def old_token(
    key: bytes,
    *,
    key_id: int = 1,
    is_test: bool = False,
    share: int = 0,
    line_item_id: int,
    advertiser_id: int,
    campaign_id: int,
    creative_id: int,
    exchange_id: int,
    landing: bytes = bytes(8),
    currency: str = "PLN",
    request_id: str,
    issued_s: int,
    user_id: str = "",
    lease_id: int,
    reserved_micros: int,
    bid_groszes: int,
    second_groszes: int = 0,
    floor_groszes: int = 0,
    position: int = 0,
) -> str:
    """The text of a token of one bid; prices are groszes CPM."""
    auction = hashlib.blake2b(request_id.encode(), digest_size=8, salt=exchange_id.to_bytes(4, "little")).digest()
    packed = _LAYOUT.pack(
        2, key_id, is_test, share, line_item_id, advertiser_id, campaign_id, creative_id, exchange_id, landing,
        currency.encode(), auction, issued_s, user_id.encode(),
        lease_id, reserved_micros, bid_groszes, second_groszes, floor_groszes, position,
    )  # fmt: skip
    return base64.urlsafe_b64encode(packed + hmac.digest(key, packed, "sha256")[:12]).decode()
