"""Recorded requests against a bidder, one after the other on a few connections: what became of each.

Closed loop on purpose: the question is what the answers are, not how much load they stand.
"""

import asyncio
import codecs
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from loadtest.measure.histogram import Histogram
from loadtest.traffic.facts import mapping, objects
from loadtest.traffic.scenario import ScenarioError
from loadtest.traffic.templates import unwrap
from loadtest.wire.client import STATUS_NO_ANSWER, Pool, header_value, parse_target, request_head

# A file is read whole; the largest that people replay are days of sampled traffic.
MAX_REQUESTS = 5_000_000

PATIENCE_S = 5.0

# The most problems that are kept to be shown: enough to see what is wrong.
MAX_EXAMPLES = 20

REASON_HEADER = b"x-grosz-nobid"
"""The header with the reason of a no-bid, if the bidder gives it; otherwise `nbr` of an answer counts."""

_HEADERS = (("Content-Type", "application/json"), ("x-openrtb-version", "2.6"))


NO_REASON = "no reason given"


class ReplayResult:
    """Counts of a replay."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()  # bid, no bid, and every other status by its number
        self.reasons: Counter[str] = Counter()
        self.latency = Histogram()
        self.problems: list[tuple[int, str]] = []  # (line, text) of the first answers that a valid request may not get

    @property
    def sent(self) -> int:
        return self.outcomes.total()

    @property
    def invalid(self) -> int:
        """Answers that no valid request may get: neither 200 nor 204."""
        return self.sent - self.outcomes["bid"] - self.outcomes["no bid"]

    def take(self, line: int, status: int, head: bytes, body: bytes) -> None:
        """Count one answer."""
        if status in (200, 204):
            reason = _reason(status, head, body)
            self.outcomes["bid" if reason is None else "no bid"] += 1
            if reason is not None:
                self.reasons[reason] += 1
            return
        outcome = "no answer" if status == STATUS_NO_ANSWER else f"status {status}"
        self.outcomes[outcome] += 1
        if len(self.problems) < MAX_EXAMPLES:
            self.problems.append((line, outcome))


def _reason(status: int, head: bytes, body: bytes) -> str | None:
    """Why an answer has no bid; None when it has one."""
    answer = mapping(_json(body)) if status == 200 else {}
    if any(objects(seat.get("bid")) for seat in objects(answer.get("seatbid"))):
        return None
    said = header_value(head, REASON_HEADER)
    if said is not None:
        return said.decode("latin-1")
    return f"nbr {answer['nbr']}" if "nbr" in answer else NO_REASON


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def read_requests(path: Path) -> list[tuple[int, bytes]]:
    """Line number and body of every request of a JSONL file. Raises ScenarioError."""
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    except OSError as error:
        raise ScenarioError(f"recorded requests cannot be read: {error}") from error
    if len(lines) > MAX_REQUESTS:
        raise ScenarioError(f"{path} has {len(lines):,} lines: split it into files of at most {MAX_REQUESTS:,}")
    requests = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            requests.append((number, orjson.dumps(unwrap(orjson.loads(line)))))
        except ValueError as error:
            raise ScenarioError(f"{path}, line {number}: {error}") from error
    return requests


async def replay(
    requests: Sequence[tuple[int, bytes]],
    url: str,
    *,
    connections: int = 4,
    on_progress: Callable[[int], None] = lambda done: None,  # noqa: ARG005  # nobody may want to know
    monotonic: Callable[[], float] = time.monotonic,
) -> ReplayResult:
    """Send all requests to `url`; `on_progress` hears how many are done. Raises OSError when nothing listens."""
    target = parse_target(url)
    head = request_head(target, "POST", _HEADERS, None)[:-2]
    result = ReplayResult()
    finished = asyncio.Event()
    pending = iter(requests)

    def send_next() -> None:
        entry = next(pending, None)
        if entry is not None:
            number, body = entry
            pool.submit((number, monotonic()), b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        elif result.sent == len(requests):
            finished.set()

    def on_answer(tag: tuple[int, float], status: int, answer_head: bytes, body: bytes) -> None:
        number, sent = tag
        result.latency.record(monotonic() - sent)
        result.take(number, status, answer_head, body)
        on_progress(result.sent)
        send_next()

    pool: Pool[tuple[int, float]] = Pool(target, connections, on_answer, monotonic, patience_s=PATIENCE_S)
    await pool.open()
    for _ in range(connections):
        send_next()
    while not finished.is_set():
        try:
            async with asyncio.timeout(0.25):
                await finished.wait()
        except TimeoutError:
            pool.sweep()
            result.latency.settle()
    await pool.close()
    return result
