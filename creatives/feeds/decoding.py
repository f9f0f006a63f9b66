"""From bytes to text: a byte order mark or a declaration decides, otherwise UTF-8 until a byte is not of it.

Older shops write cp1250 or ISO-8859-2 and say UTF-8, or nothing. As long as only ASCII was seen, the first byte that
is not UTF-8 decides between the two; in a file that had proper UTF-8 before, such bytes are damage and are replaced.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Final

from creatives.feeds.faults import FeedError

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED: Final = re.compile(rb"""^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]{2,40})["']""")
# Encodings in which a text may hold what is no character, or that cannot be read in parts.
_NOT_FOR_FILES: Final = frozenset(
    {
        "utf-7",
        "unicode-escape",
        "unicode_escape",
        "raw-unicode-escape",
        "raw_unicode_escape",
        "idna",
        "punycode",
        "undefined",
    }
)
# What telling needs: the XML declaration, a few products in the shop's language.
HEAD_BYTES: Final = 1_024
# 0x80-0x9f are control characters in ISO-8859-2 and letters in cp1250 (Š ś ť ž ź); of the others, those that are a
# Polish or Czech letter in one and a sign in the other.
_ONLY_CP1250: Final = re.compile(rb"[\x8a\x8c-\x8f\x9a\x9c-\x9f]")
_CP1250_LETTERS: Final = re.compile(rb"[\xa5\xb9\xbe\xbc]")
_ISO_LETTERS: Final = re.compile(rb"[\xa1\xa6\xac\xb1\xb6\xbc\xa9\xae\xab\xbb]")


class TextDecoder:
    """Decodes the chunks of one feed; `encoding` is what they turned out to be, `guessed` how that is known."""

    def __init__(self, declared: str = "") -> None:
        """`declared` comes from the HTTP header or the feed's settings; '' leaves it to the file."""
        self._declared = declared
        self.encoding = ""
        self.guessed = False
        self.replaced = 0  # bytes of UTF-8 that were not

    def texts(self, chunks: Iterable[bytes]) -> Iterator[str]:
        """The text, without a byte order mark. Raises FeedError for an unknown encoding."""
        source = iter(chunks)
        head = b""
        for chunk in source:
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
        mark, name = self._named(head)
        decoder = self._open(name)
        if self.encoding == "utf-8":
            yield from self._utf8(head[len(mark) :], source)
            return
        yield decoder.decode(head[len(mark) :])
        for chunk in source:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)

    def _named(self, head: bytes) -> tuple[bytes, str]:
        for mark, name in _MARKS:
            if head.startswith(mark):
                return mark, name
        if head.startswith((b"<\0", b"\0<")):
            return b"", "utf-16-le" if head[:1] == b"<" else "utf-16-be"
        declaration = _DECLARED.match(head)
        name = declaration[1].decode() if declaration else self._declared or "utf-8"
        # What can be read byte by byte is not UTF-16, though generators that write into memory say so.
        wide = name.lower().replace("_", "-").startswith(("utf-16", "utf-32", "utf16", "utf32", "ucs"))
        return b"", "utf-8" if wide and b"\0" not in head else name

    def _open(self, name: str) -> codecs.IncrementalDecoder:
        try:
            found = codecs.lookup(name)
        except LookupError:
            raise FeedError("encoding", f"the encoding {name!r} is not known", hint="write UTF-8") from None
        if not found._is_text_encoding or found.name in _NOT_FOR_FILES:
            raise FeedError("encoding", f"{name!r} is not an encoding of text", hint="write UTF-8")
        self.encoding = "utf-8" if found.name in ("ascii", "utf-8-sig") else found.name
        return found.incrementaldecoder("replace")

    def _utf8(self, first: bytes, rest: Iterator[bytes]) -> Iterator[str]:
        """UTF-8 with repairs; changes to a guessed encoding at the first wrong byte if all before was ASCII."""
        only_ascii, tail = True, b""
        for chunk in _and_end(first, rest):
            data = tail + (chunk or b"")
            tail = b""
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                cut = error.reason == "unexpected end of data" and chunk is not None
                if cut:
                    data, tail = data[: error.start], data[error.start :]
                    text = data.decode()
                elif only_ascii and data[: error.start].isascii():
                    yield from self._guessed(data, rest)
                    return
                else:
                    # A character that the chunk cuts in two is kept for the next one.
                    text, tail = _replaced(data, final=chunk is None)
                    self.replaced += text.count("\ufffd")
            only_ascii = only_ascii and text.isascii()
            yield text

    def _guessed(self, data: bytes, rest: Iterator[bytes]) -> Iterator[str]:
        while len(data) < 2 * HEAD_BYTES and (more := next(rest, b"")):
            data += more
        self.encoding, self.guessed = guess_central_european(data), True
        decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        yield decoder.decode(data)
        for chunk in rest:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)


def guess_central_european(data: bytes) -> str:
    """cp1250 or iso8859-2, for text that is neither ASCII nor UTF-8."""
    if _ONLY_CP1250.search(data):
        return "cp1250"
    return "iso8859-2" if len(_ISO_LETTERS.findall(data)) > len(_CP1250_LETTERS.findall(data)) else "cp1250"


def _replaced(data: bytes, *, final: bool) -> tuple[str, bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, final)
    return text, decoder.getstate()[0]


def _and_end(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes | None]:
    """The chunks, then None."""
    yield first
    yield from rest
    yield None
