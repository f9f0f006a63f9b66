"""An index in two layers: a base, and above it the line items that have changed since the base was compiled.

Compiling 100,000 line items takes seconds, compiling those that a change touches takes milliseconds. So changes become
an *overlay*: a small index whose positions follow those of the base. What the base has of the same line items is struck
out: these positions stay, belong to line item 0 and are never active. Everybody else sees one index. An overlay is
always compiled against its base and replaces the overlay before it; when it has grown large, a new base is compiled
(bidder.compile.installing). It is the scheme of log-structured merge trees (O'Neil et al. 1996) with one level.
"""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bidder.targeting.compiled import Compiled
from bidder.targeting.dimensions import Dimension, Layered, LayeredDeals
from bidder.targeting.index import Index, LineArrays
from core.errors import CatalogueError

Integers = NDArray[np.int64]
Name = TypeVar("Name", int, str)


# Line items between two steps of `layered`: about a millisecond.
A_STEP = 2_000


class Overlay(NamedTuple):
    """What differs from a base: `replaced` are ids of line items that `compiled` has anew, or that are gone."""

    base_version: int
    replaced: Integers
    compiled: Compiled


def layered(base: Compiled, overlay: Overlay) -> Generator[None, None, Compiled]:
    """Base and overlay as one, in steps between which the event loop may serve requests. `base` stays as it is.

    Raises CatalogueError for an overlay of another base.
    """
    below, above = base.index, overlay.compiled.index
    if overlay.base_version != below.version:
        raise CatalogueError(
            f"an overlay of catalogue {overlay.base_version} does not fit {below.version}", hint="compile it whole"
        )
    gone = _struck_out(below, overlay.replaced)
    yield
    names = _Names(below, above)
    lines = yield from _lines(below, above, names, gone)
    pools = above.pools.above(below.pools, gone)
    yield
    by_line_item = yield from _by_line_item(below, above, overlay.replaced)
    caps = overlay.compiled.caps.above(base.caps, overlay.replaced)
    yield
    index = Index(
        version=above.version,
        published_ms=above.published_ms,
        count=below.count + above.count,
        lines=lines,
        fields=above.fields,
        dimensions=_dimensions(below.dimensions, above.dimensions),
        segments=Layered(below.segments, above.segments),
        excluded_segments=Layered(below.excluded_segments, above.excluded_segments),
        deals=LayeredDeals(below.deals, above.deals),
        by_line_item=by_line_item,
        modifiers=above.modifiers.above(below.modifiers, below.count),
        ads=np.concatenate((below.ads, above.ads)),
        ad_ends=np.concatenate((below.ad_ends, above.ad_ends + len(below.ads))),
        ad_list=np.concatenate((below.ad_list, above.ad_list + len(below.ad_ends))),
        # The base's line items with a creative that has changed are all struck out.
        creatives=below.creatives | above.creatives,
        unapproved=below.unapproved | above.unapproved,
        exchanges=above.exchanges,
        currencies=names.currencies,
        timezones=names.timezones,
        fx=above.fx,
        pools=pools,
        owners=names.owners,
    )
    return Compiled.of(index, caps, overlay.compiled.shops)


def _struck_out(below: Index, replaced: Integers) -> Integers:
    """Positions of the base that the replaced line items had."""
    found: list[int] = []
    for line_item in replaced.tolist():
        found += below.by_line_item.get(line_item, ())
    return np.array(found, dtype=np.int64)


class _Names:
    """What positions refer to by number, for both layers: the base's numbers stay, the overlay's are translated."""

    def __init__(self, below: Index, above: Index) -> None:
        self.currencies = _united(below.currencies, above.currencies)
        self.timezones = _united(below.timezones, above.timezones)
        owners = _united(tuple(below.owners), tuple(above.owners))
        self.owners = {advertiser: number for number, advertiser in enumerate(owners)}
        self.of_currency = _translation(above.currencies, self.currencies)
        self.of_timezone = _translation(above.timezones, self.timezones)
        self.of_owner = _translation(tuple(above.owners), owners)


def _united(below: tuple[Name, ...], above: tuple[Name, ...]) -> tuple[Name, ...]:
    return tuple(dict.fromkeys(below + above))


def _translation(names: Sequence[Any], united: Sequence[Any]) -> Integers:
    number = {name: at for at, name in enumerate(united)}
    return np.array([number[name] for name in names], dtype=np.int64)


def _lines(below: Index, above: Index, names: _Names, gone: Integers) -> Generator[None, None, LineArrays]:
    translated = {
        "currency": names.of_currency[above.lines.currency],
        "timezone": names.of_timezone[above.lines.timezone],
        "owner": names.of_owner[above.lines.owner],
        "hour_pattern": above.lines.hour_pattern + len(below.lines.hours),
    }
    arrays: dict[str, NDArray[Any]] = {}
    for name in LineArrays.__struct_fields__:
        upper = translated.get(name, getattr(above.lines, name))
        arrays[name] = np.concatenate((getattr(below.lines, name), upper))
        yield
    arrays["line_item"][gone] = 0
    arrays["active"][gone] = False
    return LineArrays(**arrays)


def _by_line_item(below: Index, above: Index, replaced: Integers) -> Generator[None, None, dict[int, tuple[int, ...]]]:
    places = dict(below.by_line_item)
    yield
    for line_item in replaced.tolist():
        places.pop(line_item, None)
    yield
    for number, (line_item, positions) in enumerate(above.by_line_item.items()):
        places[line_item] = tuple([position + below.count for position in positions])
        if number % A_STEP == 0:
            yield
    return places


def _dimensions(below: dict[str, Dimension], above: dict[str, Dimension]) -> dict[str, Dimension]:
    return {name: Layered(dimension, above[name]) for name, dimension in below.items()}
