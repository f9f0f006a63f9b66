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

from core.disk import disk_hint, write_whole
from core.errors import UnavailableError
from journal.archive import HOUR_MS, Archive, HourPart
from journal.columnar import Columnar, files_sql
from journal.figures import ASSIST, QUARTER_MS, SUMS, TIMES, bid_source, click_source, expression
from journal.rows import ANSWER, BID, BILL, CLICK, CONVERSION, KINDS, SHOP, SHOWN, JournalKind

FOLDER: Final = "rollups"
MANIFEST_FILE: Final = "rollups.json"
VERSION: Final = 1
"""The version of the manifest and of its files; what another version has made is made again."""

HOURS_OF_DAY: Final = 24
QUARTERS_OF_HOUR: Final = HOUR_MS // QUARTER_MS
# A file that the manifest no longer names stays this long: a question that was asked before may still read it.
_LEFTOVER_S: Final = 120.0
# An order is credited to a bid of up to 30 days before, whose notices come up to seven hours after it.
_TOUCH_HOURS: Final = 30 * 24 + 8


class Cube(NamedTuple):
    """A set of dimensions by which sums are kept."""

    name: str
    dimensions: tuple[str, ...]


_LINE = ("advertiser", "campaign", "line_item", "creative", "exchange", "format", "size")
CUBES: Final = (
    Cube("line", _LINE),
    Cube("place", (*_LINE, "deal", "country", "device", "reason")),
    Cube("product", ("advertiser", "campaign", "line_item", "creative", "exchange", "product")),
)
ROLLED: Final = tuple(dict.fromkeys(measure.kind for measure in SUMS.values() if measure.kind not in (ASSIST, SHOP)))
"""The kinds of rows that have sums."""


def dimensions_of(cube: Cube, kind: JournalKind) -> tuple[str, ...]:
    """The dimensions of the cube that rows of a kind have."""
    return tuple(name for name in cube.dimensions if expression(name, kind) is not None)


def cubes_of(kind: JournalKind) -> tuple[Cube, ...]:
    """The cubes that are kept of a kind: answered requests have no line item and one cube; carts and assists none."""
    if kind in (ASSIST, SHOP):
        return ()
    return CUBES[1:2] if kind is ANSWER else CUBES


def cube_for(kind: JournalKind, used: Iterable[str]) -> Cube | None:
    """The smallest cube with all these dimensions of a kind; None where only the rows have them."""
    wanted = {name for name in used if name not in TIMES and name != "currency"}
    return next((cube for cube in cubes_of(kind) if wanted <= set(dimensions_of(cube, kind))), None)


class _DayRollup(msgspec.Struct):
    """One kind's day. `upto`: hour of the day -> number of its last part in the sums, and `last_part` of the bids."""

    version: int = 0  # of its files, and a part of their names: each write takes the next
    upto: dict[int, tuple[int, int]] = {}


class _Manifest(msgspec.Struct):
    version: int = VERSION
    kinds: dict[str, dict[int, _DayRollup]] = {}


class CoveredHours(NamedTuple):
    """What some hours of a kind are read from: files of a cube that count whole, other files of it, and files of rows.

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
        """The manifest; an empty one where there is none, or one of another version."""
        path = self.folder / MANIFEST_FILE
        try:
            changed = path.stat().st_mtime_ns
            if self._read is None or self._read[0] != changed:
                self._read = (changed, msgspec.json.decode(path.read_bytes(), type=_Manifest))
        except (FileNotFoundError, msgspec.DecodeError):
            return _Manifest()
        return self._read[1] if self._read[1].version == VERSION else _Manifest()

    def covered(self, kind: JournalKind, cube: Cube | None, first: int, last: int) -> CoveredHours:
        """What the hours from `first`, before `last`, are read from: sums and rows, or without a cube only rows."""
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
            # Of most days all hours count, and they need not be excluded one by one.
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
        """The parts of an hour that came after its sums; None where the sums are no longer valid."""
        last, last_of_bids = upto
        parts = self._archive.parts(kind.name, hour)
        if any(part.first <= last < part.last for part in parts):
            return None
        if looks_at_bids(kind) and not last_of_bids >= last_part(self._archive, hour):
            return None
        return [part for part in parts if part.first > last]


def looks_at_bids(kind: JournalKind) -> bool:
    """Whether rows of a kind take dimensions from the bids of the same hour."""
    return kind not in (BID, ANSWER, CONVERSION)


def last_part(archive: Archive, hour: int) -> int:
    """A number that grows with each new part about the bids of an hour; 0 without any.

    It adds the last part of the bids to that of what their ads showed: neither ever falls while rows are kept.
    """
    return sum(max((part.last for part in archive.parts(kind.name, hour)), default=0) for kind in (BID, SHOWN))


class RollupWriter:
    """Keeps the roll-ups of one archive up to date. The worker's lock makes sure that there is only one."""

    def __init__(self, archive: Archive, columnar: Columnar) -> None:
        self._archive, self._columnar = archive, columnar
        self._rollups = Rollups(archive)

    @functools.cached_property
    def _manifest(self) -> _Manifest:
        """Read when it is first used: another worker may have had the folder until then."""
        return self._rollups.manifest()

    def is_done(self, kind: JournalKind, hour: int) -> bool:
        """Whether an hour is in the sums, except for parts that came later."""
        day = self._manifest.kinds.get(kind.name, {}).get(hour // HOURS_OF_DAY)
        upto = day.upto.get(hour % HOURS_OF_DAY) if day is not None else None
        return upto is not None and self._rollups.tail(kind, hour, upto) is not None

    def is_final(self, kind: JournalKind, hour: int) -> bool:
        """Whether an hour's sums must stay as they are: made again, they would lack what its forgotten bids told."""
        return kind not in (BID, ANSWER) and hour < self._archive.forgotten_before(BID.name)

    def tail(self, kind: JournalKind, hour: int) -> list[HourPart]:
        """The parts of an hour that came after its sums."""
        day = self._manifest.kinds.get(kind.name, {}).get(hour // HOURS_OF_DAY)
        upto = day.upto.get(hour % HOURS_OF_DAY, (0, 0)) if day is not None else (0, 0)
        return self._rollups.tail(kind, hour, upto) or []

    def roll_up(self, kind: JournalKind, hours: Sequence[int], until: Callable[[], bool] = lambda: False) -> int:
        """Sum up hours that are over, by day, the newest first, until `until` is true; returns how many.

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
        """Have sums made again of hours whose bids were rewritten, since they may tell less now."""
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
        """Remove files that no question can still be reading; returns how many."""
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
        """SQL for the sums of rows by the dimensions of a cube."""
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
        """SQL for the bids that rows belong to: of the rows' hours, for orders of the hours of their touches."""
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
            raise UnavailableError(f"{path} cannot be written: {error}", hint=disk_hint(error)) from error


def told_by_bids(kind: JournalKind, names: Iterable[str]) -> list[str]:
    """The dimensions that rows of a kind do not have themselves and take from their bids."""
    return [name for name in names if "b." in (expression(name, kind) or "")]


def bids_of_hours(archive: Archive, hours: Iterable[int], names: Sequence[str]) -> str:
    """SQL for the bids of some hours, as a table with these dimensions for a join."""
    wanted = list(hours)
    files = archive.files(BID.name, wanted)
    shown = archive.files(SHOWN.name, wanted) if "product" in names else []
    return bid_source(files_sql(files) if files else "", names, whole=False, shown=files_sql(shown) if shown else "")


def measures_of(kind: JournalKind) -> Mapping[str, str]:
    """SQL for the sums of a kind, by name, from the columns of a roll-up."""
    return {name: f'sum(e."{name}")' for name, measure in SUMS.items() if measure.kind is kind}
