"""`scripts/bench pacing` and `science` on streams that are not in the repository: odd ones are paced, or refused."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.bench import pacing as pacing_bench
from tests.bench import science
from tests.bench.pacing import LEAST_AUCTIONS, Floats, pacing
from tests.bench.science import shading

COUNT = 6_000
Columns = tuple[Floats, Floats, Floats, Floats]


def columns(seed: int = 1, count: int = COUNT) -> Columns:
    chance = np.random.default_rng(seed)
    pctr = chance.lognormal(-7, 1, count)
    click = (chance.random(count) < pctr).astype(np.float64)
    return click, np.ceil(chance.lognormal(4, 0.8, count)), pctr, chance.integers(0, 24, count).astype(np.float64)


def odd(name: str) -> Columns:
    click, price, pctr, hour = columns()
    match name:
        case "no clicks":
            click = np.zeros(COUNT)
        case "one price":
            price = np.full(COUNT, 70.0)
        case "free impressions":
            price[::2] = 0.0
        case "empty hours":
            hour = np.where(hour < 6, 6.0, hour)
        case "one hour":
            hour = np.full(COUNT, 13.0)
        case "another day than was learned":
            hour = np.concatenate([np.full(COUNT // 2, 3.0), hour[COUNT // 2 :]])
        case "nothing predicted":
            click, pctr = np.zeros(COUNT), np.zeros(COUNT)
        case _:
            pctr = np.full(COUNT, 0.001)
    return click, price, pctr, hour


ODD = (
    "no clicks", "one price", "free impressions", "empty hours", "one hour", "another day than was learned",
    "nothing predicted", "one prediction",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("with_hours", [True, False])
def test_odd_streams_are_paced_within_their_budgets(name: str, with_hours: bool) -> None:
    click, price, pctr, hour = odd(name)
    for outcome in pacing(click, price, pctr, hour if with_hours else None, step_s=300):
        assert 0.0 <= outcome.spent <= 1.0
        assert np.isfinite([outcome.of_best, outcome.distance]).all()


@pytest.mark.parametrize("name", ODD)
def test_odd_streams_are_shaded_without_losing_money(name: str) -> None:
    found = shading(*odd(name))
    assert np.isfinite(found).all()
    assert found.learnt >= -1e-9


def test_traffic_by_hour_is_followed() -> None:
    click, price, pctr, hour = columns(count=30_000)
    evening = np.where(hour < 12, 20.0, hour)
    for outcome in pacing(click, price, pctr, evening, step_s=60)[-2:]:
        assert outcome.distance < 0.05
        assert outcome.spent > 0.98


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: (c[0][:-1], *c[1:]), "different lengths"),
        (lambda c: tuple(column[: LEAST_AUCTIONS - 1] for column in c), "too few"),
        (lambda c: (c[0], -c[1], *c[2:]), "price has values"),
        (lambda c: (c[0], c[1], c[2] * np.nan, c[3]), "pctr has values"),
        (lambda c: (c[0], c[1] * 0, *c[2:]), "every price is 0"),
        (lambda c: (*c[:3], c[3] + 10), "hours are 0 to 23"),
    ],
)
def test_what_is_no_stream_of_auctions_is_refused_with_the_reason(change: object, words: str) -> None:
    broken = change(columns())  # type: ignore[operator]  # a function of the table
    for entry in (pacing, shading):
        with pytest.raises(ValueError, match=words):
            entry(*broken)


@pytest.mark.parametrize("bench", [pacing_bench, science])
def test_a_file_of_ones_own_is_read_and_a_broken_one_named(
    bench: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "auctions.txt"
    np.savetxt(file, np.stack(columns(), axis=1), fmt="%.6g")
    more = ["--step", "300"] if bench is pacing_bench else []
    monkeypatch.setattr(sys, "argv", ["bench", "--file", str(file), *more])
    bench.main()  # type: ignore[attr-defined]  # a module
    assert capsys.readouterr().out
    file.write_text("0 1\n" * 5_000)
    with pytest.raises(SystemExit):
        bench.main()  # type: ignore[attr-defined]
    assert str(file) in capsys.readouterr().err
