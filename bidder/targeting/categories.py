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
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bidder.openrtb.enums import CONTENT_1_0, EVERYBODY

# `cattax` -> the taxonomy whose mappings to Content 1.0 serve it.
_MAPPED_AS: Mapping[int, int] = {2: 2, 5: 2, 6: 2, 7: 2, 9: 2, 8: 8}

BLOCKED_CATEGORY = "blocked_category"
"""Name of the field that compares ads with what a request blocks."""

UNFIT_FOR_CHILDREN = (
    (
        "IAB7-5", "IAB7-28", "IAB7-39", "IAB7-42", "IAB7-45", "IAB8-5", "IAB8-18", "IAB9-7", "IAB9-9", "IAB11-4",
        "IAB14-1", "IAB14-3", "IAB17-18", "IAB18-2", "IAB23-10", "IAB25", "IAB26",
    ),
    None,
    1,
    False,
)  # fmt: skip
"""What the field reads of a request that blocks what children must not be shown, as far as Content 1.0 can say it.

Alcohol, tobacco, gambling, weapons, drugs, dating, sexuality, body art, weight loss and unproven medicine, and all
that is illegal or non-standard: the list of California's Business and Professions Code 22580, which is the longer one.
An ad without categories is none for children either.
"""

UNCATEGORISED = ""
"""Stands for an ad that says nothing, or nothing that can be checked, of what it advertises."""

OF_WHO_MADE_IT = "maker"
"""Marks categories of a publisher or producer: a page of theirs may be about anything else, so they only deny."""

Codes = tuple[int | None, tuple[str, ...]] | tuple[int | None, tuple[str, ...], str]
Listed = str | Codes
"""What a page is about: a code of Content 1.0, or (`cattax`, its codes), and a mark where they are a maker's."""

_FOLDER = Path(__file__).parent / "taxonomies"
_CODE_1_0 = re.compile(r"IAB\d{1,2}(-\d{1,2})?")

# Codes whose reading is remembered: all that there are, and those that look like one.
_REMEMBERED_CODES = 16_384


class Taxonomies(NamedTuple):
    """The tables, read once a process: 15 ms."""

    parents: dict[tuple[int, str], str]  # (cattax, id) -> id; "" at the top
    children: dict[tuple[int, str], tuple[str, ...]]
    inwards: dict[tuple[int, str], frozenset[str]]  # (cattax, id) -> codes of Content 1.0, by the mapping from there
    outwards: dict[tuple[int, str], frozenset[str]]  # likewise, by the mapping from Content 1.0
    names: dict[int, frozenset[str]]  # cattax -> its ids


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
    names: dict[int, set[str]] = {}
    for taxonomy, code in parents:
        names.setdefault(taxonomy, set()).add(code)
    return Taxonomies(parents, children, inwards, outwards, {each: frozenset(ids) for each, ids in names.items()})


class _Codes(NamedTuple):
    """What a sender's codes are: ids of its taxonomy, codes of Content 1.0 (also among others), or neither."""

    own: frozenset[str]
    of_1_0: frozenset[str]
    others: bool  # whether there are any that are neither


def _read(codes: Iterable[str], taxonomy: int) -> _Codes:
    """Sort codes, in set operations: a request of 2 MB holds 200,000 of them, of which a thousand can be real."""
    texts = set(map(str.strip, codes))
    texts.discard("")
    known = taxonomies().names.get(taxonomy, frozenset()) if taxonomy != CONTENT_1_0 else frozenset[str]()
    own = known & texts
    left = set(filter(_CODE_1_0.fullmatch, map(str.upper, texts - own)))
    return _Codes(own, frozenset(left), len(own) + len(left) < len(texts))


def category_and_parents(listed: Iterable[Listed]) -> Iterator[str]:
    """The Content 1.0 categories that something of these is surely in: the narrow reading, for targeting."""
    return _meanings([each for each in listed if isinstance(each, str) or OF_WHO_MADE_IT not in each], _surely)


def perhaps_categories(listed: Iterable[Listed]) -> Iterator[str]:
    """The Content 1.0 categories that something of these may be in: the wide reading, for denied categories."""
    return _meanings(listed, _perhaps)


def _meanings(listed: Iterable[Listed], meaning: Callable[[int, str], frozenset[str]]) -> Iterator[str]:
    plain: list[str] = []
    for each in listed:
        if isinstance(each, str):
            plain.append(each)
        else:
            taxonomy = each[0] or CONTENT_1_0
            codes = _read(each[1], taxonomy)
            plain += codes.of_1_0
            for code in codes.own:
                yield from meaning(taxonomy, code)
    for code in _read(plain, CONTENT_1_0).of_1_0:
        yield from _upwards(code)


def _upwards(code: str) -> Iterator[str]:
    """A code of Content 1.0 and its parent, whether or not the table has it."""
    yield code
    parent, dash, _child = code.partition("-")
    if dash:
        yield parent


@functools.lru_cache(maxsize=_REMEMBERED_CODES)
def _surely(taxonomy: int, code: str) -> frozenset[str]:
    tables, mapped_as = taxonomies(), _MAPPED_AS.get(taxonomy, 0)
    found: frozenset[str] = frozenset()
    for each in _line_of(tables, taxonomy, code):  # what is in a category is in its parents too
        meanings = tables.inwards.get((mapped_as, each), frozenset())
        if meanings:
            found |= frozenset.intersection(*(frozenset(_upwards(meaning)) for meaning in meanings))
    return found


@functools.lru_cache(maxsize=_REMEMBERED_CODES)
def _perhaps(taxonomy: int, code: str) -> frozenset[str]:
    tables, mapped_as = taxonomies(), _MAPPED_AS.get(taxonomy, 0)
    meanings = {
        meaning
        for each in _line_of(tables, taxonomy, code)
        for table in (tables.inwards, tables.outwards)
        for meaning in table.get((mapped_as, each), frozenset())
    }
    return frozenset(each for meaning in meanings for each in _upwards(meaning))


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
) -> set[str]:
    """What an ad must not say it advertises: `bcat` and `acat` in Content 1.0, with `UNCATEGORISED`, read wide.

    With a taxonomy that we cannot read, no ad can be shown to comply, so all are refused. An id that a taxonomy does
    not have refuses nothing: no category of ours is mapped to it.
    """
    refused: set[str] = set()
    if not blocked and not allowed:
        return refused
    if not admits_uncategorised:
        refused.add(UNCATEGORISED)
    number = taxonomy or CONTENT_1_0
    is_readable = number == CONTENT_1_0 or number in _MAPPED_AS
    known = taxonomies().names[CONTENT_1_0]
    if blocked and EVERYBODY in blocked:
        return {UNCATEGORISED, *known}
    if blocked:
        codes = _read(blocked, number)
        if not is_readable and (codes.own or codes.others):
            refused |= known
        refused.update(*(_blocked_by(number, code) for code in codes.own))
        refused.update(*(_blocked_by(CONTENT_1_0, code) for code in codes.of_1_0))
    if allowed:
        codes = _read(allowed, number)
        admitted = [_allowed_by(number, code) for code in codes.own]
        admitted += [_allowed_by(CONTENT_1_0, code) for code in codes.of_1_0]
        refused |= known.difference(*admitted)
    return refused


@functools.lru_cache(maxsize=_REMEMBERED_CODES)
def _blocked_by(taxonomy: int, code: str) -> frozenset[str]:
    """All codes of Content 1.0 that a blocked one may mean."""
    tables = taxonomies()
    if taxonomy == CONTENT_1_0:
        return frozenset((code, *_downwards(tables, CONTENT_1_0, code)))
    mapped_as = _MAPPED_AS.get(taxonomy, 0)
    meanings = {
        meaning
        for each in (code, *_downwards(tables, taxonomy, code))
        for table in (tables.inwards, tables.outwards)
        for meaning in table.get((mapped_as, each), frozenset())
    }
    for each in _line_of(tables, taxonomy, code):  # a category without a mapping may mean whatever its parent means
        if found := tables.inwards.get((mapped_as, each)):
            meanings |= found
            break
    return frozenset(each for meaning in meanings for each in (meaning, *_downwards(tables, CONTENT_1_0, meaning)))


@functools.lru_cache(maxsize=_REMEMBERED_CODES)
def _allowed_by(taxonomy: int, code: str) -> frozenset[str]:
    """The codes of Content 1.0 that an allowed one surely covers."""
    tables = taxonomies()
    if taxonomy == CONTENT_1_0:
        return frozenset((code, *_downwards(tables, CONTENT_1_0, code)))
    mapped_as = _MAPPED_AS.get(taxonomy, 0)
    covered = (code, *_downwards(tables, taxonomy, code))
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
    known, found = taxonomies().names[CONTENT_1_0], set[str]()
    for code in codes:
        name = code.strip().upper()
        if _CODE_1_0.fullmatch(name):
            found |= {name} if name in known else {*_upwards(name), UNCATEGORISED}
    return frozenset(found or {UNCATEGORISED})
