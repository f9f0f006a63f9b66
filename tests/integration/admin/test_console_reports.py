"""Reports and figures at the console: one query path with the API, nobody else's figures, charts with their tables."""

import datetime
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.clock import ManualClock
from journal.rows import ANSWER, BILL, CONVERSION
from journal.segment import SegmentFrame
from tests.integration.admin.conftest import make_shop
from tests.kit.api import Api, running_api
from tests.kit.console import Browser, person
from tests.kit.journal_rows import JournalFolder, a_row


@pytest.fixture
async def reporting(valkey: str, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Api]:
    """Two shops with a journal: the first spent 2 x 1.50, the second 0.25."""
    folder = JournalFolder(tmp_path / "journal", clock)
    bills = [(1, 1_500_000), (1, 1_500_000), (2, 250_000)]
    rows = [
        list(a_row(BILL, bid_id=at, bid_ms=clock.now_ms(), advertiser_id=shop, line_item_id=shop, impressions=1,
                   charge_micros=charge, currency="PLN", entry="bill"))
        for at, (shop, charge) in enumerate(bills)
    ]  # fmt: skip
    answers = [list(a_row(ANSWER, at_ms=clock.now_ms(), requests=9))]
    order = {"credit": "click", "entry": "order", "value_micros": 150_000_000, "currency": "PLN"}
    orders = [
        list(a_row(CONVERSION, bid_id=at, bid_ms=clock.now_ms(), at_ms=clock.now_ms(), advertiser_id=1, line_item_id=1,
                   **order))
        for at in (0, 1)
    ]  # fmt: skip
    frames = [
        SegmentFrame(kind.name, kind.names, of_kind)
        for kind, of_kind in ((BILL, rows), (ANSWER, answers), (CONVERSION, orders))
    ]
    folder.converter.write("made", frames)
    folder.archive.note_stored_until(clock.now_ms())
    url = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    async with running_api(url, valkey, clock, archive=folder.archive) as api:
        for name in ("szpilka", "rival"):
            shop = await make_shop(api, name)
            price = {"amount": "5.00", "currency": "PLN"}
            made = {"campaign_id": shop.campaign["id"], "name": name, "bid": price, "max_cpm": price}
            made |= {"advertiser_id": shop.advertiser["id"], "creative_ids": [shop.creative["id"]]}
            await shop.caller.made("/v1/line-items", made)
        yield api
    folder.close()


def cells(text: str) -> str:
    return re.sub(r"\s+|&nbsp;", " ", text)


REPORT = "/reports?measure=impressions&measure=spend&by=day&by=advertiser"


async def test_a_report_names_objects_and_draws_a_line_for_each(reporting: Api, clock: ManualClock) -> None:
    browser = await person(reporting)
    answer = await browser.get(REPORT)
    assert answer.status == 200
    text = cells(answer.text)
    assert '<td>szpilka</td> <td>PLN</td> <td class="number">2</td> <td class="number">PLN3.00</td>' in text.replace(
        "</td><td", "</td> <td"
    )
    assert text.count('class="plot"') == 2
    assert '<th scope="col" class="number">szpilka</th><th scope="col" class="number">rival</th>' in text
    assert 'data-v="3.0">PLN3.00' in text
    opened = await browser.get("/reports")  # the last seven days, each of them a point of the charts
    today = datetime.datetime.fromtimestamp(clock.now_ms() / 1000, datetime.UTC).date()
    assert dict(opened.fields)["until"] == str(today)
    assert opened.text.count("<tr><td data-v") == 5 * 7
    heads = re.findall(r'<th scope="col" class="number">([^<]+)</th>', opened.text.rpartition("data-csv")[2])
    assert heads == ["Spent", "Conversions", "Cost of a conversion", "Impressions", "Clicks"]
    assert "Charts are drawn of the first" not in opened.text


async def test_a_report_is_a_file_too(reporting: Api) -> None:
    browser = await person(reporting)
    plain, workbook = [link for link in (await browser.get(REPORT)).links if link.startswith("/reports.")]
    assert (await browser.get(plain)).text.lstrip("\ufeff").splitlines()[1].endswith(",1,szpilka,PLN,2,3.00")
    answer = await browser.get(workbook)
    assert (answer.status, answer.headers["Content-Disposition"]) == (200, 'attachment; filename="report.xlsx"')


async def test_why_clicks_do_not_count_is_a_report(reporting: Api) -> None:
    browser = await person(reporting)
    path = "/reports?by=day&by=invalid&measure=invalid_clicks&only=line_item&values=1"
    assert (await browser.get(path)).status == 200


async def test_filters_limit_a_report(reporting: Api) -> None:
    browser = await person(reporting)
    answer = await browser.get(f"{REPORT}&only=advertiser&values=2")
    assert "<td>rival</td>" in answer.text
    assert "<td>szpilka</td>" not in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "by=day",
        "measure=nothing",
        "measure=requests&by=advertiser",
        "measure=spend&since=yesterday",
        "measure=spend&timezone=Mars/Olympus",
        "measure=spend&currency=x",
        f"measure=spend&only=advertiser&values={'9' * 400}",
        "measure=spend&by=day&since=1900-01-01&until=2900-01-01",
    ],
)
async def test_a_question_that_cannot_be_answered_is_told_beside_the_form(reporting: Api, query: str) -> None:
    browser = await person(reporting)
    answer = await browser.get(f"/reports?{query}")
    assert answer.status == 422
    assert 'class="box problem"' in answer.text


async def test_a_refused_report_names_what_the_page_names_at_its_place(reporting: Api) -> None:
    browser = await person(reporting)
    refused = await browser.get("/reports?measure=click_conversions&by=invalid")
    told = (
        "By “Why a click does not count” these cannot be told: “Conversions after a click”. Take out “Why a click does "
        "not count”, or these figures."
    )
    figures = refused.text.partition("<legend>Figures</legend>")[2].partition("</fieldset>")[0]
    assert f'role="alert">{told}</small>' in figures
    assert "click_conversions cannot" not in refused.text
    many = "&".join(f"measure={name}" for name in ("impressions", "clicks", "spend", "wins", "bids", "ctr"))
    assert "Charts are drawn of the first figures alone" in (await browser.get(f"/reports?by=day&{many}")).text
    assert "Charts are drawn of the first" not in (await browser.get("/reports?by=day&measure=spend")).text


async def test_one_conflict_of_figures_and_dimensions_is_one_message(reporting: Api) -> None:
    browser = await person(reporting)
    asked = "&".join(f"measure={name}" for name in ("impressions", "ctr", "spend", "ecpm"))
    refused = await browser.get(f"/reports?by=reason&by=loss_code&{asked}")
    (told,) = re.findall(r'<small class="fault" role="alert">([^<]+)</small>', refused.text)
    assert told == (
        "By “Reason without a bid”, “Loss code” these cannot be told: “Impressions”, “Click rate”, “Spent”, “Cost of a "
        "thousand impressions”. Take out “Reason without a bid”, “Loss code”, or these figures."
    )


async def test_the_funnel_of_a_line_item_ends_with_its_orders(reporting: Api) -> None:
    browser = await person(reporting)
    page = await browser.get("/line-items/1/delivery")
    assert 'hx-select-oob="#orders"' in page.text
    assert page.text.count('id="orders"') == 1
    orders = cells((await browser.get("/line-items/1/hours")).text).partition('id="orders"')[2]
    assert "<dt>Conversions</dt><dd>2</dd>" in orders
    assert "<dt>Cost of a conversion</dt>" in orders
    assert "<dt>Revenue</dt><dd>PLN300.00</dd>" in orders


async def test_a_restricted_person_sees_his_own_figures_alone(reporting: Api) -> None:
    browser = await person(reporting, "read", advertisers=(2,))
    for path in (REPORT, f"{REPORT}&only=advertiser&values=1", "/figures"):
        answer = await browser.get(path)
        assert ">szpilka<" not in answer.text, path
        assert "3.00" not in answer.text, path
    assert 'value="requests"' not in (await browser.get("/reports")).text
    assert (await browser.get("/reports?measure=requests")).status == 422


async def test_the_overview_asks_for_the_last_fortnight(reporting: Api) -> None:
    browser = await person(reporting)
    assert 'hx-get="/figures"' in (await browser.get("/")).text
    text = cells((await browser.get("/figures")).text)
    assert "PLN3.00" in text
    assert text.count("<polyline") == 2
    assert text.count("<tr><td data-v") == 14


async def test_without_a_journal_pages_say_so(api: Api) -> None:
    browser: Browser = await person(api)
    assert "No journal is kept here" in (await browser.get("/figures")).text
    refused = await browser.get("/reports")
    assert refused.status == 404
    assert "no journal is kept" in refused.text
