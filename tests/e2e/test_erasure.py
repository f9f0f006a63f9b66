"""After an erasure nothing outside of Redis names the person either: no table, no file of the database, no log."""

import json
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.test_money_commands import LINE_ITEM, SHOP, Spent, get, only
from tests.kit.chaos import small_budgets
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.waiting import wait_until

PERSON = "ab" * 32
CLIENT = "the-shops-own-id-of-the-browser"


def _send(url: str, cookie: str, event: dict[str, object]) -> None:
    body = json.dumps(event | {"gdpr": 0, "client_id": CLIENT}).encode()
    headers = {"Content-Type": "application/json", "Cookie": f"grosz_uid={cookie}"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        assert answer.status < 300


@pytest.mark.timeout(180)
def test_no_table_file_or_log_names_who_was_erased(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    file, catalogue = data / "catalogue.json", small_budgets()
    file.write_text(json.dumps(catalogue | {"line_items": [only(catalogue, LINE_ITEM)]}))
    assert grosz("catalogue", "import", str(file), "--data", str(data)).returncode == 0
    with RunningGrosz(data) as up:
        visitor = Spent(data, up)
        address = f"{up.urls['track']}/e/{SHOP}"
        _send(address, visitor.cookie, {"event": "login", "email_sha256": PERSON})
        bid = visitor.bid()
        assert get(bid["burl"].replace("${AUCTION_PRICE}", "2.00").replace("${AUCTION_CURRENCY}", "PLN")) == 204
        _send(address, visitor.cookie, {"event": "purchase", "transaction_id": "A-1", "value": 5, "currency": "PLN"})
        wait_until(lambda: len(visitor.export()) == 1)  # the bill is a row of the database
        wait_until(lambda: f'"advertiser_id": {SHOP}' in _shown(visitor))
        erased = grosz("user", "forget", visitor.cookie, "--yes", "--data", str(data))
        assert (erased.returncode, "erased 1 user id(s): 1 advertiser profile(s)" in erased.stdout) == (0, True)
        assert grosz("user", "show", visitor.cookie, "--data", str(data)).returncode == 1
        assert visitor.audit()[0] == 0
        log = up.log()
    marks = [mark.encode() for mark in (visitor.cookie, PERSON, CLIENT)]
    files = [*data.glob("grosz.sqlite*"), *(one for one in data.rglob("*.log") if one.is_file())]
    assert any(one.name == "grosz.sqlite" for one in files)
    named = [one.name for one in files if any(mark in one.read_bytes() for mark in marks)]
    assert named == []
    assert not any(mark.decode() in log for mark in marks)


def _shown(visitor: Spent) -> str:
    return grosz("user", "show", visitor.cookie, "--data", str(visitor.data)).stdout
