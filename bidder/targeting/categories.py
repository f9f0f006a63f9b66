"""The category taxonomies of the IAB Tech Lab, and how a category of one reads in the one that advertisers use.

Advertisers write codes of Content Taxonomy 1.0 ("IAB18-3"); exchanges may send any (`cattax`, AdCOM list "Category
Taxonomies"). Their mappings are not exact, so there are two readings: a publisher's block covers whatever it might mean
(wide), and a page is about what it must mean (narrow). Content 2.0 to 3.1 share their ids, and so a table of mappings.
The files in bidder/targeting/taxonomies are the facts of github.com/InteractiveAdvertisingBureau/Taxonomies (IAB Tech
Lab, Creative Commons Attribution 3.0).
"""

import csv
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

CONTENT_1_0 = 1
# `cattax` -> the taxonomy whose mappings to Content 1.0 serve it.
_MAPPED_AS: Mapping[int, int] = {2: 2, 5: 2, 6: 2, 7: 2, 9: 2, 8: 8}

UNCATEGORISED = ""
"""Stands for an ad that says nothing, or nothing that can be checked, of what it advertises."""

_FOLDER = Path(__file__).parent / "taxonomies"
_CODE_1_0 = re.compile(r"IAB\d{1,2}(-\d{1,2})?")

# Codes whose reading is remembered: all that there are, and some that senders make up.
_REMEMBERED_CODES = 8_192
# No code is as long; what is cut off something longer cannot make it one.
MAX_CODE_CHARS = 40


class Taxonomies(NamedTuple):
    """The tables, read once a process: 15 ms."""

    parents: dict[tuple[int, str], str]  # (cattax, id) -> id; "" at the top
    children: dict[tuple[int, str], tuple[str, ...]]
    inwards: dict[tuple[int, str], frozenset[str]]  # (cattax, id) -> codes of Content 1.0, by the mapping from there
    outwards: dict[tuple[int, str], frozenset[str]]  # likewise, by the mapping from Content 1.0
    codes: frozenset[str]  # all of Content 1.0


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (_FOLDER / name).open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)


@functools.cache
def taxonomies() -> Taxonomies:
    """The tables; read at the first call."""
    parents: dict[tuple[int, str], str] = {}
    children: dict[tuple[int, str], tuple[str, ...]] = {}
    for row in _rows("categories.tsv"):
        taxonomy, code, parent = int(row["cattax"]), row["id"], row["parent"]
        parents[taxonomy, code] = parent
        children[taxonomy, parent] = (*children.get((taxonomy, parent), ()), code)
    inwards: dict[tuple[int, str], frozenset[str]] = {}
    outwards: dict[tuple[int, str], frozenset[str]] = {}
    for row in _rows("mappings.tsv"):
        source, target = (int(row["from_cattax"]), row["from_id"]), (int(row["to_cattax"]), row["to_id"])
        table, other, ours = (inwards, source, target) if target[0] == CONTENT_1_0 else (outwards, target, source)
        if ours in parents:  # one row of the source names a code that does not exist
            table[other] = table.get(other, frozenset()) | {ours[1]}
    codes = frozenset(code for taxonomy, code in parents if taxonomy == CONTENT_1_0)
    return Taxonomies(parents, children, inwards, outwards, codes)


def coded(codes: Iterable[str], taxonomy: int | None) -> tuple[str, ...]:
    """Codes of a taxonomy as one text each: "IAB18-3" of Content 1.0, "7:552" of any other.

    What looks like a code of Content 1.0 is one, whatever taxonomy the sender says.
    """
    if taxonomy is None or taxonomy == CONTENT_1_0:
        return tuple([code[:MAX_CODE_CHARS] for code in codes])
    names = [code.strip()[:MAX_CODE_CHARS] for code in codes]
    return tuple([name if _CODE_1_0.fullmatch(name.upper()) else f"{taxonomy}:{name}" for name in names])


def category_and_parents(codes: Iterable[str]) -> Iterator[str]:
    """The Content 1.0 categories that something with these codes is surely in: the narrow reading, for targeting."""
    for code in codes:
        yield from _surely(code)


def perhaps_categories(codes: Iterable[str]) -> Iterator[str]:
    """The Content 1.0 categories that something with these codes may be in: the wide reading, for denied categories."""
    for code in codes:
        yield from _perhaps(code)


def _upwards(code: str) -> Iterator[str]:
    """A code of Content 1.0 and its parent, whether or not the table has it."""
    yield code
    parent, dash, _child = code.partition("-")
    if dash:
        yield parent


@functools.lru_cache(maxsize=_REMEMBERED_CODES)
def _surely(code: str) -> frozenset[str]:
    taxonomy, name = _split(code)
    if taxonomy == CONTENT_1_0:
        return frozenset(_upwards(name))
    tables, mapped_as = taxonomies(), _MAPPED_AS.get(taxonomy)
    if mapped_as is None:
        return frozenset()
    found: frozenset[str] = frozenset()
    for each in _line_of(tables, taxonomy, name):  # what is in a category is in its parents too
        meanings = tables.inwards.get((mapped_as, each), frozenset())
        if meanings:
            found |= frozenset.intersection(*(frozenset(_upwards(meaning)) for meaning in meanings))
    return found


@functools.lru_cache(maxsize=_REMEMBERED_CODES)
def _perhaps(code: str) -> frozenset[str]:
    taxonomy, name = _split(code)
    if taxonomy == CONTENT_1_0:
        return frozenset(_upwards(name))
    tables, mapped_as = taxonomies(), _MAPPED_AS.get(taxonomy)
    if mapped_as is None:
        return frozenset()
    meanings = {
        meaning
        for each in _line_of(tables, taxonomy, name)
        for table in (tables.inwards, tables.outwards)
        for meaning in table.get((mapped_as, each), frozenset())
    }
    return frozenset(each for meaning in meanings for each in _upwards(meaning))


def _split(code: str) -> tuple[int, str]:
    taxonomy, colon, name = code.partition(":")
    if colon and taxonomy.isascii() and taxonomy.removeprefix("-").isdigit():
        return int(taxonomy), name
    return CONTENT_1_0, code.strip().upper()


def _line_of(tables: Taxonomies, taxonomy: int, code: str) -> Iterator[str]:
    """A code with all its parents; nothing for one that the taxonomy does not have."""
    while code and (taxonomy, code) in tables.parents:
        yield code
        code = tables.parents[taxonomy, code]


def refused_categories(
    blocked: tuple[str, ...] | None,
    allowed: tuple[str, ...] | None,
    taxonomy: int | None,
    admits_uncategorised: bool,
) -> Iterator[str]:
    """What an ad must not say it advertises: `bcat` and `acat` in Content 1.0, with `UNCATEGORISED`, read wide.

    Of a taxonomy that we cannot read no ad can be shown to comply, so it refuses all of them.
    """
    if not blocked and not allowed:
        return
    if not admits_uncategorised:
        yield UNCATEGORISED
    known = taxonomies().codes
    for code in coded(blocked or (), taxonomy):
        refused = _blocked_by(code)
        yield from known if refused is None else refused
    if allowed:
        admitted = [_allowed_by(code) for code in coded(allowed, taxonomy)]
        yield from known.difference(*admitted)


@functools.lru_cache(maxsize=_REMEMBERED_CODES)
def _blocked_by(code: str) -> frozenset[str] | None:
    """All codes of Content 1.0 that a blocked one may mean; None: nobody can tell."""
    taxonomy, name = _split(code)
    tables = taxonomies()
    if taxonomy == CONTENT_1_0:
        return frozenset((name, *_downwards(tables, CONTENT_1_0, name)))
    mapped_as = _MAPPED_AS.get(taxonomy)
    if mapped_as is None:
        return None
    if (taxonomy, name) not in tables.parents:  # nothing of ours is mapped to what the taxonomy does not have
        return frozenset()
    meanings = {
        meaning
        for each in (name, *_downwards(tables, taxonomy, name))
        for table in (tables.inwards, tables.outwards)
        for meaning in table.get((mapped_as, each), frozenset())
    }
    for each in _line_of(tables, taxonomy, name):  # a category without a mapping may mean whatever its parent means
        if found := tables.inwards.get((mapped_as, each)):
            meanings |= found
            break
    return frozenset(each for meaning in meanings for each in (meaning, *_downwards(tables, CONTENT_1_0, meaning)))


@functools.lru_cache(maxsize=_REMEMBERED_CODES)
def _allowed_by(code: str) -> frozenset[str]:
    """The codes of Content 1.0 that an allowed one surely covers."""
    taxonomy, name = _split(code)
    tables = taxonomies()
    if taxonomy == CONTENT_1_0:
        return frozenset((name, *_downwards(tables, CONTENT_1_0, name)))
    mapped_as = _MAPPED_AS.get(taxonomy, 0)
    covered = (name, *_downwards(tables, taxonomy, name))
    return frozenset(each for other in covered for each in tables.outwards.get((mapped_as, other), frozenset()))


def _downwards(tables: Taxonomies, taxonomy: int, code: str) -> Iterator[str]:
    """Everything below a code."""
    for child in tables.children.get((taxonomy, code), ()):
        yield child
        yield from _downwards(tables, taxonomy, child)


def advertised(codes: Iterable[str]) -> frozenset[str]:
    """What an ad with these codes of Content 1.0 is looked up by among `refused_categories`.

    A code that the taxonomy does not have cannot be checked against other taxonomies: the ad is uncategorised too.
    """
    known, found = taxonomies().codes, set[str]()
    for code in codes:
        name = code.strip().upper()
        if _CODE_1_0.fullmatch(name):
            found |= {name} if name in known else {*_upwards(name), UNCATEGORISED}
    return frozenset(found or {UNCATEGORISED})
