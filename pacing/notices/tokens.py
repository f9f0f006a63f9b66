"""Signed tokens: what a notice must say about the bid it belongs to, carried by the notice itself.

No store of open bids exists. Everything a settlement needs (which lease, how much was reserved, the rival price for
house clearing, which user's caps) travels in the tracking URLs, so a tracker can settle a bid that it never saw and
an exchange can change none of it. The layout is fixed and binary: 99 bytes of claims and 12 bytes of HMAC-SHA256 give
148 characters of base64url without padding, so every character counts and each token has one spelling only.
"""

import binascii
import enum
import functools
import hashlib
import hmac
import re
import struct
from collections.abc import Mapping

import msgspec

from core.errors import ConfigError, InputError
from core.money import GROSZ_CPM_MICROS
from pacing.budgets.timing import DEFAULT_MAX_AGE_S, MAX_CLOCK_SKEW_S

FORMAT = 2  # 1 had the members in another order

# 96 bits: a forger who sends 10,000 tokens a second for a thousand years has a chance of 1 in 10^14.
MAC_BYTES = 12

# The hash's block; a longer key is hashed first by the HMAC rules, which the prepared states below do not do.
MAX_KEY_BYTES = 64

# Shorter than this, the key is the weakest part of the token.
MIN_KEY_BYTES = 16

USER_FIELD_BYTES = 22

# What is the same for all bids of a creative, for all bids of an auction, and what belongs to one bid.
_OFFER, _AUCTION, _BID = "BB?BIIIII8s", "3s8sI22s", "QQIIIH"
_LAYOUT = struct.Struct(f"<{_OFFER}{_AUCTION}{_BID}")
_pack_offer = struct.Struct(f"<{_OFFER}").pack
_pack_auction = struct.Struct(f"<{_AUCTION}").pack
_pack_bid = struct.Struct(f"<{_BID}").pack
_PACKED_BYTES = _LAYOUT.size
TOKEN_CHARS = (_PACKED_BYTES + MAC_BYTES) * 4 // 3

_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_URL_SAFE = re.compile(rb"[A-Za-z0-9_-]+")
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class TokenFault(enum.StrEnum):
    """Why a token is refused; also the metric label."""

    MALFORMED = "malformed"  # not the right length or alphabet
    UNKNOWN_KEY = "unknown_key"  # signed with a key that was rotated out, or by somebody else
    FORGED = "forged"  # the signature does not fit the claims
    EXPIRED = "expired"
    FROM_THE_FUTURE = "from_the_future"  # issued further ahead than clocks may differ


class Claims(msgspec.Struct, frozen=True):
    """One bid on one impression.

    `*_cpm` are CPM micros of the auction's currency; `bid_cpm` lies on the grosz grid, and rival prices are lifted to
    it, which changes no house clearing price. `reserved_micros` is what one impression at the full bid costs in the
    advertiser's currency: together with `bid_cpm` it fixes the exchange rate of the settlement at the bid's.
    """

    share: int  # 0: the general budget; n: the n-th budget share
    line_item_id: int
    advertiser_id: int
    campaign_id: int
    creative_id: int
    exchange_id: int
    lease_id: int
    reserved_micros: int
    bid_cpm: int
    second_cpm: int  # the best rival bid of our own in the same auction; 0 without one
    floor_cpm: int
    currency: str
    auction: bytes  # 8 bytes, `auction_digest`
    position: int  # of the impression in the request
    issued_s: int
    user_id: str = ""  # "" where the user may not be identified
    landing: bytes = bytes(8)  # `landing_digest` of the only URL that the click may go to
    is_test: bool = False


class TokenError(InputError):
    """A token that is refused. `claims` is set only for one that is genuine but expired."""

    def __init__(self, fault: TokenFault, claims: Claims | None = None) -> None:
        super().__init__(f"token is refused: {fault.value.replace('_', ' ')}")
        self.fault = fault
        self.claims = claims


def auction_digest(exchange_id: int, request_id: str) -> bytes:
    """8 bytes that name an auction: request ids are unique to one exchange only."""
    state = _exchange_state(exchange_id).copy()  # half the cost of a fresh hash
    state.update(request_id.encode())
    return state.digest()


@functools.lru_cache(maxsize=1024)
def _exchange_state(exchange_id: int) -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=8, salt=exchange_id.to_bytes(4, "little"))


def auction_part(currency: str, auction: bytes, issued_s: int, user_id: str) -> bytes:
    """What the tokens of one auction have in common; see `Claims` for the members."""
    return _pack_auction(currency.encode(), auction, issued_s, user_id.encode())


def landing_digest(url: str) -> bytes:
    """8 bytes that pin the landing page of a click."""
    return hashlib.blake2b(url.encode(), digest_size=8).digest()


class TokenSigner:
    """Signs with the newest key, accepts every key it was given.

    `keys` maps a key id (0-255) to its secret (16 to 64 bytes); `signing_key_id` is the one that signs, the highest
    by default. Rotation: add a key everywhere, then sign with it, then drop the old one after `max_age_s`.
    """

    __slots__ = ("_inner", "_key_id", "_max_age_s", "_outer", "_states")

    def __init__(
        self, keys: Mapping[int, bytes], *, signing_key_id: int | None = None, max_age_s: int = DEFAULT_MAX_AGE_S
    ) -> None:
        if not keys:
            raise ConfigError("no token key is set", hint="set money.token_keys, e.g. with `openssl rand -hex 32`")
        for key_id, key in keys.items():
            if not 0 <= key_id <= 255 or not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
                raise ConfigError(f"token key {key_id} must have an id of 0-255 and a secret of 16 to 64 bytes")
        current = max(keys) if signing_key_id is None else signing_key_id
        if current not in keys:
            raise ConfigError(f"token key {current} should sign but has no secret")
        # Hash states with the padded key already in: hmac.digest() costs 4.8 us for 99 bytes, two copies cost 1.7 us.
        self._states = {
            key_id: (
                hashlib.sha256(key.ljust(MAX_KEY_BYTES, b"\0").translate(_INNER_PAD)),
                hashlib.sha256(key.ljust(MAX_KEY_BYTES, b"\0").translate(_OUTER_PAD)),
            )
            for key_id, key in keys.items()
        }
        self._key_id = current
        self._inner, self._outer = self._states[current]
        self._max_age_s = max_age_s

    def sign(self, claims: Claims) -> bytes:
        """The token's ASCII text. Raises `struct.error` for a claim that does not fit its field."""
        offer = self.offer_part(
            is_test=claims.is_test,
            share=claims.share,
            line_item_id=claims.line_item_id,
            advertiser_id=claims.advertiser_id,
            campaign_id=claims.campaign_id,
            creative_id=claims.creative_id,
            exchange_id=claims.exchange_id,
            landing=claims.landing,
        )
        return self.sign_parts(
            offer,
            auction_part(claims.currency, claims.auction, claims.issued_s, claims.user_id),
            lease_id=claims.lease_id,
            reserved_micros=claims.reserved_micros,
            bid_cpm=claims.bid_cpm,
            second_cpm=claims.second_cpm,
            floor_cpm=claims.floor_cpm,
            position=claims.position,
        )

    def offer_part(
        self,
        *,
        is_test: bool,
        share: int,
        line_item_id: int,
        advertiser_id: int,
        campaign_id: int,
        creative_id: int,
        exchange_id: int,
        landing: bytes,
    ) -> bytes:
        """What the tokens of one line item with one creative have in common on one exchange."""
        return _pack_offer(
            FORMAT, self._key_id, is_test, share, line_item_id, advertiser_id, campaign_id, creative_id, exchange_id,
            landing,
        )  # fmt: skip

    def sign_parts(
        self,
        offer: bytes,
        auction: bytes,
        *,
        lease_id: int,
        reserved_micros: int,
        bid_cpm: int,
        second_cpm: int,
        floor_cpm: int,
        position: int,
    ) -> bytes:
        """`sign` for the bid path, which packs what many bids have in common once: `offer_part`, `auction_part`."""
        packed = (
            offer
            + auction
            + _pack_bid(
                lease_id,
                reserved_micros,
                bid_cpm // GROSZ_CPM_MICROS,
                -(-second_cpm // GROSZ_CPM_MICROS),
                -(-floor_cpm // GROSZ_CPM_MICROS),
                position,
            )
        )
        inner = self._inner.copy()
        inner.update(packed)
        outer = self._outer.copy()
        outer.update(inner.digest())
        text = binascii.b2a_base64(packed + outer.digest()[:MAC_BYTES], newline=False)
        return text.replace(b"+", b"-").replace(b"/", b"_")  # half the cost of translate()

    def verify(self, text: str | bytes, now_s: int) -> Claims:
        """What the token says. Raises TokenError unless it is genuine and in date."""
        packed, mac = _split(text)
        states = self._states.get(packed[1])
        if states is None or packed[0] != FORMAT:
            raise TokenError(TokenFault.UNKNOWN_KEY)
        inner, outer = states[0].copy(), states[1].copy()
        inner.update(packed)
        outer.update(inner.digest())
        if not hmac.compare_digest(outer.digest()[:MAC_BYTES], mac):
            raise TokenError(TokenFault.FORGED)
        claims = _unpack(packed)
        if claims.issued_s > now_s + MAX_CLOCK_SKEW_S:
            raise TokenError(TokenFault.FROM_THE_FUTURE)
        if claims.issued_s + self._max_age_s < now_s:
            raise TokenError(TokenFault.EXPIRED, claims)
        return claims


def _split(text: str | bytes) -> tuple[bytes, bytes]:
    try:
        raw = text.encode("ascii") if isinstance(text, str) else text
    except UnicodeEncodeError:
        raise TokenError(TokenFault.MALFORMED) from None
    # The pattern is needed: base64 decoders skip what they do not know, which would give a token many spellings.
    if len(raw) != TOKEN_CHARS or _URL_SAFE.fullmatch(raw) is None:
        raise TokenError(TokenFault.MALFORMED)
    packed = binascii.a2b_base64(raw.translate(_FROM_URL_SAFE))
    return packed[:_PACKED_BYTES], packed[_PACKED_BYTES:]


def _unpack(packed: bytes) -> Claims:
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
        auction=auction,
        position=position,
        issued_s=issued_s,
        user_id=user.rstrip(b"\0").decode(),
        landing=landing,
        is_test=is_test,
    )
