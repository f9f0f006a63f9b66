"""What the bid path tells the operator, as counters bound once: an answer costs a few dictionary look-ups."""

from collections.abc import Iterable, Mapping

from bidder.door.server import BidServer
from bidder.openrtb.codec import MalformedReason
from core.reasons import NoBid
from core.telemetry.metrics import CounterChild, Family, HistogramChild, Merge, Sample, Telemetry


class BidMetrics:
    """Counters of answers by exchange and reason, and latency from the first byte to the answer."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._answers = telemetry.counter(
            "grosz_bid_requests_total", "Bid requests by exchange and outcome.", ("exchange", "outcome")
        )
        self._no_bids = telemetry.counter(
            "grosz_no_bids_total", "Bid requests without a bid, by exchange and reason.", ("exchange", "reason")
        )
        self._malformed = telemetry.counter(
            "grosz_malformed_requests_total",
            "Bid requests answered with 400, by exchange and rule.",
            ("exchange", "rule"),
        )
        self._latency = telemetry.histogram(
            "grosz_bid_latency_seconds", "Time from a request's first byte to its answer, by exchange.", ("exchange",)
        )
        self._faults = telemetry.counter(
            "grosz_bid_faults_total", "Batches that ended in a fault of the bidder; should stay 0."
        ).labels()
        self._checked = telemetry.counter(
            "grosz_checked_answers_total", "Answers that were checked against their request before they left."
        ).labels()
        self._violations = telemetry.counter(
            "grosz_bid_violations_total",
            "Rules that bids broke and were withheld for, by exchange and rule; should stay 0.",
            ("exchange", "rule"),
        )
        self._left_out = telemetry.counter(
            "grosz_bid_left_out_total",
            "Parts of oversized bid requests that were not looked at, by exchange and kind.",
            ("exchange", "kind"),
        )
        self._by_reason: dict[tuple[str, NoBid], tuple[CounterChild, CounterChild]] = {}  # by reason, by outcome
        self._by_outcome: dict[tuple[str, str], CounterChild] = {}
        self._by_exchange: dict[str, HistogramChild] = {}

    def bid(self, exchange_key: str) -> None:
        """Count an answer with at least one bid."""
        self._outcome(exchange_key, "bid").value += 1

    def no_bid(self, exchange_key: str, reason: NoBid) -> None:
        """Count an answer without a bid."""
        children = self._by_reason.get((exchange_key, reason))
        if children is None:
            child = self._no_bids.labels(exchange_key, reason.name.lower())
            children = self._by_reason[exchange_key, reason] = (child, self._outcome(exchange_key, "no_bid"))
        for child in children:
            child.value += 1

    def refused(self, reason: NoBid) -> None:
        """Count a request for an unknown exchange or without credentials; its key, the sender's choice, is no label."""
        self._outcome("", reason.name.lower()).value += 1

    def malformed(self, exchange_key: str, rule: MalformedReason) -> None:
        """Count a request answered with 400."""
        self._malformed.labels(exchange_key, rule).value += 1
        self._outcome(exchange_key, NoBid.MALFORMED.name.lower()).value += 1

    def answered(self, exchange_key: str, latency_s: float) -> None:
        """Note an answer that was given `latency_s` seconds after its request's first byte."""
        child = self._by_exchange.get(exchange_key)
        if child is None:
            child = self._by_exchange[exchange_key] = self._latency.labels(exchange_key)
        child.observe(latency_s)

    def answers(self) -> int:
        """Requests answered so far, from all exchanges: the traffic that pacing learns the shape of."""
        return sum(sum(child.counts) for child in self._by_exchange.values())

    def checked(self) -> None:
        """Count an answer that was checked against its request."""
        self._checked.value += 1

    def violation(self, exchange_key: str, rule: str) -> None:
        """Count a rule that a bid broke and was withheld for."""
        self._violations.labels(exchange_key, rule).value += 1

    def left_out(self, exchange_key: str, parts: Mapping[str, int]) -> None:
        """Count the parts of a request, by kind, that were not looked at."""
        for kind, number in parts.items():
            if number:
                self._left_out.labels(exchange_key, kind).value += number

    def fault(self) -> None:
        """Count a batch, or a request alone, that failed on an exception."""
        self._faults.value += 1

    def _outcome(self, exchange_key: str, outcome: str) -> CounterChild:
        child = self._by_outcome.get((exchange_key, outcome))
        if child is None:
            child = self._by_outcome[exchange_key, outcome] = self._answers.labels(exchange_key, outcome)
        return child


def report_port(server: BidServer) -> Iterable[Family]:
    """What the bid port has counted, as metric families, asked for at each scrape."""
    counters = server.counters
    totals = {
        "grosz_bid_connections_accepted_total": ("Connections accepted by the bid port", counters.connections_accepted),
        "grosz_bid_connections_refused_total": ("Connections over the cap", counters.connections_refused),
        "grosz_bid_replies_abandoned_total": ("Answers whose connection was gone", counters.replies_abandoned),
        "grosz_bid_handler_faults_total": ("Faults of the handler; should stay 0", counters.handler_faults),
    }
    for name, (documentation, value) in totals.items():
        yield Family(name, "counter", documentation, Merge.SUM, (Sample(name, {}, value),))
    name = "grosz_bid_connections"
    yield Family(name, "gauge", "Open connections", Merge.SUM, (Sample(name, {}, server.connections),))
