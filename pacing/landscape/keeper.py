"""The worker's side of the landscape: adds up what processes tell, forgets by half each day, publishes steps.

One worker keeps it at a time, by a lease in Redis. The books of all cells are kept there too, so that a restarted
worker, or another one, goes on with what was learnt. Nothing here is needed to bid: without it bidders go on with the
steps that they have, and without any with the shipped belief.
"""

import asyncio
import secrets
from typing import Final

import msgspec
import numpy as np

from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from core.telemetry.metrics import Telemetry
from pacing.budgets.transitions import Argument, Transitions, pairs
from pacing.landscape.curve import BINS, Floats, belief, best_steps, fit
from pacing.landscape.messages import CellSteps, encode_steps
from pacing.landscape.observations import (
    ROWS,
    SEVERAL_SIZES,
    LandscapeCell,
    decode_counts,
    enter,
    evidence_of,
    new_book,
)

TICK_S: Final = 5.0

HALF_LIFE_S: Final = 86_400.0
"""The half-life of counts. Rivals' bids follow budgets and the hour; a day averages over both and forgets last week."""

OWNER_MS: Final = 15_000

# Blocks taken at once; what is left is taken at the next tick.
BLOCKS: Final = 500

# A cell is 9 KiB in Redis; the ones with the least evidence are given up first.
MAX_CELLS: Final = 2_000

# Rounds of the fit: few are enough, since it starts from the last result, which is close.
ROUNDS: Final = 8

_STATE_VERSION: Final = b"gls1"


class LandscapeKeeper:
    """The worker's loop that adds up what became of bids and publishes by how much to shade."""

    def __init__(self, transitions: Transitions, clock: Clock, telemetry: Telemetry) -> None:
        self._transitions = transitions
        self._clock = clock
        self._name = secrets.token_hex(8)
        self._books: dict[LandscapeCell, Floats] = {}
        self._is_restored = False
        self._shapes: dict[LandscapeCell, Floats] = {}
        self._faded_ms = 0
        self._observed = telemetry.counter(
            "grosz_landscape_observations_total", "Bids at first price of which something was told."
        ).labels()
        self._failures = telemetry.counter(
            "grosz_landscape_failures_total", "Ticks in which the landscape of prices was not kept."
        ).labels()
        cells = telemetry.gauge("grosz_landscape_cells", "Exchanges, currencies and sizes whose prices are learnt.")
        cells.labels().follow(lambda: float(len(self._books)))

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """One round; Redis being away is counted, and what was told waits there."""
        try:
            if not await self._owns():
                self._is_restored = False  # another worker keeps the landscape, so this one's state no longer counts
                return
            if not self._is_restored:
                await self._restore()
                self._is_restored = True
            blocks = await self._transitions.command("LRANGE", keys.LANDSCAPE_NEWS, 0, BLOCKS - 1)
            if isinstance(blocks, list) and blocks:
                await self._take(blocks)
        except UnavailableError:
            self._failures.inc()

    async def close(self) -> None:
        """Let another worker take over at once."""
        try:
            if await self._owns():
                await self._transitions.command("DEL", keys.LANDSCAPE_OWNER)
        except UnavailableError:
            self._failures.inc()

    async def _owns(self) -> bool:
        _, owner = await self._transitions.commands(
            [("SET", keys.LANDSCAPE_OWNER, self._name, "NX", "PX", OWNER_MS), ("GET", keys.LANDSCAPE_OWNER)]
        )
        if owner != self._name.encode():
            return False
        await self._transitions.command("PEXPIRE", keys.LANDSCAPE_OWNER, OWNER_MS)
        return True

    async def _restore(self) -> None:
        """Load the books as they were left; books of another version begin anew."""
        fields = pairs(await self._transitions.command("HGETALL", keys.LANDSCAPE_STATE))
        self._books, self._shapes = {}, {}
        self._faded_ms = self._clock.now_ms()
        for field, packed in fields.items():
            book = decode_book(packed)
            if book is not None:
                cell, numbers, saved_ms = book
                self._books[cell] = numbers * fading(self._faded_ms - saved_ms)
                if field_of(cell) != field:
                    del self._books[cell]

    async def _take(self, blocks: list[bytes]) -> None:
        """Add up blocks, publish what follows, and keep both before the blocks are forgotten."""
        now_ms = self._clock.now_ms()
        fade = fading(now_ms - self._faded_ms)
        self._faded_ms = now_ms
        self._books = {cell: book * fade for cell, book in self._books.items()}
        changed: set[LandscapeCell] = set()
        for count in (count for block in blocks for count in decode_counts(block)):
            cell = LandscapeCell(count.exchange_id, count.currency, count.width, count.height)
            for each in {cell, _whole(cell)}:
                enter(self._books.setdefault(each, new_book()), count)
                changed.add(each)
            self._observed.inc(count.number)
        gone = self._give_up()
        published = await asyncio.to_thread(self._publication, now_ms)
        state: list[Argument] = []
        for cell in changed & self._books.keys():
            state += (field_of(cell), encode_book(cell, self._books[cell], now_ms))
        commands: list[tuple[Argument, ...]] = [("SET", keys.LANDSCAPE_STEPS, published)]
        if state:
            commands.append(("HSET", keys.LANDSCAPE_STATE, *state))
        commands += [("HDEL", keys.LANDSCAPE_STATE, field_of(cell)) for cell in gone]
        commands.append(("LTRIM", keys.LANDSCAPE_NEWS, len(blocks), -1))
        await self._transitions.commands(commands)

    def _give_up(self) -> list[LandscapeCell]:
        """Forget the cells with the least evidence, so that MAX_CELLS are left."""
        by_weight = sorted(self._books, key=lambda cell: float(self._books[cell].sum()))
        gone = by_weight[: max(len(by_weight) - MAX_CELLS, 0)]
        for cell in gone:
            del self._books[cell]
            self._shapes.pop(cell, None)
        return gone

    def _publication(self, now_ms: int) -> bytes:
        """The steps of all cells. An exchange's sizes take its landscape as prior, exchanges the shipped belief."""
        books = self._books
        wholes = [cell for cell in books if cell.width == cell.height == SEVERAL_SIZES]
        sizes = [cell for cell in books if cell.width or cell.height]
        self._fit(books, wholes, np.tile(belief(), (len(wholes), 1)))
        priors = [self._shapes.get(_whole(cell), belief()) for cell in sizes]
        self._fit(books, sizes, np.array(priors).reshape(-1, BINS))
        cells = [*wholes, *sizes]
        if not cells:
            return encode_steps(now_ms, [])
        steps = best_steps(np.stack([self._shapes[cell] for cell in cells]))
        weights = evidence_of(np.stack([books[cell] for cell in cells])).weight
        rows = zip(cells, weights.tolist(), steps, strict=True)
        return encode_steps(now_ms, [CellSteps(*cell, weight, row.tobytes()) for cell, weight, row in rows])

    def _fit(self, books: dict[LandscapeCell, Floats], cells: list[LandscapeCell], priors: Floats) -> None:
        if not cells:
            return
        started = np.stack([self._shapes.get(cell, prior) for cell, prior in zip(cells, priors, strict=True)])
        is_new = any(cell not in self._shapes for cell in cells)
        evidence = evidence_of(np.stack([books[cell] for cell in cells]))
        shapes = fit(evidence, priors, start=started, rounds=60 if is_new else ROUNDS)
        self._shapes.update(zip(cells, shapes, strict=True))


def _whole(cell: LandscapeCell) -> LandscapeCell:
    """The cell of all sizes of the same exchange and currency."""
    return cell._replace(width=SEVERAL_SIZES, height=SEVERAL_SIZES)


def fading(elapsed_ms: float) -> float:
    """The factor by which a count has faded after `elapsed_ms`."""
    return float(0.5 ** (max(elapsed_ms, 0.0) / 1000 / HALF_LIFE_S))


def field_of(cell: LandscapeCell) -> bytes:
    """The name of the cell's field in Redis."""
    return f"{cell.exchange_id}:{cell.currency}:{cell.width}x{cell.height}".encode()


class _Book(msgspec.Struct, array_like=True):
    version: bytes
    saved_ms: int
    cell: LandscapeCell
    counts: bytes  # float32, (ROWS, BINS)


def encode_book(cell: LandscapeCell, book: Floats, now_ms: int) -> bytes:
    """A cell's counts as they are kept."""
    return msgspec.msgpack.encode(_Book(_STATE_VERSION, now_ms, cell, book.astype("<f4").tobytes()))


def decode_book(packed: bytes) -> tuple[LandscapeCell, Floats, int] | None:
    """Cell, counts and when they were saved; None for anything that is not a book of this version."""
    try:
        book = msgspec.msgpack.decode(packed, type=_Book)
    except msgspec.DecodeError:
        return None
    if book.version != _STATE_VERSION or len(book.counts) != 4 * ROWS * BINS:
        return None
    counts = np.frombuffer(book.counts, "<f4").reshape(ROWS, BINS).astype(np.float64)
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        return None
    return book.cell, counts, book.saved_ms
