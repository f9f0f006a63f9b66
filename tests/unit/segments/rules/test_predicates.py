import pytest

from segments.rules.patterns import contains, one_of
from segments.rules.predicates import between, is_flag, numeric, textual


@pytest.mark.parametrize(
    ("operator", "results"),
    [
        ("=", [False, True, False]), ("!=", [True, False, True]), ("<", [True, False, False]),
        ("<=", [True, True, False]), (">", [False, False, True]), (">=", [False, True, True]),
    ],
)  # fmt: skip
def test_numbers_compare_as_written(operator: str, results: list[bool]) -> None:
    holds = numeric(operator, 2)
    assert [holds(value) for value in (1, 2.0, 3)] == results


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("value", [True, "2", None])
def test_what_is_no_number_never_compares_as_one(operator: str, value: bool | str | None) -> None:
    assert not numeric(operator, 1)(value)


def test_a_range_includes_both_ends() -> None:
    assert [between(1, 3)(value) for value in (0, 1, 3, 4, True)] == [False, True, True, False, False]


def test_yes_and_no_are_not_one_and_zero() -> None:
    assert is_flag(True)(True)
    assert not is_flag(True)(1)


def test_of_several_texts_one_is_enough() -> None:
    holds = textual(one_of(["a"]))
    assert [holds(value) for value in ("a", ("b", "A"), ("b",), (), 3)] == [True, True, False, False, False]


def test_the_text_of_a_fact_is_folded_before_it_is_compared() -> None:
    assert textual(contains(["SZPIL"]))("Czerwone Szpilki")
