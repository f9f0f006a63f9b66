"""Metrics that the bid path can afford, in Prometheus form.

A child (one combination of label values) is bound once and then costs an addition: a tenth of prometheus_client's own
counter, and a sixth of its histogram (0.25 against 2.6 us, 0.4 against 2.6 us in one run), which lock and search. One
thread runs everything that counts here, so there is nothing to lock. prometheus_client still owns the text format.

There is one `Telemetry` a process, handed to everything that counts; core.telemetry.scrape adds up the processes of one
role.
"""

import abc
import bisect
import enum
import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import msgspec
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

# 0.25 ms to 250 ms: an answer takes half a millisecond at best, and exchanges hang up at 100 to 300 ms.
LATENCY_BUCKETS = (
    0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.010, 0.015, 0.020, 0.030, 0.050, 0.075, 0.100, 0.150,
    0.200, 0.250,
)  # fmt: skip

# Each child is a line of every scrape. A family that grows past this has a label whose values come from traffic, so
# further ones are counted together instead of filling memory.
MAX_CHILDREN = 10_000
OVERFLOW_LABEL = "other"


class Merge(enum.StrEnum):
    """How the values of a role's processes become one."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One line of the Prometheus text format."""

    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """All lines of one metric, as they travel between processes."""

    name: str
    kind: str  # counter, gauge, histogram
    documentation: str
    merge: Merge
    samples: tuple[Sample, ...]


class CounterChild:
    """Only goes up. `value` may be read, and added to, directly on the hot path."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


class GaugeChild:
    """A value that goes both ways."""

    __slots__ = ("_read", "value")

    def __init__(self) -> None:
        self.value: float = 0
        self._read: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        self.value = value

    def follow(self, read: Callable[[], float]) -> None:
        """Call `read` at each scrape for the value, instead of being set."""
        self._read = read

    def current(self) -> float:
        return self.value if self._read is None else self._read()


class HistogramChild:
    """Counts of observations by bucket, with their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value, in the histogram's unit (seconds for latencies)."""
        self.counts[bisect.bisect_left(self._bounds, value)] += 1
        self.total += value


Child = TypeVar("Child")


class _Metric(abc.ABC, Generic[Child]):
    """What the three kinds of metric share: children by label values, made once and bounded in number."""

    kind = ""

    def __init__(self, name: str, documentation: str, label_names: Sequence[str], merge: Merge) -> None:
        self.name, self.documentation, self.merge = name, documentation, merge
        self.label_names = tuple(label_names)
        self._children: dict[tuple[str, ...], Child] = {}

    def labels(self, *values: object) -> Child:
        """The child for these label values, in the order of `label_names`; bind it once, outside the hot path."""
        if len(values) != len(self.label_names):
            raise ValueError(f"{self.name} takes the labels {self.label_names}, in this order")
        key = tuple(map(str, values))
        child = self._children.get(key)
        if child is None:
            if len(self._children) >= MAX_CHILDREN:
                key = (OVERFLOW_LABEL,) * len(key)
            child = self._children.setdefault(key, self._new_child())
        return child

    def family(self) -> Family:
        """All lines as they are now."""
        samples = [
            sample
            for key, child in self._children.items()
            for sample in self._samples(dict(zip(self.label_names, key, strict=True)), child)
        ]
        return Family(self.name, self.kind, self.documentation, self.merge, tuple(samples))

    @abc.abstractmethod
    def _new_child(self) -> Child: ...

    @abc.abstractmethod
    def _samples(self, labels: dict[str, str], child: Child) -> Iterable[Sample]: ...


class Counter(_Metric[CounterChild]):
    """A family of counters; its name ends in `_total`."""

    kind = "counter"

    def _new_child(self) -> CounterChild:
        return CounterChild()

    def _samples(self, labels: dict[str, str], child: CounterChild) -> Iterable[Sample]:
        yield Sample(self.name, labels, child.value)


class Gauge(_Metric[GaugeChild]):
    """A family of gauges."""

    kind = "gauge"

    def _new_child(self) -> GaugeChild:
        return GaugeChild()

    def _samples(self, labels: dict[str, str], child: GaugeChild) -> Iterable[Sample]:
        yield Sample(self.name, labels, child.current())


class Histogram(_Metric[HistogramChild]):
    """A family of histograms over the same upper bounds."""

    kind = "histogram"

    def __init__(
        self, name: str, documentation: str, label_names: Sequence[str], bounds: Sequence[float] = LATENCY_BUCKETS
    ) -> None:
        super().__init__(name, documentation, label_names, Merge.SUM)
        self._bounds = tuple(bounds)
        self._bound_texts = (*(f"{bound:g}" for bound in self._bounds), "+Inf")

    def _new_child(self) -> HistogramChild:
        return HistogramChild(self._bounds)

    def _samples(self, labels: dict[str, str], child: HistogramChild) -> Iterable[Sample]:
        for text, count in zip(self._bound_texts, itertools.accumulate(child.counts), strict=True):
            yield Sample(f"{self.name}_bucket", {**labels, "le": text}, count)
        yield Sample(f"{self.name}_count", labels, sum(child.counts))
        yield Sample(f"{self.name}_sum", labels, child.total)


_AnyMetric = TypeVar("_AnyMetric", Counter, Gauge, Histogram)


class Telemetry:
    """The metrics of this process."""

    def __init__(self) -> None:
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        self._sources: list[Callable[[], Iterable[Family]]] = []

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        """A new family of counters; `name` is spelled out and ends in `_total`."""
        if not name.endswith("_total"):
            raise ValueError(f"the counter {name} needs a name that ends in _total")
        return self._add(Counter(name, documentation, labels, Merge.SUM))

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = (), *, merge: Merge = Merge.SUM) -> Gauge:
        """A new family of gauges; ages and the like merge by MAX, not by SUM."""
        return self._add(Gauge(name, documentation, labels, merge))

    def histogram(
        self, name: str, documentation: str, labels: Sequence[str] = (), *, bounds: Sequence[float] = LATENCY_BUCKETS
    ) -> Histogram:
        """A new family of histograms; durations are in seconds and named `_seconds`."""
        return self._add(Histogram(name, documentation, labels, bounds))

    def add_source(self, source: Callable[[], Iterable[Family]]) -> None:
        """Call `source` at each scrape for whole families: for counts that live in arrays of their owner."""
        self._sources.append(source)

    def families(self) -> list[Family]:
        """All families with their present values."""
        families = [metric.family() for metric in self._metrics.values()]
        for source in self._sources:
            families.extend(source())
        return families

    def _add(self, metric: _AnyMetric) -> _AnyMetric:
        if metric.name in self._metrics:
            raise ValueError(f"the metric {metric.name} exists already: share the object, do not make a second one")
        self._metrics[metric.name] = metric
        return metric


def process_families() -> list[Family]:
    """CPU time, memory and open files of this process, under the names that dashboards expect (Linux only)."""
    registry = CollectorRegistry(auto_describe=False)
    collector = ProcessCollector(registry=registry)
    return [
        Family(
            metric.name + ("_total" if metric.type == "counter" else ""),
            metric.type,
            metric.documentation,
            _PROCESS_MERGES.get(metric.name, Merge.SUM),
            tuple(Sample(sample.name, dict(sample.labels), sample.value) for sample in metric.samples),
        )
        for metric in collector.collect()
    ]


# Sums of these over processes would mean nothing: a start is a point in time, and each process has the limit.
_PROCESS_MERGES = {"process_start_time_seconds": Merge.MIN, "process_max_fds": Merge.MIN}

_MERGERS: dict[Merge, Callable[[float, float], float]] = {Merge.SUM: operator.add, Merge.MAX: max, Merge.MIN: min}


def merge_families(processes: Iterable[Iterable[Family]]) -> list[Family]:
    """The families of several processes as one, line by line, each family by its own rule."""
    heads: dict[str, Family] = {}
    lines: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in itertools.chain.from_iterable(processes):
        heads.setdefault(family.name, family)
        merged, merger = lines.setdefault(family.name, {}), _MERGERS[family.merge]
        for sample in family.samples:
            key = (sample.name, tuple(sample.labels.items()))
            merged[key] = merger(merged[key], sample.value) if key in merged else sample.value
    return [
        msgspec.structs.replace(
            head, samples=tuple(Sample(line, dict(labels), value) for (line, labels), value in lines[name].items())
        )
        for name, head in heads.items()
    ]


class _Rendered(Collector):
    """Hands ready families to prometheus_client's text writer."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            metric = Metric(family.name.removesuffix("_total"), family.documentation, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, sample.labels, sample.value)
            yield metric


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(families: Iterable[Family]) -> bytes:
    """The Prometheus text format, to be sent as `CONTENT_TYPE`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Rendered(families))
    return generate_latest(registry)
