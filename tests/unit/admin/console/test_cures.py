"""Advice that names commands and files, as the console says it: with its own pages."""

import re

import pytest

from admin.console.cures import Cure, cure_of, finding_text
from admin.console.said import doctor
from core.reasons import NoBid

# What only the operator of the machine can do, there; no page of the console does it.
_AT_THE_MACHINE = re.compile(r"`grosz (up|migrate)`|appendonly|docs/targeting\.md|GET /v1/7|/v1/reports")
_TERMINAL = re.compile(r"grosz [a-z]|docs/[a-z]|/v1/")


@pytest.mark.parametrize(
    ("advice", "cure"),
    [
        ("add one (`grosz exchange create`), or resume one",
         Cure("add one, or resume one", "New exchange", "/exchanges/new")),
        ("see `grosz feed report 7`", Cure("", "Runs", "/feeds/7/runs")),
        ("such as a, b; see `grosz products match 3`",
         Cure("such as a, b", "Tags, segments, products", "/advertisers/3/shop")),
        ("see GET /v1/line-items", Cure("", "All of them", "/line-items")),
        ("raise the budget", Cure("raise the budget")),
    ],
)  # fmt: skip
def test_a_command_becomes_a_link(advice: str, cure: Cure) -> None:
    assert cure_of(advice) == cure


def test_the_page_of_a_shop_is_linked_to_where_it_is_known_which() -> None:
    advice = (
        "people come and leave, as buyers do; if nobody comes, check that the shop's tag sends events, and the "
        "segment's rule; `grosz segment show` has it"
    )
    assert "grosz" not in cure_of(advice).text
    assert cure_of(advice).path == ""
    assert cure_of(advice, 5).path == "/advertisers/5/shop"


def test_the_way_to_list_more_findings_is_left_out() -> None:
    said = "it is paused (and 2 more: `grosz doctor --line-item 3`)"
    assert finding_text(said) == "it is paused (and 2 more)"


def test_no_hint_of_a_reason_names_a_command_that_the_console_has_a_page_for() -> None:
    hints = [cure_of(reason.hint).text for reason in NoBid]
    assert [hint for hint in hints if "grosz " in hint.replace("`grosz supply`", "")] == []


def test_no_text_of_the_doctor_names_a_command_but_what_its_operator_starts() -> None:
    filled = [finding_text(re.sub(r"\{\w+\}", "7", one)) for one in doctor.SAYINGS]
    said = [text for one in filled if _TERMINAL.search(text := cure_of(one).text)]
    assert [one for one in said if not _AT_THE_MACHINE.search(one)] == []
