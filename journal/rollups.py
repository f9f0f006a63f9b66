"""Roll-ups: sums by a quarter of an hour, a file a day, so that a month is answered without reading its rows.

There are three cubes: by what is bought (`line`), by where it is shown as well (`place`), and by product. A day's file
of a kind and cube grows by an hour at a time, when the hour is over and its parts are one file. What is in it is
written down in one small file: of each hour the number of the last part that is summed up. Parts with higher numbers
are the hour's tail, and are read as rows: so an answer has everything, whatever has been summed up so far. An hour
whose parts have been merged beyond that number since counts as not summed up, until it is done again.

No row of a roll-up says anything of a person.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from core.disk import write_whole
from core.errors import UnavailableError
from journal.archive import HOUR_MS, Archive, HourPart
from journal.columnar import Columnar, files_sql
from journal.figures import ASSIST, QUARTER_MS, SUMS, TIMES, bid_source, click_source, expression
from journal.rows import ANSWER, BID, BILL, CLICK, CONVERSION, KINDS, SHOP, SHOWN, JournalKind

FOLDER: Final = "rollups"
MANIFEST_FILE: Final = "rollups.json"
VERSION: Final = 1
"""Of the manifest and the files it names; what another version has made is made again."""

HOURS_OF_DAY: Final = 24
QUARTERS_OF_HOUR: Final = HOUR_MS // QUARTER_MS
# A file that is out of the manifest may still be read by a question that was asked before.
_LEFTOVER_S: Final = 120.0
# An order is credited to a bid of up to 30 days before, whose notices come up to seven hours after it.
_TOUCH_HOURS: Final = 30 * 24 + 8


class Cube(NamedTuple):
    """Dimensions by which sums are kept."""

    name: str
    dimensions: tuple[str, ...]


_LINE = ("advertiser", "campaign", "line_item", "creative", "exchange", "format", "size")
CUBES: Final = (
    Cube("line", _LINE),
    Cube("place", (*_LINE, "deal", "country", "device", "reason")),
    Cube("product", ("advertiser", "campaign", "line_item", "creative", "exchange", "product")),
)
ROLLED: Final = tuple(dict.fromkeys(measure.kind for measure in SUMS.values() if measure.kind not in (ASSIST, SHOP)))
"""Kinds of which sums are kept."""


def dimensions_of(cube: Cube, kind: JournalKind) -> tuple[str, ...]:
    """Those of the cube that a kind can be told by."""
    return tuple(name for name in cube.dimensions if expression(name, kind) is not None)


def cubes_of(kind: JournalKind) -> tuple[Cube, ...]:
    """The cubes that are kept of a kind: requests are nobody's, and have one; carts and assists have none."""
    if kind in (ASSIST, SHOP):
        return ()
    return CUBES[1:2] if kind is ANSWER else CUBES


def cube_for(kind: JournalKind, used: Iterable[str]) -> Cube | None:
    """The smallest cube that tells a kind by all these dimensions; None where only the rows do."""
    wanted = {name for name in used if name not in TIMES and name != "currency"}
    return next((cube for cube in cubes_of(kind) if wanted <= set(dimensions_of(cube, kind))), None)


class _DayRollup(msgspec.Struct):
    """One kind's day. `upto`: hour of the day -> number of its last part that is in, and `last_part` of the bids."""

    version: int = 0  # of its files: each time they are written under another name
    upto: dict[int, tuple[int, int]] = {}


class _Manifest(msgspec.Struct):
    version: int = VERSION
    kinds: dict[str, dict[int, _DayRollup]] = {}


class CoveredHours(NamedTuple):
    """What some hours of a kind are read of: files of a cube that count whole, others, and files of rows.

    `excluded` are hours in `partial` that do not count.
    """

    whole: list[Path]
    partial: list[Path]
    excluded: list[int]
    rest: list[Path]
    rest_hours: list[int]


class Rollups:
    """The roll-ups beside the Parquet files of one archive, as a reader sees them."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.folder = archive.folder / FOLDER
        self._read: tuple[int, _Manifest] | None = None

    def path(self, kind: JournalKind, cube: Cube, day: int, version: int) -> Path:
        """The file of a kind, cube and day since 1970."""
        return self.folder / f"{kind.name}.{cube.name}" / f"{day:06d}.{version:06d}.parquet"

    def manifest(self) -> _Manifest:
        """What is summed up; nothing where nobody has, or another version did."""
        path = self.folder / MANIFEST_FILE
        try:
            changed = path.stat().st_mtime_ns
            if self._read is None or self._read[0] != changed:
                self._read = (changed, msgspec.json.decode(path.read_bytes(), type=_Manifest))
        except (FileNotFoundError, msgspec.DecodeError):
            return _Manifest()
        return self._read[1] if self._read[1].version == VERSION else _Manifest()

    def covered(self, kind: JournalKind, cube: Cube | None, first: int, last: int) -> CoveredHours:
        """Hours from `first`, before `last`, as sums and as rows; without a cube all of them as rows."""
        # The manifest is read before the parts are listed: a part that is merged in between is read as rows.
        days = self.manifest().kinds.get(kind.name, {}) if cube is not None else {}
        found = CoveredHours([], [], [], [], [])
        hours = set(self._archive.hours(kind.name, first, last))
        for day, rollup in days.items() if cube is not None else ():
            begins = day * HOURS_OF_DAY
            inside = [begins + hour for hour in rollup.upto if first <= begins + hour < last]
            tails = {hour: self.tail(kind, hour, rollup.upto[hour - begins]) for hour in inside}
            valid = {hour: tail for hour, tail in tails.items() if tail is not None}
            if not valid or cube is None:
                continue
            # Of most days all rows count, and nobody looks at the hour of each.
            excluded = [
                hour for hour in range(begins, begins + HOURS_OF_DAY) if first <= hour < last and hour not in valid
            ]
            (found.partial if excluded else found.whole).append(self.path(kind, cube, day, rollup.version))
            found.excluded.extend(excluded)
            hours -= valid.keys()
            for hour, tail in valid.items():
                found.rest.extend(part.path for part in tail)
                found.rest_hours.extend([hour] if tail else [])
        for hour in sorted(hours):
            paths = [part.path for part in self._archive.parts(kind.name, hour)]
            found.rest.extend(paths)
            if paths:
                found.rest_hours.append(hour)
        return found

    def tail(self, kind: JournalKind, hour: int, upto: tuple[int, int]) -> list[HourPart] | None:
        """Parts of an hour that are not in its sums; None where the sums do not count any more."""
        last, last_of_bids = upto
        parts = self._archive.parts(kind.name, hour)
        if any(part.first <= last < part.last for part in parts):
            return None
        if looks_at_bids(kind) and not last_of_bids >= last_part(self._archive, hour):
            return None
        return [part for part in parts if part.first > last]


def looks_at_bids(kind: JournalKind) -> bool:
    """Whether rows of a kind are told by the rows of bids of the same hour."""
    return kind not in (BID, ANSWER, CONVERSION)


def last_part(archive: Archive, hour: int) -> int:
    """A number that grows with each part of what is known of the bids of an hour; 0 without any.

    The last part of the bids and that of what their ads showed, together: neither ever falls while rows are kept.
    """
    return sum(max((part.last for part in archive.parts(kind.name, hour)), default=0) for kind in (BID, SHOWN))


class RollupWriter:
    """Keeps the roll-ups of one archive; there is one, which the worker's lock keeps so."""

    def __init__(self, archive: Archive, columnar: Columnar) -> None:
        self._archive, self._columnar = archive, columnar
        self._rollups = Rollups(archive)

    @functools.cached_property
    def _manifest(self) -> _Manifest:
        """Read when it is first used: another worker may have had the folder until then."""
        return self._rollups.manifest()

    def is_done(self, kind: JournalKind, hour: int) -> bool:
        """Whether an hour is in the sums, but perhaps for a tail."""
        day = self._manifest.kinds.get(kind.name, {}).get(hour // HOURS_OF_DAY)
        upto = day.upto.get(hour % HOURS_OF_DAY) if day is not None else None
        return upto is not None and self._rollups.tail(kind, hour, upto) is not None

    def tail(self, kind: JournalKind, hour: int) -> list[HourPart]:
        """Parts of an hour that are not in its sums."""
        day = self._manifest.kinds.get(kind.name, {}).get(hour // HOURS_OF_DAY)
        upto = day.upto.get(hour % HOURS_OF_DAY, (0, 0)) if day is not None else (0, 0)
        return self._rollups.tail(kind, hour, upto) or []

    def roll_up(self, kind: JournalKind, hours: Sequence[int], until: Callable[[], bool] = lambda: False) -> int:
        """Sum up hours that are over, each day's together, the newest first; how many. Stops where `until` says so.

        Raises UnavailableError.
        """
        done = 0
        by_day: dict[int, list[int]] = {}
        for hour in hours:
            if self._archive.parts(kind.name, hour):
                by_day.setdefault(hour // HOURS_OF_DAY, []).append(hour)
        for day in sorted(by_day, reverse=True):
            if until():
                break
            self._roll_up_day(kind, day, by_day[day])
            done += len(by_day[day])
        return done

    def forget(self, hours: Iterable[int]) -> None:
        """Have the sums of hours made again whose bids were written anew, since they may say less now."""
        changed = set(hours)
        for days in self._manifest.kinds.values():
            for day, rollup in days.items():
                for hour in [hour for hour in rollup.upto if day * HOURS_OF_DAY + hour in changed]:
                    del rollup.upto[hour]
        if changed:
            self._save()

    def drop_before(self, day: int) -> None:
        """Forget days that are older than sums are kept."""
        if any(each < day for days in self._manifest.kinds.values() for each in days):
            for kind, days in self._manifest.kinds.items():
                self._manifest.kinds[kind] = {each: rollup for each, rollup in days.items() if each >= day}
            self._save()

    def tidy(self, now_s: float) -> int:
        """Remove files that no question can be reading any more; how many."""
        named = {
            self._rollups.path(KINDS[kind], cube, day, rollup.version)
            for kind, days in self._manifest.kinds.items()
            for day, rollup in days.items()
            for cube in cubes_of(KINDS[kind])
        }
        found = self._rollups.folder.glob("*/*.parquet") if self._rollups.folder.is_dir() else ()
        old = [path for path in found if path not in named and now_s - path.stat().st_mtime >= _LEFTOVER_S]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _roll_up_day(self, kind: JournalKind, day: int, hours: Sequence[int]) -> None:
        rollup = self._manifest.kinds.setdefault(kind.name, {}).setdefault(day, _DayRollup())
        parts = {hour: self._archive.parts(kind.name, hour) for hour in hours}
        bids = {hour: last_part(self._archive, hour) for hour in hours}
        kept = [hour for hour in rollup.upto if day * HOURS_OF_DAY + hour not in parts]
        version = rollup.version + 1
        for cube in cubes_of(kind):
            path = self._rollups.path(kind, cube, day, version)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            made = [self._summed(kind, cube, [part.path for listed in parts.values() for part in listed], hours)]
            if kept:
                first = [day * HOURS_OF_DAY + hour for hour in kept]
                before = files_sql([self._rollups.path(kind, cube, day, rollup.version)])
                listed = ", ".join(map(str, first))
                made.append(f"SELECT * FROM {before} WHERE quarter // {QUARTERS_OF_HOUR} IN ({listed})")  # noqa: S608 - numbers of ours
            order = [f'"{name}"' for name in dimensions_of(cube, kind)[:3]]
            self._columnar.copy(" UNION ALL BY NAME ".join(made), path, order_by=[*order, "quarter"])
        rollup.version = version
        rollup.upto = {hour: rollup.upto[hour] for hour in kept} | {
            hour % HOURS_OF_DAY: (max(part.last for part in parts[hour]), bids[hour]) for hour in hours
        }
        self._save()

    def _summed(self, kind: JournalKind, cube: Cube, files: Sequence[Path], hours: Sequence[int]) -> str:
        """The sums of rows by the dimensions of a cube, as SQL."""
        names = dimensions_of(cube, kind)
        chosen = [f"(e.{kind.hour_of} // {QUARTER_MS})::INTEGER AS quarter"]
        chosen += [f'{expression(name, kind)} AS "{name}"' for name in names]
        if kind in (BILL, CONVERSION):
            chosen.append("e.currency AS currency")
        groups = ", ".join(str(at + 1) for at in range(len(chosen)))
        chosen += [
            f'coalesce({measure.sql}, 0)::BIGINT AS "{name}"' for name, measure in SUMS.items() if measure.kind is kind
        ]
        rows = files_sql(files)
        source = bid_source(rows, names, whole=True) if kind is BID else rows
        if kind is CLICK:
            source = click_source(rows)
        join = (
            ""
            if kind in (BID, ANSWER)
            else f" LEFT JOIN {self._bids(kind, names, files, hours)} b ON b.bid_id = e.bid_id"
        )
        return f"SELECT {', '.join(chosen)} FROM {source} e{join} GROUP BY {groups}"  # noqa: S608 - names of ours

    def _bids(self, kind: JournalKind, names: Sequence[str], files: Sequence[Path], hours: Sequence[int]) -> str:
        """The bids that rows belong to: those of their hours, of orders those of the hours of their touches."""
        wanted = list(hours)
        if kind is CONVERSION:
            question = f"SELECT DISTINCT touch_ms // {HOUR_MS} FROM {files_sql(files)} WHERE touch_ms IS NOT NULL"  # noqa: S608 - ours
            touched = [int(row[0]) for row in self._columnar.ask(question)]
            wanted = sorted({hour - before for hour in touched for before in range(9)})
        return bids_of_hours(self._archive, wanted, told_by_bids(kind, names))

    def _save(self) -> None:
        path = self._rollups.folder / MANIFEST_FILE
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(path, msgspec.json.encode(self._manifest))
        except OSError as error:
            raise UnavailableError(f"{path} cannot be written: {error}", hint="is the disk full?") from error


def told_by_bids(kind: JournalKind, names: Iterable[str]) -> list[str]:
    """Dimensions that rows of a kind do not have themselves, but their bids."""
    return [name for name in names if "b." in (expression(name, kind) or "")]


def bids_of_hours(archive: Archive, hours: Iterable[int], names: Sequence[str]) -> str:
    """The bids of some hours with these dimensions, as a table of SQL to be joined with."""
    wanted = list(hours)
    files = archive.files(BID.name, wanted)
    shown = archive.files(SHOWN.name, wanted) if "product" in names else []
    return bid_source(files_sql(files) if files else "", names, whole=False, shown=files_sql(shown) if shown else "")


def measures_of(kind: JournalKind) -> Mapping[str, str]:
    """The sums of a kind by name, as they are added up of a roll-up's columns."""
    return {name: f'sum(e."{name}")' for name, measure in SUMS.items() if measure.kind is kind}
