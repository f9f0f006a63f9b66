import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.telemetry.metrics import (
    LATENCY_BUCKETS,
    MAX_CHILDREN,
    Family,
    Merge,
    Sample,
    Telemetry,
    merge_families,
    process_families,
    render,
)


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def lines(families: list[Family]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus reads out of the text."""
    parsed = text_string_to_metric_families(render(families).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parsed
        for sample in family.samples
    }


def test_latency_buckets_reach_from_a_quarter_to_250_milliseconds() -> None:
    assert LATENCY_BUCKETS[0] == 0.00025
    assert LATENCY_BUCKETS[-1] == 0.25
    assert list(LATENCY_BUCKETS) == sorted(set(LATENCY_BUCKETS))


def test_counter_counts_by_label_in_prometheus_text(telemetry: Telemetry) -> None:
    requests = telemetry.counter("grosz_bid_requests_total", "Bid requests.", ("exchange", "outcome"))
    bids = requests.labels("demo", "bid")
    bids.inc()
    bids.inc(2)
    requests.labels("demo", "no_bid").inc()
    assert lines(telemetry.families()) == {
        ("grosz_bid_requests_total", (("exchange", "demo"), ("outcome", "bid"))): 3,
        ("grosz_bid_requests_total", (("exchange", "demo"), ("outcome", "no_bid"))): 1,
    }


def test_same_labels_give_the_same_child(telemetry: Telemetry) -> None:
    family = telemetry.counter("grosz_things_total", "Things.", ("kind",))
    assert family.labels("a") is family.labels("a")
    assert family.labels(1) is family.labels("1")


def test_histogram_counts_a_value_on_a_bound_into_that_bucket(telemetry: Telemetry) -> None:
    latency = telemetry.histogram("grosz_wait_seconds", "Waits.", bounds=(0.001, 0.01)).labels()
    for seconds in (0.0005, 0.001, 0.002, 5.0):
        latency.observe(seconds)
    assert lines(telemetry.families()) == {
        ("grosz_wait_seconds_bucket", (("le", "0.001"),)): 2,
        ("grosz_wait_seconds_bucket", (("le", "0.01"),)): 3,
        ("grosz_wait_seconds_bucket", (("le", "+Inf"),)): 4,
        ("grosz_wait_seconds_count", ()): 4,
        ("grosz_wait_seconds_sum", ()): pytest.approx(5.0035),
    }


def test_gauge_is_set_or_asked_at_the_scrape(telemetry: Telemetry) -> None:
    age = telemetry.gauge("grosz_age_seconds", "Age.", merge=Merge.MAX).labels()
    open_connections = telemetry.gauge("grosz_connections", "Open connections.").labels()
    open_connections.set(3)
    age.follow(lambda: 7.5)
    assert lines(telemetry.families()) == {("grosz_age_seconds", ()): 7.5, ("grosz_connections", ()): 3}


def test_wrong_number_of_labels_is_refused(telemetry: Telemetry) -> None:
    with pytest.raises(ValueError, match="takes the labels"):
        telemetry.counter("grosz_things_total", "Things.", ("kind",)).labels()


def test_second_family_of_one_name_is_refused(telemetry: Telemetry) -> None:
    telemetry.counter("grosz_things_total", "Things.")
    with pytest.raises(ValueError, match="exists already"):
        telemetry.counter("grosz_things_total", "Things.")


def test_counter_without_its_suffix_is_refused(telemetry: Telemetry) -> None:
    with pytest.raises(ValueError, match="_total"):
        telemetry.counter("grosz_things", "Things.")


def test_labels_chosen_by_traffic_do_not_fill_memory(telemetry: Telemetry) -> None:
    family = telemetry.counter("grosz_things_total", "Things.", ("kind",))
    for number in range(MAX_CHILDREN + 50):
        family.labels(number).inc()
    samples = family.family().samples
    assert len(samples) == MAX_CHILDREN + 1
    assert [sample.value for sample in samples if sample.labels == {"kind": "other"}] == [50]


def test_source_adds_whole_families(telemetry: Telemetry) -> None:
    family = Family("grosz_reasons_total", "counter", "Reasons.", Merge.SUM, (Sample("grosz_reasons_total", {}, 5),))
    telemetry.add_source(lambda: [family])
    assert lines(telemetry.families()) == {("grosz_reasons_total", ()): 5}


def test_processes_merge_line_by_line_each_family_by_its_rule() -> None:
    def process(count: int, age: float, oldest: float, kind: str) -> list[Family]:
        return [
            Family("a_total", "counter", "", Merge.SUM, (Sample("a_total", {"kind": kind}, count),)),
            Family("age", "gauge", "", Merge.MAX, (Sample("age", {}, age),)),
            Family("start", "gauge", "", Merge.MIN, (Sample("start", {}, oldest),)),
        ]

    merged = merge_families([process(1, 5, 100, "x"), process(2, 3, 50, "x"), process(4, 4, 70, "y")])
    assert lines(merged) == {
        ("a_total", (("kind", "x"),)): 3,
        ("a_total", (("kind", "y"),)): 4,
        ("age", ()): 5,
        ("start", ()): 50,
    }


def test_process_memory_and_cpu_are_reported_under_the_usual_names() -> None:
    names = {name for name, _ in lines(process_families())}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total"} <= names
