"""`grosz explain`, `funnel` and `doctor` against a running installation: they say what really happens."""

import functools
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.clock import SystemClock
from pacing.notices.tokens import TokenSigner
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

# What the funnel promises, and how long it is waited for where other tests have the processor.
FRESH_S, PATIENCE_S = 10, 60


class Demo:
    """A demo installation, its commands, and an exchange that sends it bid requests."""

    def __init__(self, running: RunningGrosz, data: Path, scratch: Path) -> None:
        self.running = running
        self.data = data
        self._scratch = scratch
        self._sent = 0

    def command(self, *arguments: str) -> Any:  # noqa: ANN401 - parsed JSON
        done = grosz(*arguments, "--json", "--data", str(self.data))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @functools.cached_property
    def key(self) -> str:
        """An API key that may read: polling with the command line would mostly wait for imports."""
        return str(self.command("key", "create", "--set", "name=reader", "--set", 'scopes=["read"]')["secret"])

    def ask(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - parsed JSON
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(self.running.urls["admin"] + path, data, headers)
        ) as response:
            return json.load(response)

    def request(self, width: int = 300, height: int = 250) -> dict[str, Any]:
        self._sent += 1
        return {
            "id": f"auction-{self._sent}",
            "imp": [{"id": "1", "banner": {"w": width, "h": height}, "bidfloor": 0.5, "bidfloorcur": "PLN"}],
            "site": {"domain": "wiadomosci.example", "page": "https://wiadomosci.example/a"},
            "device": {"devicetype": 2, "geo": {"country": "POL"}},
            "regs": {"gdpr": 0},
            "cur": ["PLN"],
            "tmax": 300,
        }

    def some_bid(self) -> dict[str, Any]:
        """A bid, as soon as there is one: a line item that won before may wait for a lease."""
        while (bid := self.bid(self.request())) is None:  # the test's timeout is the bound
            time.sleep(0.1)
        return bid

    def bid(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer's only bid, None for a no-bid."""
        url = f"{self.running.urls['bid']}/openrtb2/demo"
        sent = urllib.request.Request(url, json.dumps(request).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(sent) as response:
            if response.status == 204:
                return None
            found: dict[str, Any] = json.load(response)["seatbid"][0]["bid"][0]
            return found

    def line_item_of(self, bid: dict[str, Any]) -> int:
        signer = TokenSigner({1: bytes.fromhex((self.data / "token.key").read_text().strip())})
        token = bid["burl"].split("/n/bill/")[1].partition("?")[0]
        return signer.verify(token, SystemClock().now_ms() // 1000).line_item_id

    def explain(self, request: dict[str, Any], **asked: object) -> dict[str, Any]:
        explanation: dict[str, Any] = self.ask("/v1/explain", {"exchange": "demo", "request": request, **asked})
        return explanation

    def funnel(self, line_item: int) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(f"/v1/line-items/{line_item}/funnel")
        return found

    def file(self, request: dict[str, Any]) -> str:
        path = self._scratch / "request.json"
        path.write_text(json.dumps(request))
        return str(path)

    def stops(self, *arguments: str) -> list[str]:
        """What stops delivery according to `grosz doctor`; its exit code must say the same."""
        done = grosz("doctor", "--json", "--data", str(self.data), *arguments)
        report = json.loads(done.stdout)
        found = [finding["text"] for finding in report["findings"] if finding["severity"] == "stop"]
        assert done.returncode == (1 if found else 0), done.stderr
        assert report["delivers"] is not bool(found)
        return found

    def wait_for_stop(self, line_item: int, words: str) -> None:
        """Until the API's doctor says it; then the command says it too."""
        wait_until(lambda: any(words in text for text in self.stops_of(line_item)))
        assert any(words in text for text in self.stops("--line-item", str(line_item)))

    def stops_of(self, line_item: int) -> list[str]:
        findings = self.ask(f"/v1/doctor?line_item_id={line_item}")["findings"]
        return [finding["text"] for finding in findings if finding["severity"] == "stop"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    data = tmp_path_factory.mktemp("demo")
    with RunningGrosz(data, "--seed", "demo", environ={"GROSZ_CONSENT_BID_WITHOUT_PURPOSE_2": "true"}) as running:
        demo = Demo(running, data, tmp_path_factory.mktemp("scratch"))
        demo.some_bid()  # the first leases come within a second
        yield demo


def test_the_explained_winner_is_the_one_that_bids(demo: Demo) -> None:
    request = demo.request()

    def agree() -> bool:
        """Not at once: a first lease holds one bid, and explanations look at budgets, not at leases."""
        bid = demo.bid(request)
        if bid is None:
            return False
        (impression,) = demo.explain(request)["impressions"]
        (verdict,) = [one for one in impression["line_items"] if one["outcome"] == "bid"]
        same = verdict["line_item_id"] == impression["winner"] == demo.line_item_of(bid)
        return bool(same and float(verdict["price"]["bid_cpm"]) == bid["price"])

    wait_until(agree)
    assert demo.command("explain", demo.file(request))["impressions"][0]["winner"] is not None
    shown = grosz("explain", demo.file(request), "--data", str(demo.data))
    assert shown.returncode == 0
    assert "bids with creative" in shown.stdout


def test_a_command_decides_by_what_the_installation_was_started_with(demo: Demo) -> None:
    request = demo.request() | {"regs": {"gdpr": 1}}  # without a consent string: bid on by that setting alone
    told, asked = demo.command("explain", demo.file(request)), demo.explain(request)
    assert told["impressions"][0]["winner"] == asked["impressions"][0]["winner"] is not None


def test_the_funnel_counts_every_request_within_seconds(demo: Demo) -> None:
    line_item = demo.explain(demo.request())["impressions"][0]["winner"]
    before: dict[str, Any] = {}
    while before != (now := demo.funnel(line_item)["last_day"]):  # until what earlier tests sent has arrived
        before = now
        time.sleep(FRESH_S)
    sent = [demo.bid(demo.request()) for _ in range(25)]
    mine = sum(1 for bid in sent if bid is not None and demo.line_item_of(bid) == line_item)
    deadline = time.monotonic() + PATIENCE_S
    after = before
    while after["requests"] < before["requests"] + 25 and time.monotonic() < deadline:
        time.sleep(0.2)
        after = demo.funnel(line_item)["last_day"]
    assert (after["requests"] - before["requests"], after["bids"] - before["bids"]) == (25, mine)
    assert demo.command("funnel", str(line_item))["last_day"]["requests"] == after["requests"]


def test_a_win_and_a_bill_reach_the_funnel(demo: Demo) -> None:
    bid = demo.some_bid()
    line_item = demo.line_item_of(bid)
    for notice in ("nurl", "burl"):
        url = bid[notice].replace("${AUCTION_PRICE}", "1.00").replace("${AUCTION_CURRENCY}", "PLN")
        urllib.request.urlopen(url).close()

    def arrived() -> bool:
        window = demo.funnel(line_item)["last_hour"]
        return bool(window["wins"] and window["impressions"]) and window["spend"] != "0.000000"

    wait_until(arrived)


def test_the_doctor_names_a_paused_line_item(demo: Demo) -> None:
    demo.command("line-item", "pause", "100")
    demo.wait_for_stop(100, "the line item is paused")
    demo.command("line-item", "resume", "100")
    wait_until(lambda: not any("paused" in text for text in demo.stops_of(100)))


def test_the_doctor_names_a_spent_budget(demo: Demo) -> None:
    bid = demo.some_bid()
    line_item = demo.line_item_of(bid)
    url = bid["burl"].replace("${AUCTION_PRICE}", str(bid["price"])).replace("${AUCTION_CURRENCY}", "PLN")
    urllib.request.urlopen(url).close()
    demo.command("line-item", "update", str(line_item), "--set", "daily_budget.spend.amount=0.000001")
    demo.wait_for_stop(line_item, "line item daily budget")
    verdicts = demo.explain(demo.request(), line_item_id=line_item)["impressions"][0]["line_items"]
    spent = [reason for reason in verdicts[0]["reasons"] if reason["reason"] == "budget_spent"]
    assert len(spent) == 1
    assert spent[0]["detail"].startswith("line item daily budget ")


def test_the_doctor_names_a_missing_creative_size(demo: Demo) -> None:
    page = demo.command("creative", "list", "advertiser_id=2", "width=970", "height=250")
    only = page["items"][0]["id"]
    copy = demo.command("line-item", "copy", "200", "--set", f"creative_ids=[{only}]", "--set", "name=One size")
    demo.command("line-item", "resume", str(copy["id"]))
    number, words = copy["id"], "no creative fits the offered size (there is 970x250)"

    def told() -> bool:
        demo.bid(demo.request(300, 250))
        try:
            return any(words in text for text in demo.stops_of(number))
        except urllib.error.HTTPError:  # it is not published yet
            return False

    wait_until(told)
    assert any(words in text for text in demo.stops("--line-item", str(number)))


def test_the_doctor_names_an_admin_that_is_away_and_the_catalogue_that_gets_stale(demo: Demo) -> None:
    (admin,) = [pid for pid, line in demo.running.family().items() if line.endswith(" admin")]
    os.kill(admin, signal.SIGSTOP)
    try:
        wait_until(lambda: any("the catalogue is stale: no admin role for" in text for text in demo.stops()))
        assert any(text.startswith("the admin does not answer at ") for text in demo.stops())
    finally:
        os.kill(admin, signal.SIGCONT)
    wait_until(lambda: not any("admin" in text for text in demo.stops("--line-item", "300")))


def test_the_commands_ask_the_api_of_a_url(demo: Demo) -> None:
    remote = ("--url", demo.running.urls["admin"], "--key", demo.key, "--json")
    winner = json.loads(grosz("explain", demo.file(demo.request()), *remote).stdout)["impressions"][0]["winner"]
    assert json.loads(grosz("funnel", str(winner), *remote).stdout)["line_item_id"] == winner
    report = json.loads(grosz("doctor", "--line-item", str(winner), *remote).stdout)
    areas = {finding["area"] for finding in report["findings"]}
    assert {"processes", "redis", "database", "catalogue", "bidders", "exchanges", "budget", "last hour"} <= areas
    away = grosz("doctor", "--url", "http://127.0.0.1:9", "--key", demo.key, "--json")
    assert away.returncode == 1
    assert "the admin API does not answer" in away.stdout


def test_a_machine_where_nothing_runs_is_told_so(tmp_path: Path) -> None:
    for made, words in ((False, "there is no Grosz in"), (True, "Redis does not answer")):
        if made:
            assert grosz("migrate", "--data", str(tmp_path)).returncode == 0
        done = grosz("doctor", "--data", str(tmp_path), "--json")
        assert done.returncode == 1
        assert any(words in finding["text"] for finding in json.loads(done.stdout)["findings"]), done.stdout
        assert "Traceback" not in done.stderr
