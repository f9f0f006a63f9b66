import http.server
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from loadtest.judging.reasons import counted_reasons, reasons_since

METRICS = b"""# TYPE grosz_no_bids_total counter
grosz_no_bids_total{exchange="demo",reason="floor"} 3.0
grosz_no_bids_total{exchange="demo",reason="not_targeted"} 40.0
grosz_no_bids_total{exchange="other",reason="floor"} 7.0
"""


class MetricsPage(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(METRICS)

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def bid_url() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), MetricsPage)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/openrtb2/demo"
    server.shutdown()
    thread.join()
    server.server_close()


def test_reasons_of_one_exchange_are_read_from_the_metrics(bid_url: str) -> None:
    assert counted_reasons(bid_url) == {"floor": 3, "not_targeted": 40}


def test_only_what_was_added_counts(bid_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.judging.reasons.SETTLE_S", 0.0)
    assert reasons_since(Counter(floor=1, not_targeted=40), bid_url) == {"floor": 2}


def test_a_bidder_that_hides_its_metrics_gives_no_reasons(bid_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MetricsPage, "status", 403)
    assert counted_reasons(bid_url) is None
    assert reasons_since(None, bid_url) is None
