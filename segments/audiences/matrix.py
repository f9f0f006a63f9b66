"""The segmentation matrix: two facts crossed into a grid of segments, such as lifetime value by last visit.

Every axis is cut into bands that exclude each other and, with the band of visitors without the fact, cover everybody;
so each visitor is in exactly one cell and the cells add up to all visitors. Each cell is an ordinary rule.
"""

import itertools
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from core.errors import InputError
from segments.audiences.ready_made import duration_text, money_text, quoted
from segments.rules.check import check
from segments.rules.errors import did_you_mean
from segments.rules.vocabulary import Fact, Type, fact_named, names

# A person can read a grid of this size, and its cells are not empty in a shop with ten thousand visitors.
MAX_BANDS = 10

CountCells = Callable[[Sequence[str]], Awaitable[Sequence[int]]]
"""Gives for each rule of a list how many visitors it holds for, in order."""


class Band(msgspec.Struct, frozen=True):
    """One part of an axis: `rule` holds for its visitors."""

    label: str
    rule: str


class Axis(msgspec.Struct, frozen=True):
    """One fact, cut into bands."""

    fact: str
    bands: tuple[Band, ...]


class Cell(msgspec.Struct, frozen=True):
    """One segment of the grid; `row` and `column` are labels of bands, `visitors` is None before counting."""

    row: str
    column: str
    rule: str
    visitors: int | None = None


class Matrix(msgspec.Struct, frozen=True):
    """`cells[row][column]`."""

    rows: Axis
    columns: Axis
    cells: tuple[tuple[Cell, ...], ...]

    @property
    def visitors(self) -> int:
        """All visitors that were counted."""
        return sum(cell.visitors or 0 for row in self.cells for cell in row)


def axis(fact_name: str, cuts: Sequence[int | str] = (), *, currency: str) -> Axis:
    """The bands of a fact.

    `cuts` are ascending bounds for numbers, money (micros) and times (seconds): a band begins at each of them. For
    texts they are the values that get a band of their own. Words (lifecycle, cart.stage) need no cuts.
    Raises InputError.
    """
    fact = fact_named(fact_name)
    if fact is None:
        raise InputError(f'there is no fact "{fact_name}"', hint=did_you_mean(fact_name, names()))
    if fact.type is Type.TEXTS or (fact.type is Type.ATTRIBUTE and not all(isinstance(cut, str) for cut in cuts)):
        raise InputError(f"{fact_name} cannot be an axis", hint="a visitor may be in several of its bands at once")
    if fact.type is Type.WORD:
        bands = [Band(word, f"{fact_name} = {word}") for word in fact.words[1:]]
    elif fact.type in {Type.TEXT, Type.ATTRIBUTE}:
        bands = _text_bands(fact_name, [str(cut) for cut in cuts])
    else:
        bands = _ordered_bands(fact, cuts, currency)
    if not fact.always:
        bands.append(Band("none", " and ".join(f"not ({band.rule})" for band in bands)))
    if not 1 < len(bands) <= MAX_BANDS:
        raise InputError(f"{fact_name} has {len(bands)} bands", hint=f"2 to {MAX_BANDS} bands make a matrix")
    for band in bands:
        check(band.rule, currency)
    return Axis(fact_name, tuple(bands))


def matrix(rows: Axis, columns: Axis) -> Matrix:
    """The grid of two axes, not counted yet."""
    cells = tuple(
        tuple(Cell(row.label, column.label, f"({row.rule}) and ({column.rule})") for column in columns.bands)
        for row in rows.bands
    )
    return Matrix(rows, columns, cells)


async def counted(grid: Matrix, count: CountCells) -> Matrix:
    """The grid with the number of visitors in each cell; `count` is asked once, for all cells."""
    numbers = iter(await count([cell.rule for row in grid.cells for cell in row]))
    cells = tuple(tuple(msgspec.structs.replace(cell, visitors=next(numbers)) for cell in row) for row in grid.cells)
    return msgspec.structs.replace(grid, cells=cells)


def _text_bands(fact_name: str, values: list[str]) -> list[Band]:
    folded = [value.casefold() for value in values]
    if len(set(folded)) != len(folded):
        raise InputError(f"{fact_name} has one value twice", hint="upper and lower case are the same")
    bands = [Band(value, f"{fact_name} = {quoted(value)}") for value in values]
    others = " and ".join(f"not ({band.rule})" for band in bands)
    return [*bands, Band("other", f"has {fact_name} and {others}")] if bands else []


def _ordered_bands(fact: Fact, cuts: Sequence[int | str], currency: str) -> list[Band]:
    bounds = [cut for cut in cuts if isinstance(cut, int) and not isinstance(cut, bool)]
    if len(bounds) != len(cuts) or not bounds or bounds != sorted(set(bounds)):
        raise InputError(f"{fact.name} needs ascending numbers as bounds", hint="write for example 1, 3 and 10")
    if fact.type is Type.MOMENT and bounds[0] <= 0:
        raise InputError(f"{fact.name} needs bounds above 0", hint="seconds since then, for example 604800")
    ago = " ago" if fact.type is Type.MOMENT else ""
    texts = [_bound(fact, bound, currency) for bound in bounds]
    bands = [Band(f"< {texts[0]}{ago}", f"{fact.name} < {texts[0]}{ago}")]
    for low, high in itertools.pairwise(texts):
        rule = f"{fact.name} >= {low}{ago} and {fact.name} < {high}{ago}"
        bands.append(Band(f"{low} to {high}{ago}", rule))
    bands.append(Band(f">= {texts[-1]}{ago}", f"{fact.name} >= {texts[-1]}{ago}"))
    return bands


def _bound(fact: Fact, bound: int, currency: str) -> str:
    if fact.type is Type.MONEY:
        return money_text(bound, currency)
    return str(bound) if fact.type is Type.NUMBER else duration_text(bound)
