"""Rows of an XML feed, read in chunks by expat: constant memory, line numbers, no document type declarations.

A dialect's paths become a tree of nodes once; the handlers then follow it, so elements that nobody asked for cost a
look-up. What generators get wrong most (control characters, a bare &, HTML entities) is repaired before expat sees it.
"""

import html.entities
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from xml.parsers import expat

from creatives.feeds.columns import GATHERED, PREFERENCE, ROOTS, FeedDialect, own_dialect, plain_name, plain_path
from creatives.feeds.faults import FaultLog, FeedError

MAX_DEPTH: Final = 64
# Longest text that is kept of one element: an unwanted description may be longer, a wanted value is cut later.
MAX_TEXT_CHARS: Final = 32 * 1024
# A tag with its attributes, or a comment, is held whole by expat, which begins it anew with each chunk: without a bound
# 64 MiB of a comment, a few kilobytes when packed, take many minutes.
MAX_TOKEN_BYTES: Final = 1024 * 1024
# expat is slower with more calls, and a chunk's products wait in a list.
CHUNK_CHARS: Final = 64 * 1024

_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
# Everything after & that XML itself does not know: an HTML entity, a reference to a control character, a bare &.
_REFERENCE: Final = re.compile(
    r"&(?!(?:amp|lt|gt|quot|apos);)"
    r"(?:([A-Za-z][A-Za-z0-9]{1,31});"
    r"|(#0*(?:[0-8]|1[124-9]|2[0-9]|3[01]);|#x0*(?:[0-8bcefBCEF]|1[0-9a-fA-F]);)"
    r"|(?!#(?:[0-9]{1,7}|x[0-9a-fA-F]{1,6});))"
)
# Vocabularies that stand beside a shop's in RSS and Atom, with a title, a link or a price of their own.
_FOREIGN: Final = re.compile(
    r"search\.yahoo\.com/mrss|purl\.org/|www\.w3\.org/|itunes\.com/|wellformedweb\.org/|wordpress\.org/|a9\.com/|ogp\.me/"
)
_OPEN, _CLOSE = "<![CDATA[", "]]>"
# The longest thing that must not be cut in two: an entity's name.
_HOLD_CHARS: Final = 36

_Resolve = Callable[[str], "_Node"]

XmlRow = tuple[int, dict[str, str]]
"""Line at which the item begins, field -> text."""


class XmlRows:
    """Reads one feed. `dialect` is known once the root element was read."""

    def __init__(
        self,
        faults: FaultLog,
        dialect: FeedDialect | None = None,
        *,
        item: str = "",
        mapping: dict[str, str] | None = None,
    ) -> None:
        self._faults = faults
        self._item = item
        self._mapping = mapping or {}
        self.dialect = dialect
        self.root = ""
        self.categories: dict[str, str] = {}
        self._parents: dict[str, str] = {}
        self._outside = _Node(self._no_children)
        self._node = self._outside
        self._stack: list[_Node] = []
        self._text: list[str] = []
        self._row: dict[str, str] = {}
        self._ranks: dict[str, int] = {}
        self._line = 0
        self._category = ""
        self._ready: list[XmlRow] = []
        self._fed = 0  # bytes
        self._parser = self._make_parser()

    def rows(self, texts: Iterable[str]) -> Iterator[XmlRow]:
        """Rows in the order of the file. Raises FeedError where the file stops being XML."""
        repair = _Repair(self._faults)
        for text in _in_chunks(texts):
            self._parse(repair.text(text, self._parser.CurrentLineNumber))
            yield from self._taken()
        self._parse(repair.rest(self._parser.CurrentLineNumber))
        self._parse("", final=True)
        yield from self._taken()

    def _taken(self) -> list[XmlRow]:
        ready, self._ready = self._ready, []
        return ready

    def _make_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("utf-8")  # what a declaration says was heard when the text was decoded
        parser.buffer_text = True
        parser.buffer_size = CHUNK_CHARS
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start_root
        parser.EndElementHandler = self._end
        # A bound method of a list is called without a frame of Python: texts between elements are most calls.
        parser.CharacterDataHandler = self._text.append
        return parser

    def _parse(self, text: str, *, final: bool = False) -> None:
        parser = self._parser
        data = text.encode()
        self._fed += len(data)
        try:
            parser.Parse(data, final)
        except expat.ExpatError as error:
            raise self._broken(error, final=final) from None
        if self._node.keeps_text:
            self._shorten()
        else:
            self._text.clear()
        if self._fed - parser.CurrentByteIndex > MAX_TOKEN_BYTES + len(data):
            text = f"a tag or a comment that begins at line {parser.CurrentLineNumber} is longer than 1 MiB"
            raise FeedError("token_too_long", text, line=parser.CurrentLineNumber)
        if len(self._stack) > MAX_DEPTH:
            raise FeedError("too_deep", f"elements lie deeper than {MAX_DEPTH}", line=parser.CurrentLineNumber)

    def _shorten(self) -> None:
        """Within a wanted element that goes on in the next chunk: keep the beginning."""
        if len(self._text) > 1 or (self._text and len(self._text[0]) > MAX_TEXT_CHARS):
            self._text[:] = ["".join(self._text)[:MAX_TEXT_CHARS]]

    def _broken(self, error: expat.ExpatError, *, final: bool) -> FeedError:
        words = expat.ErrorString(error.code)
        if final:
            text = f"the feed ends in the middle, at line {error.lineno} ({words})"
            return FeedError("truncated", text, line=error.lineno, hint="its generator stopped; the old products stay")
        text = f"the feed is not well-formed XML at line {error.lineno}, column {error.offset}: {words}"
        return FeedError("not_well_formed", text, line=error.lineno)

    def _refuse_doctype(self, name: str, _system: str | None, _public: str | None, has_subset: bool) -> None:
        """YML's template names its DTD, which nobody loads; a DTD in the feed itself could declare entities."""
        if name.lower() == "html":
            raise FeedError("html", "the address answers with an HTML page, not with a feed", line=1)
        if name == "yml_catalog" and not has_subset:
            return
        raise FeedError("doctype", "the feed has a document type declaration", hint="leave out <!DOCTYPE ...>")

    def _start_root(self, name: str, attributes: dict[str, str]) -> None:
        self.root = plain_name(name)
        foreign = frozenset(
            prefix.removeprefix("xmlns:")
            for prefix, address in attributes.items()
            if prefix.startswith("xmlns:") and _FOREIGN.search(address)
        )
        if self.root == "html":
            raise FeedError("html", "the address answers with an HTML page, not with a feed", line=1)
        known = self.dialect or ROOTS.get(self.root)
        if self._item or self._mapping:
            self.dialect = own_dialect(plain_name(self._item), self._mapping, known)
        else:
            self.dialect = known
        if self.dialect is None or not self.dialect.items:
            raise FeedError(
                "unknown_form",
                f"the root element <{name}> is of no known feed",
                hint="set the feed's item_element and mapping (docs/feeds.md)",
            )
        self._grow(self.dialect, foreign)
        self._parser.StartElementHandler = self._start
        self._start(name, attributes)

    def _grow(self, dialect: FeedDialect, foreign: frozenset[str]) -> None:
        """The nodes of a dialect's paths."""
        tree = _Tree(dialect, foreign)
        items = {plain_name(item) for item in dialect.items}
        category = plain_name(dialect.categories)

        def outside(name: str) -> _Node:
            plain = plain_name(name)
            if plain in items and plain != self.root:
                return tree.item
            return tree.category if category and plain == category else self._outside

        self._outside.resolve = outside

    @staticmethod
    def _no_children(_name: str) -> "_Node":
        raise FeedError("unknown_form", "the feed has no root element")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._stack.append(self._node)
        node = self._node.children[name]
        if attributes:
            node = self._attributes(node, attributes)
        elif node.is_item:
            self._begin()
        self._node = node
        if node.keeps_text:
            self._text.clear()

    def _attributes(self, node: "_Node", attributes: dict[str, str]) -> "_Node":
        if node.is_item:
            self._begin()
        elif node.is_category:
            self._category = attributes.get("id", "")
            self._parents[self._category] = attributes.get("parentId", "")
        if node.by_name is not None:
            node = node.by_name.get(attributes.get("name", ""), node)
        # Of Atom's links only the alternate one is the product's page; others lead to the feed, the next page, a file.
        if node.attributes is not None and attributes.get("rel", "alternate") == "alternate":
            for attribute, value in attributes.items():
                target = node.attributes.get(plain_name(attribute))
                if target is not None:
                    self._set(target[0], target[1], value)
        return node

    def _begin(self) -> None:
        self._row = {}
        self._ranks = {}
        self._line = self._parser.CurrentLineNumber

    def _end(self, _name: str) -> None:
        node = self._node
        if node.field:
            self._set(node.field, node.rank, "".join(self._text))
        elif node.is_item:
            self._ready.append((self._line, self._row))
        elif node.is_category:
            self._name_category("".join(self._text).strip())
        self._node = self._stack.pop()

    def _set(self, field: str, rank: int, value: str) -> None:
        """The first of equal sources wins (of two images the first), and the better of unequal ones (g:id, not id)."""
        known = self._ranks.get(field)
        if field in GATHERED and known is not None:
            self._row[field] += f" {value}"
        elif (known is None or rank < known) and value and not value.isspace():
            self._ranks[field] = rank
            self._row[field] = value

    def _name_category(self, name: str) -> None:
        """Whole names, `Shoes > Boots`: a parent is declared before its children, as in every YML seen."""
        parent = self.categories.get(self._parents.get(self._category, ""), "")
        self.categories[self._category] = f"{parent} > {name}" if parent else name


class _Children(dict[str, "_Node"]):
    """Raw element name -> node, resolved when a name is met first."""

    # A feed that makes up element names must not fill memory with them.
    MAX_NAMES: Final = 10_000

    def __init__(self, owner: "_Node") -> None:
        super().__init__()
        self._owner = owner

    def __missing__(self, name: str) -> "_Node":
        node = self._owner.resolve(name)
        if len(self) < self.MAX_NAMES:
            self[name] = node
        return node


class _Node:
    """What an element at one place of the document means."""

    __slots__ = (
        "attributes",
        "by_name",
        "children",
        "field",
        "is_category",
        "is_item",
        "keeps_text",
        "rank",
        "resolve",
    )

    def __init__(self, resolve: "_Resolve", field: str = "", rank: int = 0) -> None:
        self.keeps_text = bool(field)
        self.resolve = resolve
        self.children = _Children(self)
        self.field = field
        self.rank = rank
        self.attributes: dict[str, tuple[str, int]] | None = None
        self.by_name: dict[str, _Node] | None = None
        self.is_item = False
        self.is_category = False


class _Tree:
    """The nodes below an item, from a dialect's paths."""

    def __init__(self, dialect: FeedDialect, foreign: frozenset[str]) -> None:
        self._foreign = foreign
        self._paths: dict[str, tuple[str, int]] = {}
        for number, (path, field) in enumerate(dialect.paths.items()):
            self._paths[plain_path(path)] = (field, 3 * PREFERENCE.get(path, number))
        self._inner = {path.rpartition("/")[0] for path in self._paths}
        for path in list(self._inner):
            while path := path.rpartition("/")[0]:
                self._inner.add(path)
        self._inner |= {path.partition("[")[0] for path in self._paths if path.endswith("]")}
        self._dead = _Node(lambda _name: self._dead)
        self.item = self._make("", 0)
        self.item.is_item = True
        self.category = _Node(lambda _name: self._dead)
        self.category.is_category = True
        self.category.keeps_text = True

    def _distance(self, name: str) -> int:
        """0 for `g:id`, 1 for `id`, 2 for `dc:title`, which is of another vocabulary: the nearest is read."""
        prefix, colon, _ = name.rpartition(":")
        return (2 if prefix in self._foreign else 0) if colon else 1

    def _make(self, path: str, distance: int) -> _Node:
        field, rank = self._paths.get(path, ("", 0))
        if not field and path and path not in self._inner:
            return self._dead
        base = f"{path}/" if path else ""

        def resolve(name: str) -> _Node:
            return self._make(f"{base}{plain_name(name)}", self._distance(name))

        node = _Node(resolve, field, rank + distance)
        node.attributes = {
            known.rpartition("@")[2]: target
            for known, target in self._paths.items()
            if known.startswith(f"{base}@") and "/" not in known.removeprefix(base)
        } or None
        node.by_name = {
            known[len(path) + 1 : -1]: self._make(known, distance)
            for known in self._paths
            if path and known.startswith(f"{path}[") and known.endswith("]")
        } or None
        return node


class _Repair:
    """Makes XML of what generators of feeds write. References inside of CDATA sections are text and stay."""

    def __init__(self, faults: FaultLog) -> None:
        self._faults = faults
        self._held = ""
        self._in_section = False

    def text(self, text: str, line: int) -> str:
        """The repaired text, without an end that belongs to the next chunk."""
        text = self._held + text
        cut = max(text.rfind(mark, len(text) - _HOLD_CHARS) for mark in "<&]")
        cut = len(text) if cut < 0 else cut
        text, self._held = text[:cut], text[cut:]
        return self._repaired(text, line)

    def rest(self, line: int) -> str:
        """The repaired end of the file."""
        text, self._held = self._held, ""
        return self._repaired(text, line)

    def _repaired(self, text: str, line: int) -> str:
        bad = _FORBIDDEN.search(text)
        if bad is not None:
            self._faults.add("control_characters", "", line + text.count("\n", 0, bad.start()))
            text = _FORBIDDEN.sub("", text)
        was_in_section = self._in_section
        opened, closed = text.rfind(_OPEN), text.rfind(_CLOSE)
        if opened != closed:
            self._in_section = opened > closed
        if _REFERENCE.search(text) is None:
            return text
        return self._with_references(text, line, was_in_section)

    def _with_references(self, text: str, line: int, in_section: bool) -> str:
        parts, at = [], 0
        while at < len(text):
            end = text.find(_CLOSE if in_section else _OPEN, at)
            end = len(text) if end < 0 else end
            part = text[at:end]
            parts.append(part if in_section else self._replaced(part, line, text, at))
            at, in_section = end, not in_section
        return "".join(parts)

    def _replaced(self, part: str, line: int, whole: str, at: int) -> str:
        counted = 0  # characters of `whole` whose lines are in `where`: counted anew for each they took 10 us a sign
        where = line

        def replace(match: re.Match[str]) -> str:
            nonlocal counted, where
            if match[1]:
                known = html.entities.html5.get(f"{match[1]};", "")
                return "".join(f"&#{ord(character)};" for character in known) or f"&amp;{match[1]};"
            where += whole.count("\n", counted, at + match.start())
            counted = at + match.start()
            if match[2]:
                self._faults.add("control_characters", "", where, match[0])
                return ""
            self._faults.add("bare_ampersand", "", where, part[max(0, match.start() - 20) : match.start() + 20])
            return "&amp;"

        return _REFERENCE.sub(replace, part)


def _in_chunks(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for start in range(0, len(text), CHUNK_CHARS):
            yield text[start : start + CHUNK_CHARS]
