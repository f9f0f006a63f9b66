"""`grosz audit` and `grosz ledger export` beside a running Grosz that has really spent, and after it has ended."""

import asyncio
import csv
import datetime
import io
import json
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis

from core import keys
from core.ids import new_user_id
from core.redis.embedded import EmbeddedServer
from loadtest.judging.audit import read_ledger
from loadtest.measure.tally import BillKey
from tests.kit.agents import PERSON
from tests.kit.chaos import small_budgets
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.waiting import wait_until

BILLS = 5
SHOP, LINE_ITEM = 1, 13
ORDER_MICROS = 250_000_000

# A level is packed as budget, spent, exposure, free, ..., 8 bytes each. One step, since the bidder leases meanwhile.
MOVE_SPENT_TO_FREE = """
local level, micros = redis.call('HGET', KEYS[1], ARGV[1]), tonumber(ARGV[2])
local spent, exposure, free = struct.unpack('<i8i8i8', level, 9)
local moved = struct.pack('<i8i8i8', spent - micros, exposure, free + micros)
redis.call('HSET', KEYS[1], ARGV[1], level:sub(1, 8) .. moved .. level:sub(33))
"""


class Spent:
    """A data directory where a few impressions were billed; `cookie` is the user who saw and clicked the first."""

    def __init__(self, data: Path, up: RunningGrosz) -> None:
        self.data, self.up = data, up
        self.cookie = new_user_id()
        self.redis_url = EmbeddedServer(data).url

    def audit(self) -> tuple[int, str]:
        done = grosz("audit", "--data", str(self.data))
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout

    def export(self, *arguments: str) -> list[dict[str, str]]:
        done = grosz("ledger", "export", *arguments, "--data", str(self.data))
        assert done.returncode == 0, done.stderr
        return list(csv.DictReader(io.StringIO(done.stdout)))

    def bid(self) -> dict[str, Any]:
        """A bid for the user, as soon as there is one."""
        request = {
            "id": new_user_id(), "at": 2, "cur": ["PLN"], "tmax": 300, "site": {"page": "https://news.example/"},
            "user": {"buyeruid": self.cookie},
            "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 1.0, "bidfloorcur": "PLN"}],
        }  # fmt: skip
        found: list[dict[str, Any]] = []

        def answered() -> bool:
            status, body = post(f"{self.up.urls['bid']}/openrtb2/bills", request)
            if status == 200:
                found.extend(bid for seat in json.loads(body)["seatbid"] for bid in seat["bid"])
            return bool(found)

        wait_until(answered)
        return found[0]


def only(catalogue: dict[str, Any], line_item: int) -> object:
    return next(item for item in catalogue["line_items"] if item["id"] == line_item)


def post(url: str, document: object) -> tuple[int, bytes]:
    request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return int(response.status), response.read()


def get(url: str) -> int:
    with urllib.request.urlopen(url) as response:
        return int(response.status)


@pytest.fixture(scope="module")
def spent() -> Iterator[Spent]:
    with tempfile.TemporaryDirectory(prefix="grosz-") as directory:
        data = Path(directory) / "data"
        data.mkdir()
        file = data / "catalogue.json"
        catalogue = small_budgets()
        file.write_text(json.dumps(catalogue | {"line_items": [only(catalogue, LINE_ITEM)]}))
        assert grosz("catalogue", "import", str(file), "--data", str(data)).returncode == 0
        with RunningGrosz(data) as up:
            there = Spent(data, up)
            for _ in range(BILLS):
                burl = there.bid()["burl"].replace("${AUCTION_PRICE}", "2.00").replace("${AUCTION_CURRENCY}", "PLN")
                assert get(burl) == 204
            wait_until(lambda: sum(int(row["impressions"]) for row in there.export()) == BILLS)
            yield there


@pytest.mark.timeout(180)
def test_the_audit_agrees_with_what_was_spent(spent: Spent) -> None:
    code, text = spent.audit()
    assert code == 0
    assert "rich: spent 0.01 PLN" in text
    assert "poor: spent 0.00 PLN" in text
    assert text.endswith("\n2 advertisers, 0 differences\n")
    assert "\nthe journal, which reports are made of, is compared " in text


@pytest.mark.timeout(180)
def test_the_export_names_day_line_item_and_exchange(spent: Spent) -> None:
    (row,) = spent.export()
    assert (row["advertiser_id"], row["advertiser"], row["line_item_id"]) == (str(SHOP), "rich", str(LINE_ITEM))
    assert (row["exchange"], row["impressions"], row["charge"], row["currency"]) == ("bills", str(BILLS), "0.01", "PLN")
    assert spent.export("--day", row["day"]) == [row]
    assert spent.export("--day", "2001-01-01") == []


@pytest.mark.timeout(180)
def test_an_exchanges_bill_is_held_against_the_ledger(spent: Spent, tmp_path: Path) -> None:
    bill = tmp_path / "bill.csv"
    bill.write_text(grosz("ledger", "export", "--data", str(spent.data)).stdout, encoding="utf-8")
    compare = (
        "ledger", "compare", str(bill), "--exchange", "bills", "--column", "line_item=line_item_id",
        "--column", "amount=charge", "--data", str(spent.data),
    )  # fmt: skip
    same = grosz(*compare)
    assert same.returncode == 0, same.stderr
    bill.write_text(bill.read_text(encoding="utf-8").replace(",0.01,", ",0.02,"), encoding="utf-8")
    other = grosz(*compare)
    assert other.returncode == 1
    assert "+100.00" in other.stdout
    assert "differs" in other.stdout
    bill.write_text(bill.read_text(encoding="utf-8").replace(",PLN", ",USD"), encoding="utf-8")
    foreign = grosz(*compare)
    assert foreign.returncode == 2
    assert f"line item {LINE_ITEM}: is booked in PLN and billed in USD" in foreign.stderr
    day = spent.export()[0]["day"]
    elsewhere = f"day,line_item_id,impressions,charge\n2001-01-01,{LINE_ITEM},1,0.01\n"
    before = datetime.date.fromisoformat(day) - datetime.timedelta(days=1)
    bill.write_text(elsewhere.replace("2001-01-01", before.isoformat()), encoding="utf-8")
    lacking = grosz(*compare, "--until", day, "--json")
    assert lacking.returncode == 1
    assert "the bill does not say its currency" in lacking.stderr
    found = [(one["day"], one["lacks"]) for one in json.loads(lacking.stdout)]
    assert found == [(before.isoformat(), "ledger"), (day, "bill")]


@pytest.mark.timeout(180)
def test_the_load_test_can_read_the_export(spent: Spent) -> None:
    done = grosz("ledger", "export", "--data", str(spent.data))
    (line,) = read_ledger(done.stdout).items()
    assert line == (BillKey(str(LINE_ITEM), "PLN"), (10_000, BILLS))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("field", ["a", f"l{LINE_ITEM}"])
def test_a_counter_that_was_tampered_with_makes_the_audit_fail(spent: Spent, field: str) -> None:
    with redis.Redis.from_url(spent.redis_url) as connection:
        move = connection.register_script(MOVE_SPENT_TO_FREE)
        move(keys=[keys.money_levels(SHOP)], args=[field, 1_000])
        try:
            code, text = spent.audit()
        finally:
            move(keys=[keys.money_levels(SHOP)], args=[field, -1_000])
    assert code == 1
    assert f"  {field}: the counter says 9000 micros spent, the ledger 10000" in text
    assert spent.audit()[0] == 0


@pytest.mark.timeout(180)
def test_a_correction_is_booked_once_with_its_reason(spent: Spent) -> None:
    (row,) = spent.export()
    options = ("--line-item", str(LINE_ITEM), "--day", row["day"], "--note", "billed twice", "--exchange", "bills")
    data = ("--data", str(spent.data))
    booked = grosz("ledger", "correct", "invoice 7", *options, "--amount", "-0.002", "--impressions", "-1", *data)
    assert (booked.returncode, booked.stdout) == (0, "booked -0.002 PLN and -1 impressions\n"), booked.stderr
    again = grosz("ledger", "correct", "invoice 7", *options, "--amount", "-0.002", *data)
    assert (again.returncode, again.stdout) == (0, "'invoice 7' was booked before: nothing has changed\n")
    wait_until(lambda: spent.export()[0]["charge"] == "0.008")
    assert spent.export()[0] == row | {"charge": "0.008", "impressions": str(BILLS - 1)}
    assert spent.audit()[0] == 0
    back = grosz("ledger", "correct", "invoice 7b", *options, "--amount", "0.002", "--impressions", "1", *data)
    assert back.returncode == 0
    wait_until(lambda: spent.export() == [row])
    nobody = grosz("ledger", "correct", "x", "--line-item", "999", *options[2:], *data)
    assert (nobody.returncode != 0, "there is no line item 999" in nobody.stderr) == (True, True)


@pytest.mark.timeout(180)
def test_an_order_is_credited_to_the_line_item_whose_ad_was_clicked(spent: Spent) -> None:
    click = spent.bid()["adm"].split('href="', 1)[1].split('"', 1)[0].replace("&amp;", "&")

    async def click_and_buy() -> None:
        cookies = {"grosz_uid": spent.cookie}
        async with aiohttp.ClientSession(cookies=cookies, headers={"User-Agent": PERSON}) as browser:
            async with browser.get(click, allow_redirects=False) as response:
                assert response.status == 302
                assert response.headers["Location"] == f"https://shop{SHOP}.example/"
            order = {"event": "purchase", "transaction_id": "A-1", "value": 250.0, "currency": "PLN", "gdpr": 0}
            for _ in range(2):  # the page with the confirmation is reloaded
                async with browser.post(f"{spent.up.urls['track']}/e/{SHOP}", json=order) as response:
                    assert response.status < 300, await response.text()

    asyncio.run(click_and_buy())

    def credited() -> dict[bytes, bytes]:
        with redis.Redis.from_url(spent.redis_url) as connection:
            found: dict[bytes, bytes] = {}
            for key in connection.scan_iter(match=f"{{a:{SHOP}}}:delivery:*"):
                counts = connection.hgetall(key)
                assert isinstance(counts, dict)
                found |= counts
            return found

    name = f"{LINE_ITEM}:click".encode()
    wait_until(lambda: name + b"_conversions" in credited())
    counts = credited()
    assert (counts[name + b"_conversions"], counts[name + b"_value_micros"]) == (b"1", b"%d" % ORDER_MICROS)


@pytest.mark.timeout(180)
def test_the_commands_work_after_the_end(tmp_path: Path) -> None:
    with RunningGrosz(tmp_path / "data", "--seed", "demo"):
        pass
    done = grosz("audit", "--data", str(tmp_path / "data"))
    assert (done.returncode, "0 differences" in done.stdout) == (0, True), done.stdout + done.stderr
    assert grosz("ledger", "export", "--data", str(tmp_path / "data")).stdout.count("\n") == 1
