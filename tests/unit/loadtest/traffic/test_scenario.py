from pathlib import Path

import msgspec
import pytest

from loadtest.traffic.scenario import (
    ArrivalPlan,
    FaultPlan,
    RedisPlan,
    Scenario,
    ScenarioError,
    TrafficPlan,
    check_run,
    check_target,
    is_loopback,
    load_scenario,
    scenario_names,
)

WANTED = {
    "smoke", "steady", "day-curve", "black-friday", "overload", "cold-cache", "notice-storm", "redis-outage",
    "budget-exhaustion", "consent-mix", "many-line-items", "soak",
}  # fmt: skip


def test_the_scenarios_that_engineers_ask_for_are_there() -> None:
    assert set(scenario_names()) >= WANTED


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_is_valid_commented_and_named_like_its_file(name: str) -> None:
    scenario = load_scenario(name)
    check_run(scenario, own_target=False)
    assert scenario.name == name
    assert scenario.summary
    assert (Path("loadtest/scenarios") / f"{name}.toml").read_text().startswith("# ")


def test_an_unknown_scenario_is_refused_with_the_list() -> None:
    with pytest.raises(ScenarioError, match="smoke"):
        load_scenario("nothing")


@pytest.mark.parametrize("text", ["rate = -1", 'name = "x"\nrate = 1\nduration_s = 1\nunknown = 1', "= nonsense"])
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(str(tmp_path / "own.toml"))


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('name = "own"\nrate = 5\nduration_s = 2\n')
    assert load_scenario(str(tmp_path / "own.toml")).rate == 5


@pytest.mark.parametrize(
    "url", ["http://bid.example/x", "http://8.8.8.8/x", "http://[2001:db8::1]/x", "http://10.0.0.1/"]
)
def test_a_foreign_target_is_refused_unless_it_is_ones_own(url: str) -> None:
    with pytest.raises(ScenarioError, match="--i-own-this-target"):
        check_target(url, own_target=False)
    check_target(url, own_target=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_is_always_allowed(host: str) -> None:
    assert is_loopback(host)


def test_a_target_that_is_no_url_is_refused() -> None:
    with pytest.raises(ScenarioError, match="not an http URL"):
        check_target("127.0.0.1:8080", own_target=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 1e9},
        {"duration_s": 10**6},
        {"traffic": TrafficPlan(consent_full=0.9, consent_refused=0.9)},
        {"url": "http://bid.example/"},
        {"track_url": "http://track.example/"},
        {"arrival": ArrivalPlan(shape="steps", steps=(1.0, 1e10))},
        {"faults": FaultPlan(reset_rate=1e10)},
        {"redis": RedisPlan(listen_port=1, upstream="redis.example:6379")},
    ],
)
def test_an_unbounded_or_senseless_run_is_refused(changes: dict[str, object]) -> None:
    scenario = Scenario(name="x", rate=1, duration_s=1)
    with pytest.raises(ScenarioError):
        check_run(msgspec.structs.replace(scenario, **changes), own_target=False)
