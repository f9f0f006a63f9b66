"""Identifiers.

Catalogue objects have positive 32-bit integers, so that ids pack into tokens, profiles and arrays; a user has a string.
"""

import hashlib
import re
import secrets
import urllib.parse
from typing import NewType

UserId = NewType("UserId", str)
"""Grosz's own cookie value: 22 characters of base64url, 128 random bits (what exchanges send back as `buyeruid`)."""

MAX_ID = 2**32 - 1
USER_ID_CHARS = 22
_SIGNS_AS_DIGITS = bytes.maketrans(b"-_", b"00")


def new_user_id() -> UserId:
    """A fresh, unguessable user id."""
    return UserId(secrets.token_urlsafe(16))


def is_user_id(text: str) -> bool:
    """Whether `text` has the exact shape of a user id of ours; anything else came from somebody else's cookie.

    Zeros and the like are nobody's. The other placeholders of `means_nobody` have another length.
    """
    # Nearly every bid request has one, and this costs half of what a regular expression does.
    if len(text) != USER_ID_CHARS or not text.isascii() or not text.encode().translate(_SIGNS_AS_DIGITS).isalnum():
        return False
    return text[0] not in _ALL_THE_SAME or text.strip(_ALL_THE_SAME) != ""


# Long enough for no word of `_NOBODY`, and short enough for every id that is one: numbers of twelve digits, UUIDs.
_PLAIN_CHARS = 12
_NOBODY = frozenset({
    "-1", "null", "(null)", "nil", "none", "undefined", "unknown", "unset", "empty", "nan", "na", "n/a", "optout",
    "opt-out", "opt_out", "optedout", "opted-out", "opted_out", "anonymous", "anon", "deleted", "redacted", "false",
    "true", "uid", "userid", "user_id", "user-id", "user.id", "buyeruid", "buyerid", "partneruid", "partner_uid",
    "visitorid", "visitor_id", "client_id", "clientid", "cookie", "cookieid", "default", "placeholder", "todo",
    "string", "nobody", "no-id", "noid", "no_id", "notfound", "not_found", "not-found",
})  # fmt: skip
# Signs of a macro that nobody replaced (`$UID`, `${USER_ID}`, `[UID]`, `{uid}`, `<uid>`, `%%UID%%`, `__UID__`,
# `##UID##`, `@@UID@@`), of markup and of objects printed as text. Ids are letters, digits and some of `+/=_-.:~|*!@`.
_MACRO = re.compile(r"""[$\[\]{}<>()"'`\\\s]|%%|^(__|##|@@|!!|::).*(__|##|@@|!!|::)$""", re.DOTALL)
_ALL_THE_SAME = "0-_:. fFxX"


def means_nobody(identifier: str) -> bool:
    """Whether an id of a user or device stands for nobody: a macro that was not replaced, a word, zeros, markup.

    Thousands of browsers come with the same one; whoever is found under it sees somebody else's cart.
    """
    bare = identifier.replace("-", "")
    if len(bare) >= _PLAIN_CHARS and bare.isalnum() and bare.strip(_ALL_THE_SAME):
        return bare.lower() in _NOBODY
    text = urllib.parse.unquote(identifier) if "%" in identifier else identifier
    text = text.strip()
    return not text.strip(_ALL_THE_SAME) or text.lower() in _NOBODY or _MACRO.search(text) is not None


def product_reference(product_id: str) -> int:
    """64 bits that stand for a product within one shop: what hot profiles name products by (docs/profile-layout.md)."""
    digest = hashlib.blake2b(product_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
