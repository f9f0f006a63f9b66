"""Faults of rules: texts as they are shown, one JSON file a case."""

import json
from pathlib import Path

import pytest

from core.errors import Fault
from segments.rules.check import check
from segments.rules.errors import EXCERPT_CHARS, RuleError, Span, did_you_mean, excerpt
from tests.kit.fixtures import REPOSITORY

CASES = sorted((REPOSITORY / "tests/golden/rules").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_error_of_a_faulty_rule_reads_as_recorded(path: Path) -> None:
    case = json.loads(path.read_text())
    with pytest.raises(RuleError) as caught:
        check(case["rule"], "PLN")
    assert str(caught.value).split("\n") == case["error"]
    assert caught.value.code == case["code"]


def test_there_are_recorded_errors() -> None:
    assert len(CASES) > 50


def test_an_error_becomes_one_fault_of_a_larger_input() -> None:
    error = RuleError("a\nbcd", Span(3, 4), "is wrong", code="rule_name", hint="do this")
    assert error.fault("/segments/3/rule") == Fault(
        "/segments/3/rule", "rule_name", "line 2, column 2: is wrong", "do this"
    )


@pytest.mark.parametrize("at", [0, 1, 40, 75, 76, 150, 299])
def test_the_caret_stands_under_the_fault_wherever_a_long_line_is_cut(at: int) -> None:
    text = "".join(chr(ord("a") + index % 26) for index in range(300))
    shown, carets = excerpt(text, Span(at, at + 1)).split("\n")
    assert shown[carets.index("^")] == text[at]
    assert len(shown) <= EXCERPT_CHARS + len("  ......")


def test_a_tab_is_one_column() -> None:
    shown, carets = excerpt("a\tb", Span(2, 3)).split("\n")
    assert (shown, carets) == ("  a b", "    ^")


def test_no_suggestion_is_made_for_what_resembles_nothing() -> None:
    assert did_you_mean("xyzzy", ["cart.value", "score"]) == ""


def test_two_near_words_are_both_suggested() -> None:
    assert did_you_mean("cart.valew", ["cart.values", "score", "cart.value"]) == (
        'did you mean "cart.value" or "cart.values"?'
    )
