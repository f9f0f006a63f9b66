"""A feed from its bytes to products: unpack, decode, tell its form, read rows, make products of them."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from creatives.feeds.columns import ALIASES, CENEO, GOOGLE, HEUREKA, YML, FeedDialect
from creatives.feeds.csv_rows import CsvRows
from creatives.feeds.decoding import TextDecoder
from creatives.feeds.faults import FaultLog, FeedError
from creatives.feeds.normalise import Normaliser
from creatives.feeds.unpacking import MAX_BYTES, Unpacker
from creatives.feeds.xml_rows import XmlRows
from creatives.product import FeedProduct

DIALECTS: Final[dict[str, FeedDialect]] = {"google": GOOGLE, "ceneo": CENEO, "yml": YML, "heureka": HEUREKA}
_DELIMITED: Final = FeedDialect(items=(), paths=ALIASES)


class ReadOptions(msgspec.Struct, frozen=True):
    """How a feed is to be read; every default means "find it out"."""

    form: str = "auto"  # auto, csv, tsv, xml, google, ceneo, yml, heureka
    currency: str = ""  # of prices without one
    encoding: str = ""
    item_element: str = ""
    mapping: dict[str, str] = {}  # field -> column or path
    max_bytes: int = MAX_BYTES


class FeedReader:
    """Reads one feed once. What it found out is in its attributes when the products were read."""

    def __init__(self, options: ReadOptions, faults: FaultLog, charset: str = "") -> None:
        """`charset` is what the HTTP header said."""
        self._options = options
        self._faults = faults
        self._unpacker = Unpacker(options.max_bytes)
        self._decoder = TextDecoder(options.encoding or charset)
        self.rows = 0
        self.line = 0  # at which the row begins that was read last
        self.form = ""

    @property
    def encoding(self) -> str:
        """Such as utf-8, cp1250."""
        return self._decoder.encoding

    @property
    def encoding_guessed(self) -> bool:
        """Whether the encoding was neither declared nor UTF-8."""
        return self._decoder.guessed

    @property
    def packing(self) -> str:
        """plain, gzip or zip."""
        return self._unpacker.kind

    @property
    def packed_bytes(self) -> int:
        return self._unpacker.packed

    def products(self, source: Iterable[bytes]) -> Iterator[FeedProduct]:
        """Products in the order of the feed, repeated ids too. Raises FeedError for a feed that cannot be read."""
        texts = self._decoder.texts(self._unpacker.chunks(source))
        first = _first_text(texts)
        if not first.strip():
            raise FeedError("empty", "the feed is empty")
        if "\0" in first:
            raise FeedError("not_text", "the address answers with a binary file, not with a feed")
        # Blank lines above the declaration, which no parser of XML takes, come from plug-ins.
        if first.lstrip().lower().startswith("<!doctype html"):
            raise FeedError("html", "the address answers with an HTML page, not with a feed", line=1)
        rest = _chain(first.lstrip("\ufeff \t\r\n"), texts)
        if self._is_xml(first):
            yield from self._xml(rest)
        else:
            yield from self._delimited(rest)
        if not self.rows:
            raise FeedError("empty", "the feed has no product")
        if self._decoder.replaced:
            self._faults.add("wrong_bytes", "", 0, f"{self._decoder.replaced} bytes are not UTF-8")

    def _is_xml(self, first: str) -> bool:
        form = self._options.form
        if form in ("csv", "tsv"):
            if first.lstrip()[:1] == "<":
                raise FeedError("html", "the feed is XML or an HTML page, not delimited text", line=1)
            return False
        start = first.lstrip("\ufeff \t\r\n")[:1]
        if form == "auto" and start in "{[":
            raise FeedError("json", "JSON is no form of feed", hint="publish XML, CSV or TSV")
        return form != "auto" or start == "<"

    def _xml(self, texts: Iterable[str]) -> Iterator[FeedProduct]:
        options = self._options
        dialect = DIALECTS.get(options.form)
        xml = XmlRows(self._faults, dialect, item=options.item_element, mapping=options.mapping)
        normaliser: Normaliser | None = None
        for line, row in xml.rows(texts):
            if normaliser is None:  # the first row says which dialect it is
                normaliser = Normaliser(self._faults, xml.dialect or GOOGLE, options.currency)
                normaliser.categories = xml.categories
            self.rows += 1
            self.line = line
            product = normaliser.product(row, line)
            if product is not None:
                yield product
        self.form = next((name for name, known in DIALECTS.items() if known is xml.dialect), "xml")

    def _delimited(self, texts: Iterable[str]) -> Iterator[FeedProduct]:
        options = self._options
        rows = CsvRows(self._faults, separator="\t" if options.form == "tsv" else "", mapping=options.mapping)
        normaliser = Normaliser(self._faults, _DELIMITED, options.currency)
        for line, row in rows.rows(texts):
            self.rows += 1
            self.line = line
            product = normaliser.product(row, line)
            if product is not None:
                yield product
        self.form = "tsv" if rows.separator == "\t" else "csv"


def _first_text(texts: Iterator[str]) -> str:
    """Enough of the text to see its form."""
    first = ""
    for text in texts:
        first += text
        if first.strip():
            break
    return first


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest
