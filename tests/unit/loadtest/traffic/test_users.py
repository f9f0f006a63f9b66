from collections import Counter
from pathlib import Path

import pytest

from loadtest.traffic.scenario import ScenarioError, TrafficPlan
from loadtest.traffic.users import Population, read_users


def test_the_known_share_of_requests_has_a_known_user() -> None:
    known = [b"k" * 22, b"l" * 22]
    population = Population(TrafficPlan(users=1_000, known_share=0.25), known, seed=1)
    drawn = Counter(population.draw() for _ in range(20_000))
    assert sum(drawn[user] for user in known) / 20_000 == pytest.approx(0.25, abs=0.02)


def test_shoppers_that_join_later_are_drawn_too() -> None:
    known: list[bytes] = []
    population = Population(TrafficPlan(users=10, known_share=1.0), known, seed=1)
    assert population.draw() not in known
    known.append(b"n" * 22)
    assert population.draw() == b"n" * 22


def test_few_users_make_most_requests() -> None:
    population = Population(TrafficPlan(users=10_000, user_zipf=1.1, known_share=0), [], seed=1)
    drawn = Counter(population.draw() for _ in range(20_000))
    assert sum(count for _, count in drawn.most_common(100)) > 8_000


def test_user_ids_are_read_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("a" * 22 + "\n\n" + "b" * 22 + "\n")
    assert read_users(tmp_path / "ids") == [b"a" * 22, b"b" * 22]


def test_an_id_of_the_wrong_length_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("a" * 22 + "\nshort\n")
    with pytest.raises(ScenarioError, match="line 2"):
        read_users(tmp_path / "ids")
    with pytest.raises(ScenarioError, match="cannot be read"):
        read_users(tmp_path / "none")
