"""Forecasts against the simulator's own auctions: what is foretold of a changed line item is what then happens."""

import asyncio
import json
import random
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

from admin.diagnosis.forecasting import Forecast, ForecastDesk, ForecastRequest, order_interval
from admin.roles.journal import catalogues_beside
from core.clock import ManualClock
from core.config import Settings
from core.errors import InputError, NotFoundError
from core.model import Catalogue, Format, FrequencyCap, Targeting
from journal.catalogues import CatalogueFiles
from tests.integration.admin.conftest import make_shop
from tests.kit.api import Api, running_api
from tests.kit.bidding import NOW_MS
from tests.kit.catalogues import catalogue, line_item
from tests.kit.fixtures import REPOSITORY
from tests.kit.market_traffic import DAY_MS, MarketDay
from tests.kit.processes import grosz

BEGINS_MS = NOW_MS // DAY_MS * DAY_MS - 2 * 3_600_000  # midnight in Warsaw
PAGE = (REPOSITORY / "docs" / "what-if.md").read_text(encoding="utf-8")
REQUESTS, PEOPLE = 3_200, 130
TOLERANCE = 0.10

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def the_catalogue(**changes: Any) -> Catalogue:  # noqa: ANN401 - members of a line item
    """Line item 1 is studied, 2 of another shop competes with it."""
    one = line_item(1, bid_micros=2_000_000, targeting=Targeting(countries=("POL",)))
    return catalogue(msgspec.structs.replace(one, **changes), line_item(2, advertiser=2, bid_micros=1_500_000))


async def a_day(folder: Path, seed: int, **changes: Any) -> MarketDay:  # noqa: ANN401 - as above
    found = the_catalogue(**changes)
    day = MarketDay(found, folder, begins_ms=BEGINS_MS, requests=REQUESTS, people=PEOPLE, seed=seed)
    await day.play()
    catalogues_beside(day.journal.archive).keep(found)
    return day


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> MarketDay:
    """A day as it was."""
    return asyncio.run(a_day(tmp_path_factory.mktemp("recorded"), 1))


def desk_of(day: MarketDay) -> ForecastDesk:
    archive = day.journal.archive
    return ForecastDesk(archive, catalogues_beside(archive), Settings(), ManualClock(BEGINS_MS + DAY_MS))


def foretold(day: MarketDay, changes: dict[str, Any], **more: Any) -> Forecast:  # noqa: ANN401 - members of the request
    return desk_of(day).forecast_now(ForecastRequest(line_item_id=1, changes=changes, **more), None)


@pytest.mark.parametrize(
    ("name", "changes", "members"),
    [
        ("nothing", {}, {}),
        ("dearer", {"bid": {"amount": "3.00"}}, {"bid_micros": 3_000_000}),
        ("cheaper", {"bid": {"amount": "1.70"}}, {"bid_micros": 1_700_000}),
        ("wider", {"targeting": {"countries": ["POL", "DEU"]}}, {"targeting": Targeting(countries=("POL", "DEU"))}),
        (
            "capped", {"caps": [{"impressions": 3, "window_s": 86_400}]},
            {"caps": (FrequencyCap(impressions=3, window_s=86_400),)},
        ),
        (
            "capped by its format", {"caps": [{"impressions": 2, "window_s": 86_400, "format": "banner"}]},
            {"caps": (FrequencyCap(impressions=2, window_s=86_400, format=Format.BANNER),)},
        ),
        (
            "once a day", {"caps": [{"impressions": 1, "window_s": 86_400}]},
            {"caps": (FrequencyCap(impressions=1, window_s=86_400),)},
        ),
        (
            "capped in another format", {"caps": [{"impressions": 1, "window_s": 86_400, "format": "video"}]},
            {"caps": (FrequencyCap(impressions=1, window_s=86_400, format=Format.VIDEO),)},
        ),
    ],
)  # fmt: skip
async def test_what_is_foretold_then_happens(
    recorded: MarketDay, tmp_path: Path, name: str, changes: dict[str, Any], members: dict[str, Any]
) -> None:
    forecast = foretold(recorded, changes)
    happened = await a_day(tmp_path, 2, **members)
    spend, actual = float(forecast.after.spend), happened.spent[1] / 1e6
    print(  # noqa: T201 - a figure for whoever runs it
        f"{name}: foretold {spend:.2f} PLN, {forecast.after.impressions} impressions, reach {forecast.after.reach}; "
        f"happened {actual:.2f}, {happened.won[1]}, {len(happened.reached[1])}"
    )
    assert spend == pytest.approx(actual, rel=TOLERANCE)
    assert forecast.after.impressions == pytest.approx(happened.won[1], rel=TOLERANCE)
    assert forecast.after.reach == pytest.approx(len(happened.reached[1]), rel=TOLERANCE)
    assert forecast.days == pytest.approx(1.0, abs=0.01)


async def test_who_is_outbid_loses_what_it_would_have_won(recorded: MarketDay, tmp_path: Path) -> None:
    forecast = foretold(recorded, {"targeting": {"countries": ["POL", "DEU"]}})
    happened = await a_day(tmp_path, 3, targeting=Targeting(countries=("POL", "DEU")))
    (losing,) = forecast.losing
    assert losing.line_item_id == 2
    without = await a_day(tmp_path / "without", 3, targeting=Targeting(countries=("USA",)))
    lost = (without.spent[2] - happened.spent.get(2, 0.0)) / 1e6
    assert float(losing.spend) == pytest.approx(lost, rel=0.15)


def test_a_budget_is_spent_evenly_over_the_day_and_never_exceeded(recorded: MarketDay) -> None:
    budget = recorded.spent[1] / 1e6 / 2
    forecast = foretold(recorded, {"pacing": "even", "daily_budget": {"spend": {"amount": f"{budget:.2f}"}}})
    assert float(forecast.after.spend) == pytest.approx(budget, rel=0.03)
    multipliers = {hour.multiplier for hour in forecast.pacing}
    assert len(multipliers) == 1
    assert 0.0 < multipliers.pop() < 1.0
    spends = [float(hour.spend) for hour in forecast.pacing]
    assert max(spends) < 2.5 * sum(spends) / len(spends)
    soon = foretold(recorded, {"pacing": "asap", "daily_budget": {"spend": {"amount": f"{budget:.2f}"}}})
    assert float(soon.after.spend) <= budget + 0.01
    assert {hour.multiplier for hour in soon.pacing[-3:]} == {0.0}


def test_a_curve_rises_with_the_bid_and_flattens(recorded: MarketDay) -> None:
    forecast = foretold(recorded, {}, factors=(0.5, 1.0, 2.0, 4.0))
    spends = [float(point.spend) for point in forecast.curve]
    assert spends == sorted(spends)
    assert forecast.curve[-1].impressions < 2 * forecast.curve[1].impressions
    assert forecast.after == forecast.before


def test_orders_come_with_an_interval_or_with_the_reason_why_not(recorded: MarketDay) -> None:
    forecast = foretold(recorded, {"bid": {"amount": "3.00"}})
    orders = forecast.orders
    assert (orders.of, orders.note) == ("line item 1", "")
    assert orders.orders is not None
    assert orders.least is not None
    assert orders.most is not None
    assert orders.least < orders.orders < orders.most
    assert (
        float(str(orders.cost_of_order_least))
        < float(str(orders.cost_of_order))
        < float(str(orders.cost_of_order_most))
    )
    few = desk_of(recorded).forecast_now(ForecastRequest(line_item=new_line(advertiser=2, countries=["DEU"])), None)
    assert few.orders.counted < 20 or few.orders.orders is not None
    assert (few.orders.orders is None) == few.orders.note.startswith("not enough data")


def new_line(advertiser: int = 1, **targeting: object) -> dict[str, Any]:
    return {
        "advertiser_id": advertiser, "campaign_id": advertiser, "name": "new", "bid": {"amount": "2.50"},
        "max_cpm": {"amount": "20.00"}, "creative_ids": [advertiser], "targeting": targeting, "pacing": "asap",
    }  # fmt: skip


def test_a_new_line_item_is_foretold_like_one_that_is_changed_to_it(recorded: MarketDay) -> None:
    new = desk_of(recorded).forecast_now(ForecastRequest(line_item=new_line(countries=["POL"])), None)
    assert new.before is None
    assert {losing.line_item_id for losing in new.losing} == {1}
    changed = foretold(recorded, {"bid": {"amount": "2.50"}})
    assert float(new.after.spend) == pytest.approx(float(changed.after.spend), rel=0.02)


def test_a_part_of_the_people_gives_a_first_answer(recorded: MarketDay) -> None:
    whole, first = foretold(recorded, {}), foretold(recorded, {}, part=0.3)
    assert first.recorded < 0.5 * whole.recorded
    assert float(first.after.spend) == pytest.approx(float(whole.after.spend), rel=0.35)
    several = desk_of(recorded).forecast_now(ForecastRequest(line_item_id=1), None, cores=2)
    assert several == foretold(recorded, {})


def test_a_restricted_caller_s_answer_does_not_depend_on_others(recorded: MarketDay) -> None:
    desk = desk_of(recorded)
    asked = ForecastRequest(line_item_id=1)
    own = desk.forecast_now(asked, frozenset({1}))
    assert own.losing == ()
    assert own.after.bids > foretold(recorded, {}).after.bids - 1
    with pytest.raises(NotFoundError):
        desk.forecast_now(asked, frozenset({2}))
    with pytest.raises(NotFoundError):
        desk.forecast_now(ForecastRequest(line_item=new_line()), frozenset({2}))


@pytest.mark.parametrize("seed", range(3))
def test_by_no_question_a_caller_learns_what_others_bid(recorded: MarketDay, tmp_path: Path, seed: int) -> None:
    chance, answers = random.Random(seed), []
    for number in range(2):
        rival = line_item(
            2, advertiser=2, bid_micros=chance.randint(1, 900) * 10_000,
            targeting=Targeting(countries=chance.choice(((), ("POL",), ("DEU",)))),
        )  # fmt: skip
        mine = the_catalogue().line_items[0]
        files = CatalogueFiles(tmp_path / str(number))
        files.keep(catalogue(mine, *chance.choice(((), (rival,), (rival, line_item(3, advertiser=2))))))
        desk = ForecastDesk(recorded.journal.archive, files, Settings(), ManualClock(BEGINS_MS + DAY_MS))
        asked = ForecastRequest(line_item_id=1, changes={"bid": {"amount": f"{1 + seed}.00"}}, part=0.2)
        answers.append(desk.forecast_now(asked, frozenset({1})))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "asked",
    [
        ForecastRequest(),
        ForecastRequest(line_item=new_line() | {"creative_ids": [2]}),
        ForecastRequest(line_item=new_line() | {"campaign_id": 2}),
        ForecastRequest(line_item_id=1, changes={"bid": {"amount": "x"}}),
        ForecastRequest(line_item_id=1, changes={"no_such_member": 1}),
    ],
)
def test_what_makes_no_sense_is_refused(recorded: MarketDay, asked: ForecastRequest) -> None:
    with pytest.raises(InputError):
        desk_of(recorded).forecast_now(asked, None)


def test_time_without_traffic_and_no_journal_are_said(recorded: MarketDay) -> None:
    with pytest.raises(NotFoundError):
        foretold(recorded, {}, since_ms=1, until_ms=2)
    with pytest.raises(NotFoundError):
        ForecastDesk(None, None, Settings(), ManualClock()).forecast_now(ForecastRequest(line_item_id=1), None)


def test_an_interval_holds_the_count() -> None:
    for count in (0, 1, 20, 400):
        low, high = order_interval(count)
        assert low <= count < high
    assert order_interval(100) == pytest.approx((81.4, 121.6), abs=0.2)


def blocks() -> list[dict[str, Any]]:
    """The bodies on docs/what-if.md."""
    return [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]


async def told_step_by_step(api: Api, headers: dict[str, str], body: dict[str, Any]) -> list[tuple[str, Any]]:
    """Events of a forecast, by name."""
    async with api.client.post(
        "/v1/forecast", json=body, headers=headers | {"Accept": "text/event-stream"}
    ) as stream:  # fmt: skip
        assert stream.content_type == "text/event-stream"
        told = (await stream.text()).split("\n\n")
    pairs = [text.removeprefix("event: ").split("\ndata: ") for text in told if text]
    return [(name, json.loads(data)) for name, data in pairs]


async def test_the_page_s_questions_are_answered_over_http(recorded: MarketDay, tmp_path: Path, valkey: str) -> None:
    assert len(blocks()) == 3
    database, clock = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}", ManualClock(BEGINS_MS + DAY_MS)
    async with running_api(database, valkey, clock, archive=recorded.journal.archive) as api:
        owner, shop = await api.caller(), await make_shop(api, "szpilka")
        for body in blocks():
            answer = await owner.post("/v1/forecast", body)
            assert answer.status == 200, answer.body
            assert float(answer.body["after"]["spend"]) > 0
            assert (answer.body["before"] is None) == ("line_item" in body)
            own = await shop.caller.post("/v1/forecast", body)
            assert own.status == 200
            assert {one["line_item_id"] for one in own.body["losing"]} <= {1}
        events = await told_step_by_step(api, owner.headers, blocks()[1])
        assert [name for name, _ in events] == ["first", *["progress"] * (len(events) - 2), "answer"]
        assert [one["done"] for name, one in events if name == "progress"] == [1_000, 2_000, 3_000, REQUESTS]
        whole = (await owner.post("/v1/forecast", blocks()[1])).body
        assert events[-1][1] == whole
        assert 0 < events[0][1]["recorded"] < whole["recorded"] / 5
        wrong = await owner.post("/v1/forecast", {"line_item_id": 99}, {"Accept": "text/event-stream"})
        assert wrong.status == 404
        other = await make_shop(api, "obcas")
        assert (await other.caller.post("/v1/forecast", blocks()[1])).status == 404
        assert (await api.anonymous.post("/v1/forecast", blocks()[1])).status == 401


def test_the_page_s_commands_run(recorded: MarketDay, tmp_path: Path) -> None:
    (tmp_path / "line-item.json").write_text(json.dumps(blocks()[0]["line_item"]))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal").symlink_to(recorded.journal.archive.folder.parent)
    commands = re.findall(r"^    grosz (.+)$", PAGE, re.MULTILINE)
    assert len(commands) == 5
    for command in commands[1:4]:  # the others differ from these by an option of the printing
        words = [word.replace("14", "4000") for word in shlex.split(command)]
        done = grosz(*words, *([] if "--days" in words else ["--days", "4000"]), "--data", "data", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "recorded requests stand for" in done.stdout
