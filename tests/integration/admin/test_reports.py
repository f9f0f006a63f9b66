"""Reports over HTTP: what is asked is answered in three forms, and nobody sees another shop's figures."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import openpyxl
import pytest

from core.clock import ManualClock
from journal.columnar import Columnar, files_sql
from journal.rows import ANSWER, BILL
from journal.segment import SegmentFrame
from tests.integration.admin.conftest import make_shop
from tests.kit.api import Api, running_api
from tests.kit.journal_rows import JournalFolder, a_row


@pytest.fixture
async def journal(tmp_path: Path, clock: ManualClock) -> AsyncIterator[JournalFolder]:
    folder = JournalFolder(tmp_path / "journal", clock)
    yield folder
    folder.close()


@pytest.fixture
async def reporting(valkey: str, clock: ManualClock, tmp_path: Path, journal: JournalFolder) -> AsyncIterator[Api]:
    """An API over SQLite with a journal: shop 1 spent 2 x 1.50, shop 2 spent 0.25."""
    database = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    bills = [(1, 1_500_000), (1, 1_500_000), (2, 250_000)]
    rows = [
        list(a_row(BILL, bid_id=at, bid_ms=clock.now_ms(), advertiser_id=shop, line_item_id=shop, impressions=1,
                   charge_micros=charge, currency="PLN", entry="bill"))
        for at, (shop, charge) in enumerate(bills)
    ]  # fmt: skip
    answers = [list(a_row(ANSWER, at_ms=clock.now_ms(), requests=9))]
    frames = [SegmentFrame(BILL.name, BILL.names, rows), SegmentFrame(ANSWER.name, ANSWER.names, answers)]
    journal.converter.write("made", frames)
    journal.archive.note_stored_until(clock.now_ms())
    async with running_api(database, valkey, clock, archive=journal.archive) as api:
        yield api


QUESTION = {"dimensions": ["advertiser"], "measures": ["impressions", "spend"]}


async def test_a_question_is_answered_as_json_csv_and_parquet(reporting: Api, tmp_path: Path) -> None:
    owner = await reporting.caller()
    answer = await owner.post("/v1/reports/query", QUESTION)
    assert answer.status == 200
    assert answer.body["columns"] == ["advertiser", "currency", "impressions", "spend"]
    assert answer.body["rows"] == [[1, "PLN", 2, "3.00"], [2, "PLN", 1, "0.25"]]
    assert answer.body["fresh_until"] is not None
    headers = owner.headers
    async with reporting.client.post("/v1/reports/query", json=QUESTION | {"format": "csv"}, headers=headers) as got:
        assert (await got.text()).splitlines() == [
            "advertiser,currency,impressions,spend",
            "1,PLN,2,3.00",
            "2,PLN,1,0.25",
        ]
    async with reporting.client.post(
        "/v1/reports/query", json=QUESTION | {"format": "parquet"}, headers=headers
    ) as got:
        path = tmp_path / "report.parquet"
        path.write_bytes(await got.read())
    rows = Columnar().ask(f"SELECT advertiser, impressions, spend_micros FROM {files_sql([path])} ORDER BY 1")
    assert rows == [("1", 2.0, 3_000_000), ("2", 1.0, 250_000)]
    async with reporting.client.post("/v1/reports/query", json=QUESTION | {"format": "xlsx"}, headers=headers) as got:
        sheet = openpyxl.load_workbook(io.BytesIO(await got.read()))["Report"]
    assert [cell.value for cell in sheet[1]] == ["advertiser", "advertiser_name", "currency", "impressions", "spend"]
    assert [cell.value for cell in sheet[2]][2:] == ["PLN", 2, 3]


async def test_ids_are_told_with_their_names_and_the_whole_is_added_up(reporting: Api) -> None:
    owner, shop = await reporting.caller(), await make_shop(reporting, "shoes")
    assert shop.advertiser["id"] == 1
    body = QUESTION | {"totals": True, "pivot": "exchange", "filters": {"advertiser": [1]}}
    answer = await owner.post("/v1/reports/query", body)
    assert answer.body["names"]["advertiser"] == {"1": "shoes"}
    assert answer.body["columns"] == ["advertiser", "currency", "impressions:0", "spend:0"]
    assert answer.body["totals"] == [[None, "PLN", 2, "3.00"]]
    assert answer.body["row_count"] == 1


async def test_it_can_be_asked_what_can_be_asked_for(reporting: Api) -> None:
    answer = await (await reporting.caller()).get("/v1/reports/terms")
    assert {"product", "segment", "cart_tier", "loss_code"} <= set(answer.body["dimensions"])
    assert answer.body["measures"]["cpa"] == "money"
    assert answer.body["measures"]["win_rate"] == "ratio"


async def test_a_restricted_key_sees_its_own_figures_alone(reporting: Api) -> None:
    first, second = await make_shop(reporting, "one"), await make_shop(reporting, "two")
    assert (first.advertiser["id"], second.advertiser["id"]) == (1, 2)
    for filters in ({}, {"advertiser": [1]}, {"advertiser": [1, 2]}, {"line_item": [1]}):
        answer = await second.caller.post("/v1/reports/query", QUESTION | {"filters": filters})
        assert answer.status == 200
        assert {row[0] for row in answer.body["rows"]} <= {2}, filters
    total = await second.caller.post("/v1/reports/query", {"measures": ["spend"]})
    assert total.body["rows"] == [["PLN", "0.25"]]
    assert (await second.caller.post("/v1/reports/query", {"measures": ["requests"]})).status in (400, 422)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"measures": []},
        {"measures": ["spent"]},
        {"measures": ["spend"], "dimensions": ["day"] * 9},
        {"measures": ["spend"], "since": "yesterday"},
        {"measures": ["spend"], "since": "2026-11-02", "until": "2026-11-01"},
        {"measures": ["spend"], "since": "0001-01-01", "until": "9999-12-31"},
        {"measures": ["spend"], "timezone": "Nowhere"},
        {"measures": ["spend"], "currency": "XXX"},
        {"measures": ["spend"], "filters": {"country": []}},
        {"measures": ["spend"], "sort": "bids"},
        {"measures": ["spend"], "format": "xls"},
        [],
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(reporting: Api, body: object) -> None:
    owner = await reporting.caller()
    answer = await owner.post("/v1/reports/query", body)
    assert answer.status in (400, 422), answer.body
    assert (await reporting.client.post("/v1/reports/query", json=QUESTION)).status == 401


async def test_without_a_journal_there_are_no_reports(valkey: str, clock: ManualClock, tmp_path: Path) -> None:
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite'}", valkey, clock) as api:
        answer = await (await api.caller()).post("/v1/reports/query", QUESTION)
        assert answer.status == 404
        assert "journal" in str(answer.body)
