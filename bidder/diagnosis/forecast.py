"""From trials to a forecast: what a line item would have bid, won, spent and sold on recorded traffic.

Chances are expectations, not draws, but for caps: a person's impressions are drawn several times from the chances,
since whether a cap is reached depends on what came before, and a bid is made as often as caps let it be. Pacing is the
fluid limit of what the controller does: of each day the one multiplier with which its budget lasts, none above 1 (10
where a line item is to spend all). Money is the advertiser's.
"""

import datetime
import functools
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bidder.diagnosis.trials import Trials
from bidder.diagnosis.win_curves import WinCurves
from core.model import AuctionType, LineItem, Pacing
from core.money import GROSZ_CPM_MICROS
from core.ring import ANY_FORMAT
from core.terms import FORMATS_BY_NUMBER
from pacing.budgets.pools import SPEND_ALL_MULTIPLIER
from pacing.landscape.curve import shaded

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAST_DRAWS: Final = 6
MOST_DRAWS: Final = 60
"""How often each person's impressions are drawn, where caps count: the fewer there are, the more often."""
_DRAWN: Final = 20_000
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


class _Seen(NamedTuple):
    """What people have seen in one draw, by the number of the person and, added to it, that of the format."""

    times: dict[int, tuple[int, ...]]  # moments of impressions, no more than caps ask for
    until: dict[int, int]  # when caps leave room for another one


class _Outcome(NamedTuple):
    """What comes of each trial of a day."""

    wins: Floats  # the chance that it is bid on and won
    price: Floats  # CPM paid
    made: Floats  # the chance that it is bid on
    first: Floats  # the chance to win it for somebody who has seen nothing yet
    seen: tuple[_Seen, ...]  # at the end of the day, of each draw


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
        several = line_item.several_per_request
        spots = self._trials[["request", "place"]] if several else self._trials["request"]
        _spots, self._spot = np.unique(spots, return_inverse=True)  # where only one bid can be made
        self._format = np.array(
            [FORMATS_BY_NUMBER.index(each.decode()) for each in self._trials["format"].tolist()], int
        )
        self._caps = _caps_by_format(line_item)
        draws = max(LEAST_DRAWS, min(MOST_DRAWS, _DRAWN // max(len(self._trials), 1)))
        self._chance = np.random.default_rng(1).random((draws, len(self._trials)))

    def _first_ms(self) -> float:
        return float(self._trials["at_ms"][0]) if len(self._trials) else 0.0

    def run(self, factor: float = 1.0) -> ForecastRun:
        """Bid `factor` times what the line item is told to bid; a factor above 1 raises its maximum as well."""
        count = len(self._trials)
        wins, price, made, first, multiplier = np.zeros((5, count))
        rows, seen = np.arange(count), tuple(_Seen({}, {}) for _draw in self._chance)
        is_paced = self._line_item.pacing is Pacing.EVEN
        highest = SPEND_ALL_MULTIPLIER if self._line_item.spend_all and is_paced else 1.0
        left = _Budget(self._line_item, self._days)
        for day in np.unique(self._day).tolist():
            of_day = rows[self._day == day]
            allowed = left.of_day(self._part_of_day(of_day))
            bid = functools.partial(self._outcome, factor=factor, seen=seen)
            outcome, multiplier[of_day] = (
                self._paced(of_day, bid, allowed, highest) if is_paced else self._asap(of_day, bid, allowed)
            )
            wins[of_day], price[of_day], made[of_day], first[of_day], seen = outcome
            left.take(*self._spent(of_day, outcome))
        return self._told(wins, price, made, first, multiplier)

    def _part_of_day(self, rows: Rows) -> float:
        """How much of a day the traffic covers: a budget of a day lasts for a day, not for the hours that were seen."""
        if self._days >= 1.0:
            return 1.0
        seen_ms = float(self._trials["at_ms"][rows].max() - self._trials["at_ms"][rows].min())
        return min(1.0, max(seen_ms / 86_400_000, self._days if len(np.unique(self._day)) == 1 else 0.0))

    def _spent(self, rows: Rows, outcome: _Outcome) -> tuple[float, float]:
        expected = outcome.wins * self._trials["weight"][rows]
        micros = outcome.price / 1000 / self._trials["rate"][rows]
        return float((expected * micros).sum()), float(expected.sum())

    def _paced(
        self,
        rows: Rows,
        bid: Callable[[Rows, float], _Outcome],
        allowed: tuple[float, float],
        highest: float,
    ) -> tuple[_Outcome, float]:
        """The outcome with the multiplier that makes a day's budget last, and the multiplier."""
        low, high = 0.0, highest
        best = bid(rows, high)
        if self._fits(rows, best, allowed):
            return best, high
        for _ in range(_CAPPED_HALVINGS if any(self._caps) else _HALVINGS):
            middle = (low + high) / 2
            if self._fits(rows, bid(rows, middle), allowed):
                low = middle
            else:
                high = middle
        # Bids lie on a grid, so that no multiplier spends exactly the budget: the controller alternates between two.
        below, above = bid(rows, low), bid(rows, high)
        mixed = _share_above(self._spent(rows, below), self._spent(rows, above), allowed)
        return _mixed(below, above, mixed), (low + high) / 2

    def _fits(self, rows: Rows, outcome: _Outcome, allowed: tuple[float, float]) -> bool:
        micros, impressions = self._spent(rows, outcome)
        return micros <= allowed[0] and impressions <= allowed[1]

    def _asap(
        self, rows: Rows, bid: Callable[[Rows, float], _Outcome], allowed: tuple[float, float]
    ) -> tuple[_Outcome, Floats]:
        """Bids at full value until the budget is gone, and the multiplier of each trial."""
        wins, price, made, first, seen = bid(rows, 1.0)
        expected = wins * self._trials["weight"][rows]
        spent = np.cumsum(expected * price / 1000 / self._trials["rate"][rows])
        going = (spent <= allowed[0]) & (np.cumsum(expected) <= allowed[1])
        if not going.all():
            seen = bid(rows[going], 1.0).seen
        return _Outcome(wins * going, price, made * going, first * going, seen), going.astype(np.float64)

    def _outcome(self, rows: Rows, multiplier: float, *, factor: float, seen: Sequence[_Seen]) -> _Outcome:
        """What comes of the trials of a day with one multiplier, for people who have `seen` what days before showed."""
        trials = self._trials[rows]
        value = np.minimum(trials["value"] * factor * multiplier, trials["highest"] * max(factor, 1.0))
        bids = np.floor(value / GROSZ_CPM_MICROS + 1e-6) * GROSZ_CPM_MICROS
        bids[(bids < np.maximum(trials["least"], GROSZ_CPM_MICROS)) | (bids < trials["floor"])] = 0.0
        bids[bids <= trials["rival"]] = 0.0
        # In the order of time; of the bids that exclude each other the highest is the first.
        order = np.lexsort((-bids, self._spot[rows], trials["at_ms"]))
        order = order[bids[order] > 0]
        first = np.zeros(len(rows))
        first[order[_firsts(self._spot[rows][order])]] = 1.0
        if not any(self._caps[1:]):
            bids[first == 0] = 0.0
            order = order[first[order] > 0]
        chance, price = np.zeros(len(rows)), np.zeros(len(rows))
        for number, cell in enumerate(self._cells.tolist()):
            mine = self._cell_of[rows] == number
            if mine.any():
                chance[mine], price[mine] = self._of_cell(cell, trials[mine], bids[mine])
        chance[bids <= 0] = 0.0
        made, then = (first, tuple(seen)) if not any(self._caps) else self._capped(rows, order, chance, seen)
        return _Outcome(chance * made, price, made, chance * first, then)

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

    def _capped(
        self, rows: Rows, order: Rows, chance: Floats, before: Sequence[_Seen]
    ) -> tuple[Floats, tuple[_Seen, ...]]:
        """How likely caps let each bid be made, and what people have seen then. Bids are asked in `order`."""
        at_ms = self._trials["at_ms"][rows[order]].tolist()
        spots = self._spot[rows[order]].tolist()
        people = (self._person[rows[order]] * len(FORMATS_BY_NUMBER)).tolist()  # room for the formats of each
        formats = self._format[rows[order]].tolist()
        made, then = np.zeros(len(rows)), tuple(_Seen(dict(each.times), dict(each.until)) for each in before)
        for seen, draw in zip(then, self._chance[:, rows[order]], strict=True):
            won, until, taken, bid = (draw < chance[order]).tolist(), seen.until.get, -1, []
            for at, (now, spot, person, of_format) in enumerate(zip(at_ms, spots, people, formats, strict=True)):
                if spot != taken and until(person, 0) <= now and until(person + of_format, 0) <= now:
                    taken = spot
                    bid.append(at)
                    if won[at]:
                        self._show(seen, person, of_format, now)
            made[order[bid]] += 1
        return made / len(then), then

    def _show(self, seen: _Seen, person: int, of_format: int, now: int) -> None:
        """Note an impression of a person, and until when caps leave no room for another."""
        for number in (ANY_FORMAT, of_format):
            caps = self._caps[number]
            if caps:
                key = person + number
                times = seen.times[key] = (*seen.times.get(key, ()), now)[-max(most for most, _window in caps) :]
                seen.until[key] = max(times[-most] + window if len(times) >= most else 0 for most, window in caps)

    def _told(self, wins: Floats, price: Floats, made: Floats, first: Floats, multiplier: Floats) -> ForecastRun:
        trials = self._trials
        expected = wins * trials["weight"]
        spend = expected * price / 1000 / trials["rate"]
        bids = made * trials["weight"]
        hours = trials["at_ms"] // 3_600_000
        told = [
            TrafficHour(
                hour, float(bids[mine].sum()), float(expected[mine].sum()), float(spend[mine].sum()),
                float(multiplier[mine].mean()),
            )
            for hour in np.unique(hours).tolist()
            for mine in (hours == hour,)
        ]  # fmt: skip
        return ForecastRun(
            float(bids.sum()), float(expected.sum()), float(spend.sum()), float((expected * trials["click"]).sum()),
            min(self._reach(first), float(expected.sum())), tuple(told), self._losing(made), wins,
        )  # fmt: skip

    def _reach(self, first: Floats) -> float:
        """People who would see it at least once. No cap keeps a person from the first impression, so none counts."""
        if not len(first):
            return 0.0
        nobody = np.zeros(self._person.max() + 1)
        np.add.at(nobody, self._person, np.log1p(-np.minimum(first, 1 - 1e-12)))
        weight = np.zeros(len(nobody))
        weight[self._person] = np.where(self._trials["person"] > 0, self._trials["weight"], 0.0)
        return float(((1.0 - np.exp(nobody)) * weight).sum())

    def _losing(self, made: Floats) -> dict[int, tuple[float, float]]:
        """What our other line items would have won where this one bids in their place."""
        trials, lost = self._trials, dict[int, tuple[float, float]]()
        beaten = (made > 0) & (trials["rival"] > 0)
        for number, cell in enumerate(self._cells.tolist()):
            mine = beaten & (self._cell_of == number)
            if not mine.any():
                continue
            chance, price = self._of_cell(cell, trials[mine], trials["rival"][mine])
            impressions = chance * made[mine] * trials["weight"][mine]
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


def _caps_by_format(line_item: LineItem) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Caps and gap as (impressions, window in ms): of all formats together, then of each by its number."""
    caps = [(cap.impressions, cap.window_s * 1000, cap.format or "") for cap in line_item.caps]
    if line_item.min_gap_s:
        caps.append((1, line_item.min_gap_s * 1000, ""))
    return tuple(
        tuple((most, window) for most, window, of_format in caps if of_format == name) for name in FORMATS_BY_NUMBER
    )


def _mixed(below: _Outcome, above: _Outcome, share: float) -> _Outcome:
    """What comes of two multipliers, where the higher one is used in a `share` of the auctions."""
    wins, made, first = (
        (1 - share) * low + share * high
        for low, high in ((below.wins, above.wins), (below.made, above.made), (below.first, above.first))
    )
    paid = (1 - share) * below.wins * below.price + share * above.wins * above.price
    price = np.divide(paid, wins, out=below.price.copy(), where=wins > 0)
    return _Outcome(wins, price, made, first, (above if share > 0.5 else below).seen)


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


def _firsts(numbers: Rows) -> Bools:
    """Which of the numbers differ from the one before."""
    return np.concatenate((np.ones(min(len(numbers), 1), np.bool_), numbers[1:] != numbers[:-1]))


def curve(
    forecaster: Forecaster, factors: Sequence[float], progress: Callable[[float], None] = lambda _f: None
) -> list[tuple[float, ForecastRun]]:
    """One run for each factor that bids are multiplied by."""
    found = []
    for factor in factors:
        found.append((factor, forecaster.run(factor)))
        progress(factor)
    return found
