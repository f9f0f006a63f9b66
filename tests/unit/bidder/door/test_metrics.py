from bidder.door.metrics import BidMetrics, report_port
from bidder.door.server import BidServer
from bidder.openrtb.codec import MalformedReason
from core.clock import ManualClock
from core.reasons import NoBid
from core.telemetry.metrics import Telemetry
from tests.kit.bid_port import RecordingHandler


def values(telemetry: Telemetry, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in telemetry.families()
        if family.name == name
        for sample in family.samples
    }


def test_answers_are_counted_by_exchange_and_outcome() -> None:
    telemetry = Telemetry()
    metrics = BidMetrics(telemetry)
    metrics.bid("demo")
    metrics.no_bid("demo", NoBid.NO_TIME)
    metrics.no_bid("demo", NoBid.NO_TIME)
    metrics.malformed("demo", MalformedReason.NOT_JSON)
    assert values(telemetry, "grosz_bid_requests_total") == {
        ("demo", "bid"): 1, ("demo", "no_bid"): 2, ("demo", "malformed"): 1,
    }  # fmt: skip
    assert values(telemetry, "grosz_no_bids_total") == {("demo", "no_time"): 2}
    assert values(telemetry, "grosz_malformed_requests_total") == {("demo", "not_json"): 1}


def test_what_a_stranger_sends_never_becomes_a_label() -> None:
    telemetry = Telemetry()
    metrics = BidMetrics(telemetry)
    metrics.refused(NoBid.UNKNOWN_EXCHANGE)
    assert values(telemetry, "grosz_bid_requests_total") == {("", "unknown_exchange"): 1}


def test_latencies_are_summed() -> None:
    telemetry = Telemetry()
    metrics = BidMetrics(telemetry)
    metrics.answered("demo", 0.25)
    (family,) = [each for each in telemetry.families() if each.name == "grosz_bid_latency_seconds"]
    assert [sample.value for sample in family.samples if sample.name.endswith("_sum")] == [0.25]


def test_the_port_s_totals_are_metrics() -> None:
    server = BidServer(RecordingHandler(), clock=ManualClock())
    server.counters.connections_refused = 3
    families = {family.name: family.samples[0].value for family in report_port(server)}
    assert families["grosz_bid_connections_refused_total"] == 3
    assert families["grosz_bid_connections"] == 0
