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
MAX_LINE_ITEM_ID = 2**29 - 2
"""Records of a user's impressions have 29 bits for a line item (core.ring), and forecasts need one more id."""
USER_ID_CHARS = 22
_SIGNS_AS_DIGITS = bytes.maketrans(b"-_", b"00")


def new_user_id() -> UserId:
    """A fresh, unguessable user id."""
    text = secrets.token_urlsafe(16)
    while text[0] == "-":  # on a command line it would be an option
        text = secrets.token_urlsafe(16)
    return UserId(text)


def is_user_id(text: str) -> bool:
    """Whether `text` has the exact shape of a user id of ours; anything else is another system's cookie.

    Ids of zeros and the like stand for nobody. The other placeholders of `means_nobody` have another length.
    """
    # Nearly every bid request has such an id, and this check costs half of what a regular expression does.
    if len(text) != USER_ID_CHARS or not text.isascii() or not text.encode().translate(_SIGNS_AS_DIGITS).isalnum():
        return False
    return text[0] not in _SIGNS_OF_NOTHING or text.strip(_ALL_THE_SAME) != ""


# Hardly a word of `_NOBODY` has so many letters and figures, and every real id has (numbers of twelve digits, UUIDs).
_PLAIN_CHARS = 12
_NOBODY = frozenset({
    "-1", "null", "(null)", "nil", "none", "undefined", "unknown", "unset", "empty", "nan", "na", "n/a", "optout",
    "opt-out", "opt_out", "optedout", "opted-out", "opted_out", "anonymous", "anon", "deleted", "redacted", "false",
    "true", "uid", "userid", "user_id", "user-id", "user.id", "buyeruid", "buyerid", "partneruid", "partner_uid",
    "visitorid", "visitor_id", "client_id", "clientid", "cookie", "cookieid", "default", "placeholder", "todo",
    "string", "nobody", "no-id", "noid", "no_id", "notfound", "not_found", "not-found", "noconsent", "no_consent",
    "no-consent", "consent_required", "nouser", "no_user", "no-user", "nocookie", "no_cookie", "no-cookie", "notset",
    "not_set", "not-set", "missing", "invalid", "invalid_id", "error", "expired", "blocked", "disabled", "dnt", "lmt",
    "do_not_track", "limit_ad_tracking", "opt_out=1", "optout=1", "guest", "user", "id", "uuid", "guid", "macro",
    "uid_macro", "replace_me", "replace-me", "replaceme", "your_uid", "my_uid", "partnerid", "partner_id",
    "partner-uid", "bidder_uid", "ssp_uid", "dsp_uid", "adid", "ifa", "idfa", "gaid", "auction_user_id", "null,null",
    "undefinedundefined", "nullnull", "12345678123412341234123456789012", "0123456789abcdef0123456789abcdef",
    "12345678123456781234567812345678", "deadbeefdeadbeefdeadbeefdeadbeef", "uidmacro", "useridmacro", "infinity",
    "n.a.", "cookiedisabled", "cookiesdisabled", "emptyuuid", "zerouuid", "nullnullnull",
    *(
        hashlib.new(how, word.encode(), usedforsecurity=False).hexdigest()
        for how in ("md5", "sha1", "sha256")
        for word in ("", "0", "null", "none", "undefined", "00000000-0000-0000-0000-000000000000")
    ),
})  # fmt: skip
# Signs of a macro that nobody replaced (`$UID`, `${USER_ID}`, `[UID]`, `{uid}`, `<uid>`, `%%UID%%`, `__UID__`,
# `##UID##`, `@@UID@@`, `!UID!`, `|UID|`), of markup and of objects printed as text. Ids are letters, digits and some
# of `+/=_-.:~|*!@`.
_MACRO = re.compile(r"""[$\[\]{}<>()"'`\\\s]|%%""")
_ENCLOSED = re.compile(
    r"(__|##|@@|!!|::).*(__|##|@@|!!|::)|\*\|.*\|\*|&[A-Za-z_]+;|[!|~*#@%][A-Z_]{2,20}[!|~*#@%]?", re.DOTALL
)
_ENCLOSING = frozenset("_#@!:|~*%&")  # most ids begin with none of them
# An id with a name before it whose value is missing: `ID5*null`, `uid:undefined`.
_NAMED_NOTHING = re.compile(r"[a-z0-9]{1,12}[*:=|~_.-](null|undefined|none|nan|optout|disabled)", re.IGNORECASE)
# Words of which placeholders are put together: `YOUR_USER_ID`, `ssp-uid-here`, `userIdMacro`. Whatever an exchange
# calls the place of its id, a text of such words alone, without a figure in it, is no id.
_WORDS_OF_PLACES = frozenset({
    "ad", "adv", "advertiser", "advertising", "an", "anonymised", "anonymized", "anonymous", "any", "auction",
    "audience", "available", "bid", "bidder", "bidswitch", "blocked", "bot", "browser", "buyer", "by", "ccpa",
    "client", "consent", "consented", "cookie", "cookies", "crawler", "customer", "data", "default", "deleted",
    "denied", "device", "disabled", "dsp", "dummy", "empty", "enabled", "enter", "example", "exchange", "external",
    "field", "first", "forbidden", "fpid", "from", "gdpr", "goes", "google", "gpp", "guest", "guid", "here", "hidden",
    "id", "identifier", "ids", "insert", "internal", "key", "limit", "limited", "macro", "masked", "match", "matched",
    "me", "missing", "mobile", "my", "name", "no", "none", "not", "null", "of", "opt", "opted", "optedout", "optout",
    "our", "out", "param", "parameter", "party", "partner", "permitted", "person", "placeholder", "privacy",
    "private", "profile", "pub", "publisher", "put", "random", "redacted", "rejected", "removed", "replace",
    "replaced", "restricted", "retargeting", "sample", "server", "session", "set", "some", "ssp", "string", "sync",
    "synced", "test", "text", "the", "their", "third", "token", "tracking", "uid", "uids", "unavailable",
    "unconsented", "undefined", "unique", "unknown", "unset", "us", "user", "users", "uuid", "value", "var",
    "variable", "visitor", "vid", "with", "your", "zero",
})  # fmt: skip
_SPELT_OUT = re.compile(r"[A-Za-z_.:~ -]{2,64}(=[01]?)?")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_UUID_SIGNS = 32
_ALL_THE_SAME = "0-_:. fFxX"
_SIGNS_OF_NOTHING = frozenset(_ALL_THE_SAME)  # testing for one of these first costs a tenth of searching the text


def means_nobody(identifier: str) -> bool:
    """Whether an id of a user or device stands for nobody: a macro that was not replaced, a word, zeros, markup.

    Thousands of browsers come with the same placeholder: a profile under it would show one visitor another's cart.
    """
    bare = identifier.replace("-", "")
    if len(bare) >= _PLAIN_CHARS and bare.isalnum() and bare.strip(_ALL_THE_SAME):
        if len(bare) == _UUID_SIGNS and not bare.strip(f"1{bare[0]}"):  # ones, or zeros and a one
            return True
        return bare.lower() in _NOBODY or (bare.isalpha() and _is_spelt_out(identifier))
    # Decoded twice: some redirects encode what is encoded already.
    plain = urllib.parse.unquote(urllib.parse.unquote(identifier)) if "%" in identifier else identifier
    text = plain.strip()
    if not text.strip(_ALL_THE_SAME) or text.lower() in _NOBODY or _MACRO.search(text) is not None:
        return True
    if not text.isprintable() or _is_spelt_out(text) or _NAMED_NOTHING.fullmatch(text) is not None:
        return True
    return text[0] in _ENCLOSING and _ENCLOSED.fullmatch(text) is not None


def _is_spelt_out(text: str) -> bool:
    """Whether a text only names the place where an id belongs (`YOUR_USER_ID`)."""
    if _SPELT_OUT.fullmatch(text) is None:
        return False
    return all(word.lower() in _WORDS_OF_PLACES for word in _WORD.findall(text))


# A whole value that a template or tag manager was to fill in. A text with a figure may be an order's number or GUID.
_UNFILLED = re.compile(r"[$#]?\{[^\d]*\}|\$[a-z_.]+|\[[^\d]*\]|<[^\d]*>|(%%|__|##|@@)[^\d]*\1", re.IGNORECASE)
_NO_VALUE = _NOBODY | {"", "0", "(not set)", "not set", "(none)", "(empty)", "-"}


def is_unfilled(text: str) -> bool:
    """Whether the name of a thing, such as an order's, was not filled in: a word for nothing, zero, a whole macro.

    Narrower than `means_nobody`: an order's number may have spaces and brackets, a user's id may not.
    """
    plain = text.strip().lower()
    return plain in _NO_VALUE or _UNFILLED.fullmatch(plain) is not None


# Values that shops hash when no address or number was typed in, and placeholders that their templates left standing.
_HASHED_NOTHING = frozenset(
    hashlib.sha256(spelt.encode()).hexdigest()
    for word in (
        *_NO_VALUE, " ", "+", "+48", "email", "mail", "e-mail", "phone", "guest", "brak", "[object object]",
        "${email}", "{{email}}", "{email}", "[email]", "%%email%%", "$email", "{{ email }}", "{{user.email}}",
        "{{customer.email}}", "{{ customer.email }}", "${phone}", "{{phone}}", "{phone}", "[phone]", "%%phone%%",
    )
    for spelt in (word, word.upper(), word.capitalize())
)  # fmt: skip


def is_hash_of_nothing(hexadecimal: str) -> bool:
    """Whether a SHA-256 that should name a person is that of an empty or unfilled field, or nothing but zeros.

    Every visitor without an address comes with the same one; linked by it, strangers share one profile.
    """
    lowered = hexadecimal.lower()
    return lowered in _HASHED_NOTHING or (lowered != "" and lowered.strip("0") == "")


# The shape of AdID, IDFA and the ids of televisions alike. A text of another shape is a hash, or another kind of id.
_DEVICE_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def device_id(text: str) -> str | None:
    """A device's advertising id in the form of match tables: lower case. None for a text that is no such id."""
    lowered = text.strip().lower()
    return lowered if _DEVICE_ID.fullmatch(lowered) and not means_nobody(lowered) else None


def product_reference(product_id: str) -> int:
    """64 bits that stand for a product within one shop: what hot profiles name products by (docs/profile-layout.md)."""
    digest = hashlib.blake2b(product_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
