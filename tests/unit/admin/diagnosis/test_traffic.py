from admin.diagnosis.findings import Finding, Severity
from admin.diagnosis.traffic import Traffic, check_exchanges
from core.model import Exchange, Status

DEMO = Exchange(id=1, key="demo")
OTHER = Exchange(id=2, key="other")


def metrics(requests: dict[str, dict[str, int]], reasons: dict[str, int] | None = None) -> str:
    lines = ["# HELP grosz_bid_requests_total Bid requests", "# TYPE grosz_bid_requests_total counter"]
    lines += [
        f'grosz_bid_requests_total{{exchange="{key}",outcome="{outcome}"}} {count}.0'
        for key, outcomes in requests.items()
        for outcome, count in outcomes.items()
    ]
    lines += [f'grosz_no_bids_total{{exchange="demo",reason="{name}"}} {n}' for name, n in (reasons or {}).items()]
    return "\n".join(lines)


def stops(findings: list[Finding]) -> list[str]:
    return [finding.text for finding in findings if finding.severity is Severity.STOP]


def check(text: str | None, *exchanges: Exchange, offered: int = 0) -> list[Finding]:
    return check_exchanges(exchanges, None if text is None else Traffic(text), "http://127.0.0.1:8080", offered)


def test_without_an_active_exchange_nobody_may_ask() -> None:
    paused = Exchange(id=1, key="demo", status=Status.PAUSED)
    assert stops(check("", paused)) == ["no exchange is active, so every bid request is refused"]


def test_silence_names_the_address_that_requests_should_go_to() -> None:
    for text in ("", None):
        (finding,) = check(text, DEMO, OTHER)
        assert finding.severity is Severity.STOP
        assert "http://127.0.0.1:8080/openrtb2/demo, http://127.0.0.1:8080/openrtb2/other" in finding.advice


def test_a_restart_of_the_bidders_is_not_silence() -> None:
    assert stops(check("", DEMO, offered=5)) == []
    assert stops(check(None, DEMO, offered=5)) == []


def test_traffic_is_said_by_exchange_and_outcome() -> None:
    findings = check(metrics({"demo": {"bid": 3, "no_bid": 7}}), DEMO, OTHER)
    assert [finding.text for finding in findings] == [
        "demo: 10 bid requests since the bidders started (3 bid, 7 no bid)",
        "other: no bid request since the bidders started",
    ]
    assert stops(findings) == []


def test_an_exchange_whose_requests_all_fail_alike_is_stopped_by_that() -> None:
    assert stops(check(metrics({"demo": {"malformed": 4}}), DEMO)) == ["demo: every request is malformed"]
    refused = metrics({"demo": {"no_bid": 9}}, {"consent_purpose_2": 8, "no_time": 1})
    assert stops(check(refused, DEMO)) == ["demo: no request got a bid, mostly (8): no consent to select basic ads"]


def test_a_reason_that_takes_most_of_the_requests_is_noted_beside_a_few_bids() -> None:
    taken = metrics({"demo": {"bid": 4, "no_bid": 96}}, {"consent_purpose_2": 51, "no_time": 45})
    _, found = check(taken, DEMO)
    assert found.severity is Severity.NOTE
    assert found.text == "demo: 51 of 100 requests got no bid: no consent to select basic ads"
    assert "vendor_id" in found.advice
    assert len(check(metrics({"demo": {"bid": 4, "no_bid": 96}}, {"consent_purpose_2": 50, "no_time": 46}), DEMO)) == 1


def test_what_line_items_decide_is_left_to_their_own_findings() -> None:
    assert stops(check(metrics({"demo": {"no_bid": 9}}, {"not_targeted": 9}), DEMO)) == []
