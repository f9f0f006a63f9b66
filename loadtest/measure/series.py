"""A run as it unfolds: the total, and what each second brought."""

from collections import Counter, deque

from loadtest.measure.histogram import Histogram
from loadtest.measure.tally import LATENCY, Delta, Tally

# The live view shows rates over this many seconds.
_WINDOW_S = 3


class Second:
    """What happened in one second of the run; latencies belong to the second of their answer.

    `cpu_s` and `wall_s` are the generator's, over its processes and only while they sent.
    """

    __slots__ = ("counts", "cpu_s", "latency", "wall_s")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.latency = Histogram()
        self.cpu_s = self.wall_s = 0.0


class Series:
    """Adds up what the processes of a run report."""

    def __init__(self) -> None:
        self.total = Tally()
        self.seconds: list[Second] = []
        self._recent: deque[tuple[float, Delta]] = deque()

    def add(self, delta: Delta) -> None:
        """Take in one report."""
        self.total.add(delta)
        index = max(0, int(delta.second - delta.wall_s / 2))
        while len(self.seconds) <= index:
            self.seconds.append(Second())
        second = self.seconds[index]
        second.counts.update(delta.counts)
        if delta.counts.get("sent"):  # waiting for the last notices is no rest that a mean should count
            second.cpu_s += delta.cpu_s
            second.wall_s += delta.wall_s
        latency = delta.histograms.get(LATENCY)
        if latency is not None:
            second.latency.merge_sparse(latency.counts, latency.maximum_us)
        self._recent.append((delta.second, delta))
        while self._recent[0][0] <= delta.second - _WINDOW_S:
            self._recent.popleft()

    @property
    def elapsed_s(self) -> float:
        return self._recent[-1][0] if self._recent else 0.0

    def recent(self) -> tuple[Counter[str], Histogram, float]:
        """Counts and latencies of the last seconds, and how many seconds that is."""
        counts: Counter[str] = Counter()
        latency = Histogram()
        for _, delta in self._recent:
            counts.update(delta.counts)
            if LATENCY in delta.histograms:
                latency.merge_sparse(delta.histograms[LATENCY].counts, delta.histograms[LATENCY].maximum_us)
        return counts, latency, max(0.5, min(self.elapsed_s, _WINDOW_S))
