"""The bid path's side of the landscape: which part of its value a bid at first price should be, without any waiting."""

from typing import Final

from core.money import GROSZ_CPM_MICROS
from pacing.landscape.curve import FULL_VALUE, RATIOS, belief, best_steps, bin_of, step_of
from pacing.landscape.messages import CellSteps
from pacing.landscape.observations import UNKNOWN, LandscapeCell, ObservationKind, Tally

# Blocks of what was sent are told this many writes (of five seconds) later: a bid whose bill is on its way is not lost.
SENT_LAG: Final = 12

_RATIOS: Final = tuple(RATIOS.tolist())


class Shading:
    """Steps by cell, and what was bid by them. One thread: the event loop's."""

    __slots__ = ("_believed", "_sent", "_steps", "_tally")

    def __init__(self) -> None:
        self._believed = best_steps(belief()[None, :])[0].tobytes()
        self._steps: dict[tuple[int, str, int, int], bytes] = {}
        self._sent: dict[tuple[tuple[int, str, int, int], int], int] = {}
        self._tally = Tally(SENT_LAG)

    def replace(self, cells: list[CellSteps]) -> None:
        """Bid by these steps from now on."""
        self._steps = {(cell.exchange_id, cell.currency, cell.width, cell.height): cell.steps for cell in cells}

    def shade(self, cell: tuple[int, str, int, int], value_cpm: int, least_cpm: float) -> int:
        """The bid for a value, both CPM micros on the grosz grid; not below `least_cpm`, which the value meets."""
        known = self._steps
        steps = known.get(cell) or known.get((cell[0], cell[1], 0, 0)) or self._believed
        step = step_of(steps, value_cpm)
        if step == FULL_VALUE:
            return value_cpm
        groszes = max(int(value_cpm * _RATIOS[step - 1]) // GROSZ_CPM_MICROS, -(-int(least_cpm) // GROSZ_CPM_MICROS), 1)
        return min(groszes * GROSZ_CPM_MICROS, value_cpm)

    def note_sent(self, cell: tuple[int, str, int, int], bid_cpm: int) -> None:
        """A bid goes out."""
        key, sent = (cell, bin_of(bid_cpm)), self._sent
        sent[key] = sent.get(key, 0) + 1

    def take_sent(self) -> list[bytes]:
        """Blocks of what was sent that are due, each once."""
        sent, self._sent = self._sent, {}
        for (cell, place), number in sent.items():
            self._tally.add(LandscapeCell(*cell), ObservationKind.SENT, place, UNKNOWN, number)
        return self._tally.take()
