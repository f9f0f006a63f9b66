"""Cleaning of texts and addresses as feeds have them: tags, entities, control characters, spaces."""

import html.entities
import re
from typing import Final
from urllib.parse import quote, urlsplit

MAX_URL_CHARS: Final = 2_000
"""Google Merchant's bound on links."""

# One search decides whether a text needs any work at all; most do not.
_SUSPECT: Final = re.compile(
    r"[<&\x00-\x1f\x7f-\xa0\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff\u2028\u2029\ufffd]|  |[ÃÂÅÄ].|â€|^\s|\s$"
)
# Those that turn the direction of what follows, or are nothing to see, too. Joiners (U+200C, U+200D) and marks of
# direction (U+200E, U+200F) stay: Persian, Arabic and emoji need them.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
# One that is not closed goes on to the end, as in a browser: looking for the end of each of many anew would take the
# square of their length, and half a minute a field.
_RAW_TEXT: Final = re.compile(r"<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>|<!--.*?(?:-->|\Z)", re.DOTALL)
_ENTITY: Final = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_SPACE: Final = re.compile(r"[\s\xa0\u2028\u2029]+")
# UTF-8 read as cp1252 or cp1250 and written again: a lead byte of two (Ã, Å, Ä, Â) and what follows, or a dash as â€”.
_MOJIBAKE: Final = re.compile(
    r"Ã[\x80-\xbf\u0192\u201e-\u2122]|Â[\xa0-\xbf]|Å[\x80-\xbf\u0161\u017a\u201a]|Ä[\x85\u2122\u2026\u2021]|â€[\u0080-\u2122]"
)
_URL_UNSAFE: Final = re.compile(r"[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")


def unescape(text: str) -> str:
    """Character references replaced once. Unlike html.unescape, only those with a semicolon: `?a=1&copy=2` stays."""
    return _ENTITY.sub(_character, text)


def clean_text(text: str, marks: list[str]) -> str:
    """A text of one line without tags and control characters. What was found is added to `marks` (codes of faults)."""
    if _SUSPECT.search(text) is None:
        return text
    if "<" in text:
        text = _without_tags(text, marks)
    if "&" in text and (plain := unescape(text)) != text:
        marks.append("escaped_twice")
        text = _without_tags(plain, marks) if "<" in plain else plain
    if _CONTROL.search(text):
        marks.append("control_characters")
        text = _CONTROL.sub("", text)
    if "\ufffd" in text:
        marks.append("wrong_bytes")
    elif _MOJIBAKE.search(text):
        marks.append("mojibake")
    return _SPACE.sub(" ", text).strip()


def _without_tags(text: str, marks: list[str]) -> str:
    plain = _TAG.sub(" ", _RAW_TEXT.sub(" ", text))
    if plain != text:
        marks.append("markup")
    return plain


def _character(match: re.Match[str]) -> str:
    name = match[1]
    if name[0] != "#":
        return html.entities.html5.get(f"{name};", match[0])
    code = int(f"0{name[1:]}", base=0) if name[1] in "xX" else int(name[1:])
    return chr(code) if 0 < code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else ""


def clean_url(text: str) -> str:
    """An http(s) address with everything unsafe percent-encoded, or '' for what is none."""
    text = text.strip()
    if "&amp;" in text:
        text = unescape(text)
    if text.startswith("//"):
        text = f"https:{text}"
    if not text.startswith(("https://", "http://")) and text[:8].lower().startswith(("https://", "http://")):
        scheme, rest = text.split("://", 1)
        text = f"{scheme.lower()}://{rest}"
    if not text.startswith(("https://", "http://")) or any(mark in text for mark in "\r\n\t\\"):
        return ""
    if _URL_UNSAFE.search(text):
        text = _encode_url(text)
    start = text.index("://") + 3
    host = text[start : start + 256].partition("/")[0].partition("?")[0].partition("#")[0]
    return text if host and "@" not in host and not host.startswith((":", ".")) else ""


def _encode_url(text: str) -> str:
    """Spaces and other characters that may not stand in an address; a host beyond ASCII becomes punycode."""
    try:
        parts = urlsplit(text)
        host = parts.netloc.encode("idna").decode() if not parts.netloc.isascii() else parts.netloc
    except (ValueError, UnicodeError):
        return ""
    safe = "!#$%&'()*+,-./:;=?@[]_~"
    rest = text[len(parts.scheme) + 3 + len(parts.netloc) :]
    return f"{parts.scheme}://{host}{quote(rest, safe=safe)}" if " " not in host else ""
