"""Signed tokens: what a notice must say about the bid it belongs to, carried by the notice itself.

No store of open bids exists. Everything a settlement needs (which lease, how much was reserved, the rival price for
house clearing, by which event and rule the exchange bills, which user's caps) travels in the tracking URLs, so a
tracker can settle a bid that it never saw, and an exchange can change none of it. The layout is fixed and binary: 108
bytes of claims and 12 bytes of keyed BLAKE2b give 160 characters of base64url without padding, so every character
counts and each token has one spelling only. docs/tokens.md has it byte by byte.
"""

import base64
import binascii
import enum
import hashlib
import hmac
import itertools
import re
import secrets
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from core.errors import ConfigError, InputError
from core.model import AuctionType
from core.money import GROSZ_CPM_MICROS
from core.terms import FORMATS_BY_NUMBER
from pacing.budgets.timing import DEFAULT_MAX_AGE_S, MAX_CLOCK_SKEW_S
from pacing.ledger.rows import NOT_SHADED
from pacing.notices import token_before
from pacing.notices.claims import (
    NO_MULTIPLIER,
    Claims,
    Terms,
    decode_terms,
    encode_terms,
)

LAYOUT: Final = 3

# 96 bits: a forger who sends 10,000 tokens a second for a thousand years has a chance of 1 in 10^14.
MAC_BYTES = 12

# The block of SHA-256, and the longest key of BLAKE2b. The rules of HMAC would hash a longer key first, which the
# prepared states below do not do.
MAX_KEY_BYTES = 64

# Shorter than this, the key is the weakest part of the token.
MIN_KEY_BYTES = 16

USER_FIELD_BYTES = 22

# The fields that are the same for all bids of a creative, those of an auction, and those of one bid.
_OFFER, _AUCTION, _BID = "BBBBBHIIIII8s", "3sI22s", "QQQIIIBBIH"
_LAYOUT = struct.Struct(f"<{_OFFER}{_AUCTION}{_BID}")
_pack_offer = struct.Struct(f"<{_OFFER}").pack
_pack_auction = struct.Struct(f"<{_AUCTION}").pack
_pack_bid = struct.Struct(f"<{_BID}").pack
TOKEN_CHARS = (_LAYOUT.size + MAC_BYTES) * 4 // 3

# BLAKE2b's `person`: another use of these keys has another one, so its signatures are no tokens.
_PERSON: Final = b"grosz token"

# Prefixes of other texts that are signed with these keys: no token begins with them.
_CLICK: Final = b"\0click"
_PICTURE: Final = b"\0picture"
_PICTURE_HEAD: Final = struct.Struct("<BHH")  # key id, width and height

# A process's nonces are a random number of this many bits and multiples of a random odd step: two processes meet by
# chance alone, and two tokens do not show how many bids lie between them. 64 bits hold 10^11 bids of one process.
_FIRST_NONCE_BITS, _NONCE_STEP_BITS = 63, 26

_AUCTION_TYPES: Final = {int(each): each for each in AuctionType}

_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_URL_SAFE = re.compile(rb"[A-Za-z0-9_-]+")
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class TokenFault(enum.StrEnum):
    """Why a token is refused; also the metric label."""

    MALFORMED = "malformed"  # not the right length or alphabet
    UNKNOWN_KEY = "unknown_key"  # signed with an unknown key (rotated out, or not ours), or of a later layout
    FORGED = "forged"  # the signature does not fit the claims
    EXPIRED = "expired"
    FROM_THE_FUTURE = "from_the_future"  # issued further ahead than clocks may differ


class TokenError(InputError):
    """A token that is refused. `claims` is set only for one that is genuine but expired."""

    def __init__(self, fault: TokenFault, claims: Claims | None = None) -> None:
        super().__init__(f"token is refused: {fault.value.replace('_', ' ')}")
        self.fault = fault
        self.claims = claims


class SignedPicture(NamedTuple):
    """A picture of a feed that an ad may show, and the size of its place in the ad (pixels)."""

    width: int
    height: int
    url: str


def auction_part(currency: str, issued_s: int, user_id: str) -> bytes:
    """The bytes that the tokens of one auction have in common; see `Claims` for the members."""
    return _pack_auction(currency.encode(), issued_s, user_id.encode())


_HOW_TO_SET = (
    "set money.token_keys (GROSZ_MONEY_TOKEN_KEYS) to the same table on every bidder and tracker: "
    '{"1": "..."} with what `openssl rand -hex 32` prints'
)


class TokenSigner:
    """Signs with the newest key, accepts every key it was given.

    `keys` maps a key id (0-255) to its secret (16 to 64 bytes); `signing_key_id` is the one that signs, the highest
    by default. Rotation: add a key everywhere, then sign with it, then drop the old one after `max_age_s`.
    `nonces` yields one for each bid.
    """

    __slots__ = ("_key_id", "_max_age_s", "_signing", "_signs", "_states", "nonces")

    def __init__(
        self, keys: Mapping[int, bytes], *, signing_key_id: int | None = None, max_age_s: int = DEFAULT_MAX_AGE_S
    ) -> None:
        if not keys:
            raise ConfigError("no token key is set", hint=_HOW_TO_SET)
        for key_id, key in keys.items():
            if not 0 <= key_id <= 255 or not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
                raise ConfigError(f"token key {key_id} must have an id of 0-255 and a secret of 16 to 64 bytes")
        current = max(keys) if signing_key_id is None else signing_key_id
        if current not in keys:
            raise ConfigError(f"token key {current} should sign but has no secret")
        # BLAKE2b is made to take a key (RFC 7693): one pass over the claims, 0.9 us with the key already in, where HMAC
        # needs two hashes and 2.2 us.
        self._signing = {
            key_id: hashlib.blake2b(key=key, digest_size=MAC_BYTES, person=_PERSON) for key_id, key in keys.items()
        }
        # HMAC-SHA256, of tokens of layout 2 and of clicks on one of several products.
        self._states = {
            key_id: (
                hashlib.sha256(key.ljust(MAX_KEY_BYTES, b"\0").translate(_INNER_PAD)),
                hashlib.sha256(key.ljust(MAX_KEY_BYTES, b"\0").translate(_OUTER_PAD)),
            )
            for key_id, key in keys.items()
        }
        self._key_id = current
        self._signs = self._signing[current]
        self._max_age_s = max_age_s
        step = 2 * secrets.randbits(_NONCE_STEP_BITS - 1) + 1
        self.nonces: Iterator[int] = itertools.count(secrets.randbits(_FIRST_NONCE_BITS), step)

    def sign(self, claims: Claims) -> bytes:
        """The token's ASCII text. Raises `struct.error` for a claim that does not fit its field."""
        offer = self.offer_part(
            terms=claims.terms or Terms(),
            is_test=claims.is_test,
            share=claims.share,
            line_item_id=claims.line_item_id,
            advertiser_id=claims.advertiser_id,
            campaign_id=claims.campaign_id,
            creative_id=claims.creative_id,
            exchange_id=claims.exchange_id,
            landing=claims.landing,
            markup=claims.format,
            model_version=claims.model_version,
        )
        return self.sign_parts(
            offer,
            auction_part(claims.currency, claims.issued_s, claims.user_id),
            nonce=claims.nonce,
            lease_id=claims.lease_id,
            reserved_micros=claims.reserved_micros,
            bid_cpm=claims.bid_cpm,
            second_cpm=claims.second_cpm,
            floor_cpm=claims.floor_cpm,
            auction_type=claims.auction_type,
            arm=claims.arm,
            multiplier_milli=claims.multiplier_milli,
            shading=claims.shading,
        )

    def offer_part(
        self,
        *,
        terms: Terms,
        is_test: bool,
        share: int,
        line_item_id: int,
        advertiser_id: int,
        campaign_id: int,
        creative_id: int,
        exchange_id: int,
        landing: bytes,
        markup: str,
        model_version: int,
    ) -> bytes:
        """The bytes that the tokens of one line item with one creative have in common on one exchange.

        `markup` is the format; one that is not in FORMATS_BY_NUMBER is written as the unknown one.
        """
        number = FORMATS_BY_NUMBER.index(markup) if markup in FORMATS_BY_NUMBER else 0
        return _pack_offer(
            LAYOUT, self._key_id, encode_terms(terms, is_test=is_test), share, number, model_version,
            line_item_id, advertiser_id, campaign_id, creative_id, exchange_id, landing,
        )  # fmt: skip

    def sign_parts(
        self,
        offer: bytes,
        auction: bytes,
        *,
        nonce: int,
        lease_id: int,
        reserved_micros: int,
        bid_cpm: int,
        second_cpm: int,
        floor_cpm: int,
        auction_type: int,
        arm: int = 0,
        multiplier_milli: int = NO_MULTIPLIER,
        shading: int = NOT_SHADED,
    ) -> bytes:
        """`sign` for the bid path, which packs what many bids have in common once: `offer_part`, `auction_part`."""
        packed = (
            offer
            + auction
            + _pack_bid(
                nonce,
                lease_id,
                reserved_micros,
                bid_cpm // GROSZ_CPM_MICROS,
                -(-second_cpm // GROSZ_CPM_MICROS),
                -(-floor_cpm // GROSZ_CPM_MICROS),
                auction_type,
                arm,
                multiplier_milli,
                shading,
            )
        )
        mac = self._signs.copy()
        mac.update(packed)
        text = binascii.b2a_base64(packed + mac.digest(), newline=False)
        return text.replace(b"+", b"-").replace(b"/", b"_")  # half the cost of translate()

    def verify(self, text: str | bytes, now_s: int) -> Claims:
        """The claims of a token. Raises TokenError unless it is genuine and in date."""
        unpack, packed, mac = _split(text)
        key_id = packed[1]
        if key_id not in self._states:
            raise TokenError(TokenFault.UNKNOWN_KEY)
        expected = self._mac(key_id, packed) if packed[0] == LAYOUT else _mac(self._states[key_id], packed)
        if not hmac.compare_digest(expected, mac):
            raise TokenError(TokenFault.FORGED)
        try:
            claims = unpack(packed)
        except ValueError:  # it is genuine, and of a later release that shares our keys
            raise TokenError(TokenFault.UNKNOWN_KEY) from None
        if claims.issued_s > now_s + MAX_CLOCK_SKEW_S:
            raise TokenError(TokenFault.FROM_THE_FUTURE)
        if claims.issued_s + self._max_age_s < now_s:
            raise TokenError(TokenFault.EXPIRED, claims)
        return claims

    def _mac(self, key_id: int, packed: bytes) -> bytes:
        mac = self._signing[key_id].copy()
        mac.update(packed)
        return mac.digest()

    def sign_click(self, nonce: int, product_id: str, url: str) -> str:
        """16 characters that make `url` a landing page of this bid's ad, for a click on this product in it.

        A token pins one page; an ad that shows several products has links of which each is signed by itself.
        """
        return _signed_click(self._states[self._key_id], nonce, product_id, url).decode()

    def is_signed_click(self, nonce: int, product_id: str, url: str, signature: str) -> bool:
        """Whether `signature` comes from `sign_click` with one of the keys."""
        given = signature.encode("utf-8", "replace")
        return any(
            hmac.compare_digest(_signed_click(states, nonce, product_id, url), given)
            for states in self._states.values()
        )

    def sign_picture(self, width: int, height: int, url: str) -> str:
        """The text by which the tracker serves one picture of a feed in one size; it is the same each time."""
        head = _PICTURE_HEAD.pack(self._key_id, width, height)
        data = head + url.encode("utf-8", "surrogatepass")
        mac = _mac(self._states[self._key_id], _PICTURE + data)
        return base64.urlsafe_b64encode(mac + data).rstrip(b"=").decode()

    def read_picture(self, text: str) -> SignedPicture | None:
        """The picture that `sign_picture` signed with one of the keys; None for any other text."""
        try:
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
            mac, data = raw[:MAC_BYTES], raw[MAC_BYTES:]
            key_id, width, height = _PICTURE_HEAD.unpack_from(data)
            states = self._states[key_id]
            url = data[_PICTURE_HEAD.size :].decode()
        except (ValueError, struct.error, KeyError):  # UnicodeError and binascii.Error are ValueErrors
            return None
        return SignedPicture(width, height, url) if hmac.compare_digest(_mac(states, _PICTURE + data), mac) else None


_States = tuple["hashlib._Hash", "hashlib._Hash"]
_Unpack = Callable[[bytes], Claims]


def _mac(states: _States, data: bytes) -> bytes:
    inner, outer = states[0].copy(), states[1].copy()
    inner.update(data)
    outer.update(inner.digest())
    return outer.digest()[:MAC_BYTES]


def _signed_click(states: _States, nonce: int, product_id: str, url: str) -> bytes:
    product = product_id.encode("utf-8", "surrogatepass")
    data = _CLICK + nonce.to_bytes(8, "little") + len(product).to_bytes(4, "little") + product
    mac = _mac(states, data + url.encode("utf-8", "surrogatepass"))
    return binascii.b2a_base64(mac, newline=False).replace(b"+", b"-").replace(b"/", b"_")


def _split(text: str | bytes) -> tuple[_Unpack, bytes, bytes]:
    """The function that reads the claims, the packed claims, and the signature."""
    try:
        raw = text.encode("ascii") if isinstance(text, str) else text
    except UnicodeEncodeError:
        raise TokenError(TokenFault.MALFORMED) from None
    # The pattern is needed: base64 decoders skip characters that they do not know, which would give a token many forms.
    if len(raw) not in _READERS or _URL_SAFE.fullmatch(raw) is None:
        raise TokenError(TokenFault.MALFORMED)
    layout, unpack = _READERS[len(raw)]
    packed = binascii.a2b_base64(raw.translate(_FROM_URL_SAFE))
    if packed[0] != layout:
        raise TokenError(TokenFault.UNKNOWN_KEY)
    return unpack, packed[:-MAC_BYTES], packed[-MAC_BYTES:]


def _unpack(packed: bytes) -> Claims:
    (
        _, _, terms_byte, share, markup, model_version, line_item, advertiser, campaign, creative, exchange, landing,
        currency, issued_s, user,
        nonce, lease, reserved, bid, second, floor, auction_type, arm, multiplier_milli, shading,
    ) = _LAYOUT.unpack(packed)  # fmt: skip
    terms, is_test = decode_terms(terms_byte)
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
        nonce=nonce,
        terms=terms,
        auction_type=_AUCTION_TYPES.get(auction_type, AuctionType.FIRST_PRICE),
        format=FORMATS_BY_NUMBER[markup] if markup < len(FORMATS_BY_NUMBER) else "",
        multiplier_milli=multiplier_milli,
        shading=shading,
        arm=arm,
        model_version=model_version,
    )


# By the length of the text.
_READERS: Final[dict[int, tuple[int, _Unpack]]] = {
    TOKEN_CHARS: (LAYOUT, _unpack),
    (token_before.PACKED_BYTES + MAC_BYTES) * 4 // 3: (token_before.LAYOUT, token_before.unpack),
}
