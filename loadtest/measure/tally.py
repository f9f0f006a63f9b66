"""What a run counted: plain integers and histograms that add up over processes and seconds.

A worker keeps one tally, hands over what has come since the last hand-over each half second, and the parent adds it to
the run's total and to the second it belongs to.
"""

from collections import Counter
from typing import NamedTuple

import msgspec

from loadtest.measure.histogram import Histogram

# Enough examples to see what is wrong; the counts are complete.
MAX_EXAMPLES = 50

LATENCY = "latency"  # of bid answers, from the intended send time
SERVICE = "service"  # of bid answers, from the real send time
LATENESS = "lateness"  # real against intended send time
NOTICE = "notice"  # of notices, from the real send time


class Example(msgspec.Struct, frozen=True):
    """One violation with the request that shows it."""

    kind: str
    detail: str
    request: str
    answer: str


class BillLine(msgspec.Struct):
    """What one account owes by our own books, in micros of `currency`.

    `exact_micros` is settled at a price that both sides know. Where a notice went out without its price the bidder
    settles by its own rule: such impressions cost between `low_micros` and `high_micros`.
    """

    exact_micros: int = 0
    impressions: int = 0
    unpriced: int = 0
    doubtful: int = 0  # billing notices that were never answered: settled or not, within `high_micros`
    low_micros: int = 0
    high_micros: int = 0

    def add(self, other: "BillLine") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def plus(self, other: "BillLine") -> "BillLine":
        total = BillLine()
        total.add(self)
        total.add(other)
        return total


class SparseHistogram(msgspec.Struct):
    """A histogram on its way between processes or into a report."""

    counts: dict[int, int]
    maximum_us: int


class Delta(msgspec.Struct, tag=True):
    """What happened in one worker since its last report. `second` is the run's time."""

    second: float
    counts: dict[str, int]
    histograms: dict[str, SparseHistogram]
    violations: dict[str, int]
    examples: list[Example]
    bill: dict[str, BillLine]  # by the text of a BillKey
    cpu_s: float  # of the generator
    wall_s: float
    last: bool = False


class BillKey(NamedTuple):
    """One line of the bill. `account` is a line item's id, or "campaign-7" when a bid names only its campaign."""

    account: str
    currency: str

    def __str__(self) -> str:
        return f"{self.account}:{self.currency}"

    @classmethod
    def parse(cls, value: str) -> "BillKey":
        account, _, currency = value.partition(":")
        return cls(account, currency)


# Counts of every request or bid are plain attributes: 30 ns against 250 ns for a key of a Counter, ten times a request.
_ATTRIBUTES = (
    "offered", "sent", "late_sends", "blocked_sends", "answered", "in_time", "no_bid",
    "checked", "bid_answers", "bids", "won", "won_micros", "lost",
)  # fmt: skip


class Tally:
    """Counts of one run or of a part of it.

    `late_sends` were sent late although a connection was free: the generator was behind. `blocked_sends` waited for a
    connection: the bidder was behind.
    """

    __slots__ = (*_ATTRIBUTES, "bill", "counts", "examples", "histograms", "violations")

    def __init__(self) -> None:
        self.offered = self.sent = self.late_sends = self.blocked_sends = 0
        self.answered = self.in_time = self.no_bid = 0
        self.checked = self.bid_answers = self.bids = self.won = self.won_micros = self.lost = 0
        self.counts: Counter[str] = Counter()
        self.histograms = {name: Histogram() for name in (LATENCY, SERVICE, LATENESS, NOTICE)}
        self.violations: Counter[str] = Counter()
        self.examples: list[Example] = []
        self.bill: dict[str, BillLine] = {}

    def violate(self, kind: str, detail: str, request: str, answer: str) -> None:
        """Count a violation; the first ones of each kind are kept as examples."""
        self.violations[kind] += 1
        if self.violations[kind] <= 5 and len(self.examples) < MAX_EXAMPLES:
            self.examples.append(Example(kind, detail, request, answer))

    def owe(self, key: BillKey, line: BillLine) -> None:
        self.bill.setdefault(str(key), BillLine()).add(line)

    def add(self, delta: Delta) -> None:
        """Take in what a worker reported."""
        self.counts.update(delta.counts)
        self.violations.update(delta.violations)
        self.examples += delta.examples[: max(0, MAX_EXAMPLES - len(self.examples))]
        for name, histogram in delta.histograms.items():
            self.histograms[name].merge_sparse(histogram.counts, histogram.maximum_us)
        for key, line in delta.bill.items():
            self.bill.setdefault(key, BillLine()).add(line)

    def take(self, second: float, cpu_s: float, wall_s: float, *, last: bool = False) -> Delta:
        """Everything that was counted, as a delta; the counts begin again from 0."""
        delta = Delta(
            second=second,
            counts={name: getattr(self, name) for name in _ATTRIBUTES} | self.counts,
            histograms={
                name: SparseHistogram(histogram.sparse(), histogram.maximum_us)
                for name, histogram in self.histograms.items()
                if histogram.total
            },
            violations=dict(self.violations),
            examples=self.examples,
            bill=self.bill,
            cpu_s=cpu_s,
            wall_s=wall_s,
            last=last,
        )
        self.__init__()  # type: ignore[misc]  # starting again is what construction does
        return delta
