"""Win prices as exchanges write them into a notice: plain, or encrypted so that the browser cannot read or forge them.

Google's scheme also serves OpenX and others; Rubicon's is historic. Whatever cannot be read raises `PriceError`: the
notice is then settled by the house rule and nothing is booked at a price somebody made up.

Sources: Authorized Buyers, "Decrypt price confirmations"; rtbkit's Rubicon connector.
"""

import base64
import binascii
import decimal
import hmac
import re
from urllib.parse import unquote

import msgspec
from cryptography.hazmat.decrepit.ciphers.algorithms import Blowfish
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from core.errors import InputError
from core.model import Exchange, PriceEncryption
from core.money import MAX_CPM_MICROS, MICROS_PER_UNIT, CpmMicros

# Longer than any form of a price; what is longer is not looked at.
MAX_PRICE_CHARS = 64

_IV_BYTES, _PRICE_BYTES, _SIGNATURE_BYTES = 16, 8, 4
_GOOGLE_BYTES = _IV_BYTES + _PRICE_BYTES + _SIGNATURE_BYTES
_GOOGLE_CHARS = 38  # of 28 bytes in base64 without padding

# Google counts micros of one impression, we count micros of a thousand.
_IMPRESSIONS_PER_CPM = 1000

_WEB_SAFE = re.compile(r"[A-Za-z0-9_-]+")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{16}")
# Each part is bounded, so that no text makes a huge number. Some servers write small numbers as 1.0E-4.
_DECIMAL = re.compile(r"([0-9]{1,12}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,2})?")

# Texts of an exchange that did not fill in a price; it writes `AUDIT` when the creative is being reviewed.
_UNFILLED = frozenset({"", "AUDIT"})
_MACRO_STARTS = ("${", "%%")


class PriceError(InputError):
    """A text in the place of a price that no price can be read from."""


class UnfilledPrice(PriceError):
    """No price was put in: an empty text, `AUDIT`, or the macro itself."""


class PriceKeys(msgspec.Struct, frozen=True):
    """Keys of one exchange: base64 for Google's scheme; for Rubicon's the plain key, and no integrity key."""

    encryption: str = ""
    integrity: str = ""


def keys_of(exchange: Exchange) -> PriceKeys:
    """The keys an exchange is configured with."""
    return PriceKeys(encryption=exchange.encryption_key, integrity=exchange.integrity_key)


def decrypt_price(text: str, scheme: PriceEncryption, keys: PriceKeys) -> CpmMicros:
    """CPM micros of the price in a notice, in the currency of the auction (or of the account, where encrypted).

    A plain price is rounded to the nearest micro. Raises UnfilledPrice where there is none, PriceError for anything
    that is not a price, is out of range, or does not carry the right signature.
    """
    if len(text) > MAX_PRICE_CHARS:
        raise PriceError(f"has {len(text)} characters: a price has {MAX_PRICE_CHARS} at most")
    text = unquote(text).strip()
    if text in _UNFILLED or text.startswith(_MACRO_STARTS):
        raise UnfilledPrice("no price was filled in", hint="check the exchange's price macro")
    if scheme is PriceEncryption.GOOGLE:
        return _bounded(_decrypt_google(text, keys) * _IMPRESSIONS_PER_CPM)
    if scheme is PriceEncryption.RUBICON:
        return _parse(_decrypt_rubicon(text, keys))
    return _parse(text)


def _bounded(cpm: int) -> CpmMicros:
    if cpm > MAX_CPM_MICROS:
        raise PriceError("price is out of range: a CPM lies between 0 and a million")
    return CpmMicros(cpm)


def _parse(text: str) -> CpmMicros:
    if not _DECIMAL.fullmatch(text):
        raise PriceError("price is not a decimal number")
    micros = decimal.Decimal(text) * MICROS_PER_UNIT
    return _bounded(int(micros.to_integral_value(decimal.ROUND_HALF_UP)))


def _decrypt_google(text: str, keys: PriceKeys) -> int:
    """Micros of one impression. Padding may be missing, or written as `=` or `.`."""
    text = text.rstrip("=.")
    if len(text) != _GOOGLE_CHARS or not _WEB_SAFE.fullmatch(text):
        raise PriceError(f"encrypted price is not {_GOOGLE_BYTES} bytes in web-safe base64")
    message = base64.urlsafe_b64decode(text + "==")
    iv, masked, signature = message[:16], message[16:24], message[24:]
    pad = hmac.digest(_key(keys.encryption), iv, "sha1")[:_PRICE_BYTES]
    price = bytes(a ^ b for a, b in zip(masked, pad, strict=True))
    expected = hmac.digest(_key(keys.integrity), price + iv, "sha1")[:_SIGNATURE_BYTES]
    if not hmac.compare_digest(signature, expected):
        raise PriceError(
            "encrypted price has a wrong signature", hint="check that the encryption and integrity keys are not swapped"
        )
    return int.from_bytes(price, "big")


def _key(text: str) -> bytes:
    """A key in plain or web-safe base64, padded or not."""
    try:
        key = base64.b64decode(text.translate(_TO_PLAIN) + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise PriceError("the exchange's price key is not base64", hint="copy the key from the exchange's console")
    return key


_TO_PLAIN = str.maketrans("-_", "+/")


def _decrypt_rubicon(text: str, keys: PriceKeys) -> str:
    """The decimal text that one Blowfish block holds."""
    if not _HEXADECIMAL.fullmatch(text):
        raise PriceError("encrypted price is not 16 hexadecimal digits")
    try:
        # The exchange's own scheme: one block, so the mode's weakness (equal blocks look equal) reveals equal prices.
        cipher = Cipher(Blowfish(keys.encryption.encode()), modes.ECB())  # noqa: S305 - no other mode would decrypt it
    except ValueError:
        raise PriceError("the exchange's price key has no length that Blowfish takes") from None
    decryptor = cipher.decryptor()
    plain = decryptor.update(bytes.fromhex(text)) + decryptor.finalize()
    return plain.rstrip(b"\0 ").decode("latin-1")
