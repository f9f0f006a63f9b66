"""Conversions: which click or impression of ours an order is credited to.

The rule is last touch within windows: the newest click of the click window, otherwise the newest impression of the view
window, of the same advertiser and the same user. It credits, it does not prove: what advertising causes is measured
against a holdout (docs/evidence.md).
"""

import enum
import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from core import keys
from core.telemetry.metrics import Telemetry
from pacing.budgets.transitions import Transitions
from pacing.notices.touches import Touch, TouchKind, unpack_touch

# About 35% of conversions come within an hour of the click and half within a day; 30 days is what others report
# (docs/evidence.md), so numbers compare.
CLICK_WINDOW_S = 30 * 86_400

# A user who only saw an ad is credited to it for a day: longer windows credit chance.
VIEW_WINDOW_S = 86_400

# An order that is reported again after this long is counted again.
ORDER_MEMORY_S = 90 * 86_400

COUNTS_LIFE_S = 400 * 86_400


class Credit(enum.StrEnum):
    """What an order was credited to; also a label of metrics."""

    CLICK = "click"
    VIEW = "view"
    NOBODY = "nobody"  # no touch of ours within the windows
    DUPLICATE = "duplicate"  # the order was counted before


class Attribution(NamedTuple):
    credit: Credit
    touch: Touch | None


class CountedOrder(NamedTuple):
    """An order, or a correction of one (`changes`), as it is counted: what it was credited to, and what led to it."""

    advertiser_id: int
    order_digest: str
    value_micros: int
    made_s: int
    changes: bool
    credit: Credit
    touch: Touch | None
    path: tuple[Touch, ...]  # the buyer's touches within the windows, oldest first
    devices: tuple[str, ...]
    buyer: str = ""  # new or returning, where that is known


class Windows(msgspec.Struct, frozen=True):
    """How long before an order a touch may lie, in seconds."""

    click_s: int = CLICK_WINDOW_S
    view_s: int = VIEW_WINDOW_S


DEFAULT_WINDOWS = Windows()


class ConversionDesk:
    """Credits orders. The worker calls it for each purchase event; repeating a call changes nothing.

    `windows` gives an advertiser's windows, `journal_row` the journal's row of an order.
    """

    def __init__(
        self,
        transitions: Transitions,
        telemetry: Telemetry,
        windows: Callable[[int], Windows] | None = None,
        journal_row: Callable[[CountedOrder], bytes] | None = None,
    ) -> None:
        self._transitions = transitions
        self._journal_row = journal_row or (lambda _order: b"")
        self._windows = windows or (lambda _advertiser_id: DEFAULT_WINDOWS)
        counter = telemetry.counter("grosz_conversions_total", "Orders by what they were credited to.", ("credit",))
        self._counts = {credit: counter.labels(credit.value) for credit in Credit}

    async def record_conversion(
        self,
        devices: Sequence[str],
        advertiser_id: int,
        order_id: str,
        value_micros: int,
        now_s: int,
        *,
        buyer: str = "",
    ) -> Attribution:
        """Credit an order made at `now_s` (unix seconds) to what the buyer saw under any of these user ids.

        `buyer` is "new" or "returning", for the journal. Raises UnavailableError: then call again.
        """
        attribution, path = await self._attribution(devices, advertiser_id, now_s)
        counted = CountedOrder(
            advertiser_id, _digest(order_id), value_micros, now_s, False, attribution.credit, attribution.touch, path,
            tuple(devices), buyer,
        )  # fmt: skip
        if not await self._book(counted):
            attribution = Attribution(Credit.DUPLICATE, None)
        self._counts[attribution.credit].inc()
        return attribution

    async def correct_conversion(
        self, devices: Sequence[str], advertiser_id: int, correction_id: str, change_micros: int, made_s: int
    ) -> None:
        """Credit the change of an order's value, for an order made at `made_s`, to what the order was credited to.

        Raises UnavailableError: then call again; a correction counts once by its id.
        """
        if change_micros:
            attribution, path = await self._attribution(devices, advertiser_id, made_s)
            await self._book(
                CountedOrder(
                    advertiser_id, _digest(correction_id), change_micros, made_s, True, attribution.credit,
                    attribution.touch, path, tuple(devices),
                )
            )  # fmt: skip

    async def _attribution(
        self, devices: Sequence[str], advertiser_id: int, at_s: int
    ) -> tuple[Attribution, tuple[Touch, ...]]:
        """What an order is credited to, and the touches of the buyer that lie within a window, oldest first."""
        touches, windows = await self._touches(devices), self._windows(advertiser_id)
        since_s = at_s - max(windows.click_s, windows.view_s)
        path = sorted(
            (touch for touch in touches if touch.advertiser_id == advertiser_id and since_s < touch.at_s <= at_s),
            key=lambda touch: touch.at_s,
        )
        return credit(touches, advertiser_id, at_s, windows), tuple(path)

    async def _book(self, order: CountedOrder) -> bool:
        """Count the order; False where it was counted before."""
        touch, advertiser_id = order.touch, order.advertiser_id
        fields: list[bytes | str | int] = []
        if touch is not None:
            name = f"{touch.line_item_id}:{order.credit.value}"
            fields = [] if order.changes else [f"{name}_conversions", 1]
            fields += [f"{name}_value_micros", order.value_micros]
        return await self._transitions.convert(
            [
                keys.order(advertiser_id, order.order_digest), keys.delivery(advertiser_id, touch.day if touch else 0),
                keys.money_journal(advertiser_id),
            ],
            [ORDER_MEMORY_S, COUNTS_LIFE_S, self._journal_row(order), *fields],
        )  # fmt: skip

    async def _touches(self, devices: Sequence[str]) -> list[Touch]:
        if not devices:
            return []
        replies = await self._transitions.commands([("LRANGE", keys.user_touches(user), 0, -1) for user in devices])
        records = [record for reply in replies if isinstance(reply, list) for record in reply]
        return [touch for touch in map(unpack_touch, records) if touch is not None]


def _digest(order_id: str) -> str:
    return hashlib.blake2b(order_id.encode(), digest_size=16).hexdigest()


def credit(touches: list[Touch], advertiser_id: int, now_s: int, windows: Windows) -> Attribution:
    """The newest click in its window, otherwise the newest impression in its window."""
    own = [touch for touch in touches if touch.advertiser_id == advertiser_id and touch.at_s <= now_s]
    for kind, window, name in (
        (TouchKind.CLICK, windows.click_s, Credit.CLICK),
        (TouchKind.VIEW, windows.view_s, Credit.VIEW),
    ):
        inside = [touch for touch in own if touch.kind is kind and touch.at_s > now_s - window]
        if inside:
            return Attribution(name, max(inside, key=lambda touch: touch.at_s))
    return Attribution(Credit.NOBODY, None)
