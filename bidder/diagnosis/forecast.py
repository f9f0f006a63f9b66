"""From trials to a forecast: what a line item would have bid, won, spent and sold on recorded traffic.

Chances are expectations, not draws, but for caps: a user's impressions are drawn several times from the chances, since
whether a cap is reached depends on what came before. Pacing is the fluid limit of what the controller does: of each day
the one multiplier with which its budget lasts, none above 1 (10 where a line item is to spend all). Money is the
advertiser's.
"""

import datetime
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bidder.diagnosis.trials import Trials
from bidder.diagnosis.win_curves import WinCurves
from core.model import AuctionType, LineItem, Pacing
from core.money import GROSZ_CPM_MICROS
from pacing.budgets.pools import SPEND_ALL_MULTIPLIER
from pacing.landscape.curve import shaded

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DRAWS: Final = 6
"""How often each user's impressions are drawn, where caps count."""
_HALVINGS: Final = 22
_CAPPED_HALVINGS: Final = 9

Steps = Mapping[tuple[int, str, int, int], bytes]


class TrafficHour(NamedTuple):
    """One hour of recorded traffic, as it would have been."""

    hour: int  # since 1970, UTC
    bids: float
    impressions: float
    spend_micros: float
    multiplier: float


class ForecastRun(NamedTuple):
    """What came of one set of values. Counts are of all traffic, not of the sample."""

    bids: float
    impressions: float
    spend_micros: float
    clicks: float
    reach: float  # people who saw it; those without an id are not counted
    hours: tuple[TrafficHour, ...]
    losing: dict[int, tuple[float, float]]  # other line item -> impressions and micros it loses to this one
    wins: Floats  # the chance of each trial


class Forecaster:
    """Runs the trials of one line item against win curves. `steps` shade bids at first price."""

    def __init__(
        self, trials: Trials, line_item: LineItem, curves: WinCurves, steps: Steps, timezone: str, days: float
    ) -> None:
        """`days` is how long the traffic was recorded."""
        self._line_item, self._curves, self._steps, self._days = line_item, curves, steps, max(days, 1e-6)
        order = np.lexsort((trials["at_ms"],))
        self._trials = trials[order]
        cells = self._trials[["exchange", "currency", "width", "height", "kind", "is_house"]]
        self._cells, self._cell_of = np.unique(cells, return_inverse=True)
        zone = zoneinfo.ZoneInfo(timezone)
        offset_s = zone.utcoffset(datetime.datetime.fromtimestamp(self._first_ms() / 1000, datetime.UTC))
        shift = 0.0 if offset_s is None else offset_s.total_seconds()
        self._day = ((self._trials["at_ms"] / 1000 + shift) // 86_400).astype(np.int64)
        _people, self._person = np.unique(
            np.where(self._trials["person"] > 0, self._trials["person"], self._trials["request"]), return_inverse=True
        )
        self._is_capped = bool(line_item.caps or line_item.min_gap_s)
        self._left = np.ones(len(self._trials))  # the part of each chance to win that caps left
        self._chance = np.random.default_rng(1).random((DRAWS, len(self._trials)))

    def _first_ms(self) -> float:
        return float(self._trials["at_ms"][0]) if len(self._trials) else 0.0

    def run(self, factor: float = 1.0) -> ForecastRun:
        """Bid `factor` times what the line item is told to bid; a factor above 1 raises its maximum as well."""
        count = len(self._trials)
        multiplier, rows = np.zeros(count), np.arange(count)
        is_paced = self._line_item.pacing is Pacing.EVEN
        highest = SPEND_ALL_MULTIPLIER if self._line_item.spend_all and is_paced else 1.0
        wins, price, bids = np.zeros(count), np.zeros(count), np.zeros(count)
        left = _Budget(self._line_item, self._days)
        for day in np.unique(self._day).tolist():
            of_day = rows[self._day == day]
            part = self._part_of_day(of_day)
            allowed = left.of_day(part)
            outcome = self._paced(of_day, factor, allowed, highest) if is_paced else self._asap(of_day, factor, allowed)
            wins[of_day], price[of_day], bids[of_day], multiplier[of_day] = outcome
            left.take(*self._spent(of_day, wins[of_day], price[of_day]))
        return self._told(wins, price, bids, multiplier)

    def _part_of_day(self, rows: NDArray[np.int64]) -> float:
        """How much of a day the traffic covers: a budget of a day lasts for a day, not for the hours that were seen."""
        if self._days >= 1.0:
            return 1.0
        seen_ms = float(self._trials["at_ms"][rows].max() - self._trials["at_ms"][rows].min())
        return min(1.0, max(seen_ms / 86_400_000, self._days if len(np.unique(self._day)) == 1 else 0.0))

    def _spent(self, rows: NDArray[np.int64], wins: Floats, price: Floats) -> tuple[float, float]:
        expected = wins * self._trials["weight"][rows]
        micros = price / 1000 / self._trials["rate"][rows]
        return float((expected * micros).sum()), float(expected.sum())

    def _paced(
        self, rows: NDArray[np.int64], factor: float, allowed: tuple[float, float], highest: float
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """The outcome with the multiplier that makes a day's budget last."""
        low, high = 0.0, highest
        best = self._outcome(rows, factor, high)
        if self._fits(rows, best, allowed):
            return (*best, np.full(len(rows), high))
        for _ in range(_CAPPED_HALVINGS if self._is_capped else _HALVINGS):
            middle = (low + high) / 2
            tried = self._outcome(rows, factor, middle)
            if self._fits(rows, tried, allowed):
                low, best = middle, tried
            else:
                high = middle
        best = self._outcome(rows, factor, low)
        # Bids lie on a grid, so that no multiplier spends exactly the budget: the controller alternates between two.
        above = self._outcome(rows, factor, high)
        mixed = _share_above(self._spent(rows, best[0], best[1]), self._spent(rows, above[0], above[1]), allowed)
        wins = (1 - mixed) * best[0] + mixed * above[0]
        paid = (1 - mixed) * best[0] * best[1] + mixed * above[0] * above[1]
        price = np.divide(paid, wins, out=best[1].copy(), where=wins > 0)
        return wins, price, np.maximum(best[2], above[2]), np.full(len(rows), (low + high) / 2)

    def _fits(
        self, rows: NDArray[np.int64], outcome: tuple[Floats, Floats, Floats], allowed: tuple[float, float]
    ) -> bool:
        micros, impressions = self._spent(rows, outcome[0], outcome[1])
        return micros <= allowed[0] and impressions <= allowed[1]

    def _asap(
        self, rows: NDArray[np.int64], factor: float, allowed: tuple[float, float]
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Bids at full value until the budget is gone."""
        wins, price, bids = self._outcome(rows, factor, 1.0)
        expected = wins * self._trials["weight"][rows]
        spent = np.cumsum(expected * price / 1000 / self._trials["rate"][rows])
        going = (spent <= allowed[0]) & (np.cumsum(expected) <= allowed[1])
        return wins * going, price, bids * going, going.astype(np.float64)

    def _outcome(self, rows: NDArray[np.int64], factor: float, multiplier: float) -> tuple[Floats, Floats, Floats]:
        """Chance to win, CPM paid, and bid of each trial with one multiplier, caps counted."""
        trials = self._trials[rows]
        value = np.minimum(trials["value"] * factor * multiplier, trials["highest"] * max(factor, 1.0))
        bids = np.floor(value / GROSZ_CPM_MICROS + 1e-6) * GROSZ_CPM_MICROS
        bids[(bids < np.maximum(trials["least"], GROSZ_CPM_MICROS)) | (bids < trials["floor"])] = 0.0
        bids[bids <= trials["rival"]] = 0.0
        _one_per_request(trials["request"], bids, several=self._line_item.several_per_request)
        chance, price = np.zeros(len(rows)), np.zeros(len(rows))
        for number, cell in enumerate(self._cells.tolist()):
            mine = self._cell_of[rows] == number
            if mine.any():
                chance[mine], price[mine] = self._of_cell(cell, trials[mine], bids[mine])
        chance[bids <= 0] = 0.0
        return (self._capped(rows, chance) if self._is_capped else chance), price, bids

    def _of_cell(self, cell: Sequence[Any], trials: Trials, bids: Floats) -> tuple[Floats, Floats]:
        exchange, currency, width, height, kind, is_house = cell
        place = (int(exchange), currency.decode(), int(width), int(height))
        sent = bids
        if kind == AuctionType.FIRST_PRICE:
            steps = self._steps.get(place) or self._steps.get((place[0], place[1], 0, 0))
            if steps:
                sent = np.maximum(shaded(bids, np.frombuffer(steps, np.uint8)).astype(np.float64), trials["floor"])
                sent = np.minimum(sent, bids)
        return self._curves.win(place, sent, trials["floor"], int(kind), trials["rival"] if is_house else None)

    def _capped(self, rows: NDArray[np.int64], chance: Floats) -> Floats:
        """The chances that are left by the caps on how often a user sees the line item."""
        caps = [(cap.impressions, cap.window_s * 1000, cap.format or "") for cap in self._line_item.caps]
        if self._line_item.min_gap_s:
            caps.append((1, self._line_item.min_gap_s * 1000, ""))
        at_ms, person = self._trials["at_ms"][rows], self._person[rows]
        formats = self._trials["format"][rows].astype("U6").tolist()
        kept = np.zeros(len(rows))
        for draw in self._chance[:, rows]:
            won = draw < chance
            shown: dict[tuple[int, str], list[int]] = {}  # moments by person and format, "" for all formats
            for at in won.nonzero()[0].tolist():
                who, now, own = int(person[at]), int(at_ms[at]), formats[at]
                if all(
                    _leaves_room(shown.get((who, name), ()), most, now - window)
                    for most, window, name in caps
                    if name in ("", own)
                ):
                    for name in ("", own):
                        shown.setdefault((who, name), []).append(now)
                    kept[at] += 1
        # Averaged over all that was drawn for a user: the part of what would have been won that the caps leave.
        would = (self._chance[:, rows] < chance).sum(axis=0)
        shares = np.bincount(person, kept, self._person.max() + 1) / np.maximum(
            np.bincount(person, would, self._person.max() + 1), 1
        )
        self._left[rows] = shares[person]
        return chance * self._left[rows]

    def _told(self, wins: Floats, price: Floats, bids: Floats, multiplier: Floats) -> ForecastRun:
        trials = self._trials
        expected = wins * trials["weight"]
        spend = expected * price / 1000 / trials["rate"]
        made = (bids > 0) * trials["weight"]
        hours = trials["at_ms"] // 3_600_000
        told = [
            TrafficHour(
                hour, float(made[mine].sum()), float(expected[mine].sum()), float(spend[mine].sum()),
                float(multiplier[mine].mean()),
            )
            for hour in np.unique(hours).tolist()
            for mine in (hours == hour,)
        ]  # fmt: skip
        return ForecastRun(
            float(made.sum()), float(expected.sum()), float(spend.sum()), float((expected * trials["click"]).sum()),
            self._reach(wins), tuple(told), self._losing(bids), wins,
        )  # fmt: skip

    def _reach(self, wins: Floats) -> float:
        """People who would see it at least once. No cap keeps a person from the first impression, so none counts."""
        if not len(wins):
            return 0.0
        nobody = np.zeros(self._person.max() + 1)
        chance = np.divide(wins, self._left, out=np.zeros(len(wins)), where=self._left > 0)
        np.add.at(nobody, self._person, np.log1p(-np.minimum(chance, 1 - 1e-12)))
        weight = np.zeros(len(nobody))
        weight[self._person] = np.where(self._trials["person"] > 0, self._trials["weight"], 0.0)
        return float(((1.0 - np.exp(nobody)) * weight).sum())

    def _losing(self, bids: Floats) -> dict[int, tuple[float, float]]:
        """What our other line items would have won where this one bids in their place."""
        trials, lost = self._trials, dict[int, tuple[float, float]]()
        beaten = (bids > 0) & (trials["rival"] > 0)
        for number, cell in enumerate(self._cells.tolist()):
            mine = beaten & (self._cell_of == number)
            if not mine.any():
                continue
            chance, price = self._of_cell(cell, trials[mine], trials["rival"][mine])
            impressions = chance * trials["weight"][mine]
            for line_item, seen, micros in zip(
                trials["rival_line_item"][mine].tolist(), impressions.tolist(),
                (impressions * price / 1000 / trials["rate"][mine]).tolist(), strict=True,
            ):  # fmt: skip
                known = lost.get(line_item, (0.0, 0.0))
                lost[line_item] = (known[0] + seen, known[1] + micros)
        return lost


class _Budget:
    """What a line item may spend, by day."""

    def __init__(self, line_item: LineItem, days: float) -> None:
        self._daily, total = line_item.daily_budget, line_item.total_budget
        self._left = [_or_endless(total.micros), _or_endless(total.impressions)]
        self._days_left = max(days, 1.0)

    def of_day(self, part: float) -> tuple[float, float]:
        """Micros and impressions that the next day may use, of which the traffic covers `part`."""
        even = 1.0 / self._days_left
        limits = (self._daily.micros, self._daily.impressions)
        micros, impressions = (
            min(_or_endless(limit) * part, left * max(even, 0.0) if self._days_left > 1 else left)
            for limit, left in zip(limits, self._left, strict=True)
        )
        return micros, impressions

    def take(self, micros: float, impressions: float) -> None:
        self._left = [self._left[0] - micros, self._left[1] - impressions]
        self._days_left = max(self._days_left - 1.0, 1.0)


def _leaves_room(times: Sequence[int], most: int, since: int) -> bool:
    """Whether a cap of `most` impressions after `since` admits another; `times` ascends."""
    return most > 0 and (len(times) < most or times[-most] <= since)


def _or_endless(limit: int | None) -> float:
    return 1e18 if limit is None else float(limit)


def _share_above(below: tuple[float, float], above: tuple[float, float], allowed: tuple[float, float]) -> float:
    """In which part of the auctions the higher multiplier may be used."""
    shares = [
        (most - low) / (high - low)
        for low, high, most in zip(below, above, allowed, strict=True)
        if high > most and high > low
    ]
    return min([1.0, *(max(0.0, share) for share in shares)]) if shares else 0.0


def _one_per_request(requests: NDArray[np.uint64], bids: Floats, *, several: bool) -> None:
    """Leave a line item the highest of its bids in each request, unless it may have `several`; the others become 0."""
    if several or not len(bids):
        return
    order = np.lexsort((-bids, requests))
    first = np.ones(len(order), np.bool_)
    first[1:] = requests[order][1:] != requests[order][:-1]
    bids[order[~first]] = 0.0


def curve(
    forecaster: Forecaster, factors: Sequence[float], progress: Callable[[float], None] = lambda _f: None
) -> list[tuple[float, ForecastRun]]:
    """One run for each factor that bids are multiplied by."""
    found = []
    for factor in factors:
        found.append((factor, forecaster.run(factor)))
        progress(factor)
    return found
