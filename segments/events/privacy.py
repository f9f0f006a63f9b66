"""What came with an event or a sync about the person's wishes, whatever it is called: one reader for all ports.

Each signal can only take away. One that is not there says nothing; one that is there and cannot be read refuses, since
whoever sent it meant something by it. What TC and GPP strings say is for segments.events.consent.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from segments.events.texts import stripped

GOOGLE_WORDS: Final = ("ad_storage", "ad_user_data", "ad_personalization")
"""Members of Google's consent mode: of the event, as tag managers send them, or of an object `consent`."""

CONSENT_STRINGS: Final = ("consent", "gdpr_consent")
"""Where a TC string may be."""

MEMBERS: Final = (
    "gdpr", *CONSENT_STRINGS, *GOOGLE_WORDS, "non_personalized_ads", "npa", "us_privacy", "gpp", "gpp_sid",
    "gpc", "coppa",
)  # fmt: skip
"""Everything that is read here, of an event, an envelope or a query."""

# A measurement protocol event has its fields in `params`, a data layer in `ecommerce`; wishes may be in any of them.
_WRAPPERS: Final = ("params", "ecommerce")
_GRANTED: Final = frozenset({"granted", "grant", "true", "yes", "1", "allowed", "accepted", "on"})
_NO: Final = frozenset({"false", "no", "0", "off"})
_US_PRIVACY: Final = re.compile(r"1[YN-][YN-][YN-]", re.IGNORECASE)
# What the user chose, as texts; and what stands for two of them that differ, which no format allows.
_STRINGS: Final = frozenset({*CONSENT_STRINGS, "us_privacy", "gpp", "gpp_sid"})
_UNREADABLE: Final = "?"
_SALE_OPT_OUT: Final = 2  # place of the answer in a US privacy string
_SECTIONS: Final = re.compile(r"-?[0-9]{1,4}([,_ ]-?[0-9]{1,4}){0,63}")
UNREADABLE_SECTION: Final = 0
MAX_SECTIONS: Final = 64  # there are some twenty; the pattern above has the same bound for a text


class Signals(msgspec.Struct, frozen=True):
    """`refusal` names the signal that refuses whatever else is said; `gdpr` None: nobody says whether it applies."""

    refusal: str = ""
    gdpr: bool | None = None
    consent: str = ""
    gpp: str = ""
    sections: tuple[int, ...] = ()  # gpp_sid; UNREADABLE_SECTION for what is no list of sections


NOTHING_SAID: Final = Signals()


def signals_of(members: Mapping[str, object], *, sec_gpc: str = "") -> Signals:
    """The signals of an event object or a query; `sec_gpc` is the header of a browser's own request."""
    layers = [members, *(inner for name in _WRAPPERS if isinstance(inner := members.get(name), Mapping))]
    words = [*layers, *(inner for layer in layers if isinstance(inner := layer.get("consent"), Mapping))]
    refusal = next(iter(_refusals(layers, words, sec_gpc)), "")
    consent = _text_of(layers, CONSENT_STRINGS)
    unread = consent is None or any(_says_unknown(layer.get("consent")) for layer in layers)
    return Signals(
        refusal or ("consent" if unread else ""),
        _gdpr_of(layers),
        consent or "",
        _text_of(layers, ("gpp",)) or "",
        _sections_of(layers),
    )


def stricter(outer: Mapping[str, object], inner: Mapping[str, object]) -> dict[str, object]:
    """The members of `outer` that hold although `inner` has its own: those that refuse where the inner ones do not."""
    said_twice = [name for name in MEMBERS if name in outer and name in inner]
    return {name: outer[name] for name in said_twice if _limits(name, outer[name]) > _limits(name, inner[name])}


def members_of_query(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The members of a query, the first of each name; of a wish that is said twice the one that refuses.

    Where two strings of the user's choices differ, neither counts.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif name in MEMBERS and value and not _limits(name, found[name]):
            differ = name in _STRINGS and value != found[name] != "" and not _limits(name, value)
            found[name] = _UNREADABLE if differ else value
    return found


def _limits(name: str, value: object) -> bool:
    found = signals_of({name: value})
    return found.refusal != "" or found.gdpr is True


def _refusals(
    layers: Iterable[Mapping[str, object]], words: Iterable[Mapping[str, object]], sec_gpc: str
) -> Iterable[str]:
    for layer in words:
        yield from (name for name in GOOGLE_WORDS if _denies(layer.get(name)))
    for layer in layers:
        yield from (name for name in ("non_personalized_ads", "npa", "gpc", "coppa") if _is_set(layer.get(name)))
        if _sells_out(layer.get("us_privacy")):
            yield "us_privacy"
        if not isinstance(layer.get("gpp"), str | None):
            yield "gpp"
    if _is_set(sec_gpc):
        yield "sec-gpc"


def _says_unknown(consent: object) -> bool:
    """Whether `consent` is an object with members, none of which is known."""
    return isinstance(consent, Mapping) and bool(consent) and consent.keys().isdisjoint(GOOGLE_WORDS)


def _denies(value: object) -> bool:
    """Whether a word of consent is there and is not a clear yes."""
    word = _word(value)
    return word != "" and word not in _GRANTED


def _is_set(value: object) -> bool:
    """Whether a flag against us is there and is not a clear no."""
    word = _word(value)
    return word != "" and word not in _NO


def _sells_out(value: object) -> bool:
    """Whether a US privacy string is there and does not clearly permit the sale."""
    text = stripped(value) if isinstance(value, str) else value
    if text is None or text == "":
        return False
    return not isinstance(text, str) or not _US_PRIVACY.fullmatch(text) or text[_SALE_OPT_OUT] in "Yy"


def _word(value: object) -> str:
    """A value as a lower-case word: `true`, `1` and `" Granted "` are words, anything but a number or text is "?"."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return stripped(str(value)).lower() if isinstance(value, str | int | float) else "?"


def _gdpr_of(layers: Iterable[Mapping[str, object]]) -> bool | None:
    """Whether the GDPR applies; None where no layer says so. Anything but a clear no is a yes."""
    said = [word for layer in layers if (word := _word(layer.get("gdpr"))) != ""]
    return any(word not in _NO for word in said) if said else None


def _text_of(layers: list[Mapping[str, object]], names: Iterable[str]) -> str | None:
    """The innermost text of these names, "" for none; None for what is neither a text nor an object of words."""
    found = ""
    for layer in layers:
        for name in names:
            value = layer.get(name)
            if value is None or isinstance(value, Mapping):
                continue
            if not isinstance(value, str):
                return None
            found = stripped(value) or found
    return found


def _sections_of(layers: Iterable[Mapping[str, object]]) -> tuple[int, ...]:
    found: list[int] = []
    for layer in layers:
        value = layer.get("gpp_sid")
        if value is None or value == "":
            continue
        parts = value if isinstance(value, list | tuple) else [value]
        if len(parts) > MAX_SECTIONS:
            return (UNREADABLE_SECTION,)
        for part in parts:
            text = stripped(str(part)) if isinstance(part, str | int) and not isinstance(part, bool) else "?"
            if not _SECTIONS.fullmatch(text):
                return (UNREADABLE_SECTION,)
            found += [int(number) for number in re.split("[,_ ]", text)]
    return tuple(found)
