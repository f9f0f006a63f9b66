"""Signals: what a page or a player tells of an ad that is shown, without any effect on money.

Each event of a bid counts once, however often it is told, and only with the bid's signed token. Nothing is lost that
anybody would send again: where Redis does not answer, the signal is not counted and its sender is told 200.
"""

import enum
from collections.abc import Callable
from typing import Final

from core import keys
from core.clock import Clock
from core.telemetry.metrics import CounterChild, Telemetry
from pacing.budgets.server_time import ServerTime
from pacing.budgets.timing import DEFAULT_MAX_AGE_S, MAX_CLOCK_SKEW_S, NOTICE_BUCKET_S, lease_day, notice_bucket
from pacing.budgets.transitions import Transitions
from pacing.budgets.turns import TurnBatch
from pacing.notices.charges import notice_key
from pacing.notices.claims import Claims
from pacing.notices.notices import DELIVERY_LIFE_S, STATUS_OF_FAULT, NoticeResult
from pacing.notices.tokens import TokenError, TokenSigner


class Signal(enum.StrEnum):
    """What is told of a shown ad. The names are fields of the day's delivery and labels of metrics: append only."""

    START = "start"
    FIRST_QUARTILE = "first_quartile"
    MIDPOINT = "midpoint"
    THIRD_QUARTILE = "third_quartile"
    COMPLETE = "complete"
    VIEWABLE = "viewable"
    NOT_VIEWABLE = "not_viewable"
    VIEW_UNKNOWN = "view_unknown"
    ERROR = "error"


# The signals of a bid are remembered as bits of one number. Append only: bids are out while a tracker is replaced.
_BITS: Final = {signal: 1 << number for number, signal in enumerate(Signal)}

QUARTILES: Final = {
    "start": Signal.START,
    "first": Signal.FIRST_QUARTILE,
    "mid": Signal.MIDPOINT,
    "third": Signal.THIRD_QUARTILE,
    "complete": Signal.COMPLETE,
}
"""Signals by parameter `e` of `/t/quartile`."""

VIEWS: Final = {"viewable": Signal.VIEWABLE, "not": Signal.NOT_VIEWABLE, "unknown": Signal.VIEW_UNKNOWN}
"""Signals by parameter `e` of `/t/view`; without it the ad was viewable."""

# Errors that VAST 4.2 defines (section 2.3.6); a player's own, and texts that are no number, are counted together.
ERROR_CODES: Final = frozenset(
    str(code)
    for code in (
        100, 101, 102, 200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 400, 401, 402, 403, 405, 406, 407,
        408, 409, 410, 500, 501, 502, 503, 600, 601, 602, 603, 604, 900, 901, 902,
    )
)  # fmt: skip
OTHER_CODE: Final = "other"


class SignalDesk:
    """Counts signals."""

    def __init__(
        self,
        signer: TokenSigner,
        transitions: Transitions,
        clock: Clock,
        telemetry: Telemetry,
        *,
        server_time: ServerTime | None = None,
        token_max_age_s: int = DEFAULT_MAX_AGE_S,
        on_counted: Callable[[Signal, Claims], None] | None = None,
    ) -> None:
        """`on_counted` is told of each signal that counted, for the journal."""
        self._on_counted = on_counted or (lambda _signal, _claims: None)
        self._signer = signer
        self._transitions = transitions
        self._turn = TurnBatch(transitions)
        self._clock = clock
        self._server_time = server_time or ServerTime(clock)
        self._remember_s = token_max_age_s + NOTICE_BUCKET_S + 2 * MAX_CLOCK_SKEW_S
        self._outcomes = telemetry.counter(
            "grosz_signals_total", "Signals of shown ads by what became of them.", ("signal", "outcome")
        )
        self._errors = telemetry.counter(
            "grosz_creative_errors_total", "Errors that players reported, by their VAST code.", ("code",)
        )
        self._bound: dict[tuple[str, str], CounterChild] = {}

    async def take(self, token: str, signal: Signal | None, code: str | None = None) -> NoticeResult:
        """Count a signal; None stands for an unknown one. `code` is an error's."""
        name = "unknown" if signal is None else signal.value
        result = await self._take(token, signal, code)
        key = (name, result.outcome)
        child = self._bound.get(key)
        if child is None:
            child = self._bound[key] = self._outcomes.labels(name, result.outcome)
        child.inc()
        return result

    def look(self, token: str, signal: Signal | None) -> NoticeResult:
        """What a signal with this token would be answered, without any effect."""
        return self._judge(token, signal)[0]

    def _judge(self, token: str, signal: Signal | None) -> tuple[NoticeResult, Claims | None]:
        """The answer to a signal that is not counted, and the claims of one that may be."""
        try:
            claims = self._signer.verify(token, (self._clock.now_ms() + self._server_time.offset_ms) // 1000)
        except TokenError as error:
            return NoticeResult(STATUS_OF_FAULT[error.fault], error.fault.value), None
        if signal is None:
            return NoticeResult(400, "unknown_event"), None
        if claims.is_test:
            return NoticeResult(200, "test"), None
        return NoticeResult(200, "not_counted"), claims

    async def _take(self, token: str, signal: Signal | None, code: str | None) -> NoticeResult:
        answer, claims = self._judge(token, signal)
        if claims is None or signal is None:
            return answer
        advertiser_id, field = claims.advertiser_id, f"{claims.line_item_id}:{signal.value}"
        command = self._transitions.record_command(
            (
                keys.money_notices(advertiser_id, notice_bucket(claims.issued_s)),
                keys.delivery(advertiser_id, lease_day(claims.lease_id)),
            ),
            (notice_key(claims), _BITS[signal], field, self._remember_s, DELIVERY_LIFE_S),
            "signal",
        )
        counted = await self._turn.run(command)
        if not counted:
            return NoticeResult(200, "not_counted" if counted is None else "duplicate")
        if signal is Signal.ERROR:
            self._errors.labels(code if code in ERROR_CODES else OTHER_CODE).inc()
        self._on_counted(signal, claims)
        return NoticeResult(200, "counted")
