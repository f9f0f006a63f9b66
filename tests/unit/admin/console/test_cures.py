"""Advice that names commands and files, as the console says it: with its own pages, chosen by codes."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest

from admin.console.cures import CURES, Cure, cure_of, cure_of_finding, finding_text
from admin.console.words import words_of
from admin.diagnosis.prices import CAUSES
from admin.diagnosis.told import TOLD, found
from core.reasons import NoBid
from tests.kit.fixtures import REPOSITORY
from tests.kit.said_texts import modules

# Advice of these codes is said in the console as everywhere.
WITHOUT_CURE: Final = {
    "processes": "no_admin none_answers silent not_ready",
    "installation": "none",
    "redis": "disk_full silent memory_full memory_high evicts write_failed not_durable",
    "database": "silent schema",
    "catalogue": "unreadable none unpublished expired stale",
    "bidders": "silent refuse behind",
    "products": "unreadable feed_awaited feed_unsent feed_old",
    "exchanges": "no_request_yet malformed no_bid few_bids",
    "profiles": "rewritten rewritten_and_ruled to_be_rewritten",
    "journal": "none late mirror_late",
    "prices": "bid_charged house_charged macro undecryptable malformed",
    "line_items": "none_delivers",
    "line_item": "hours",
    "budget": "not_entered spent part_spent bid_too_low",
    "last_hour": "too_few none_won none_in_audience outranked no_bid",
    "reason": """
        malformed exchange_access no_time overload no_snapshot clock_off rate_capped consent_purpose_2 seat_blocked
        no_biddable_impression crawler suspicious_agent data_centre inventory_blocked ads_txt_unknown ads_txt_violation
        chain_incomplete seller_blocked inactive outside_flight exchange environment size creative_blocked
        advertiser_blocked category_blocked country region city postcode radius device_type operating_system browser
        connection language domain app page_path page_keyword category publisher seller venue position tag_id gpid
        placement_type pod_slot pod_break interstitial rewarded daypart deal private_auction segment excluded_segment
        no_profile look_up_failed frequency_cap min_gap paced_out no_lease budget_spent value_too_low floor outranked
        already_in_request
    """,
    "warning": """
        advertiser_stopped archived_creative bid_above_maximum bid_below_minimum bid_too_low budget_below_one_impression
        budget_is_zero campaign_stopped contradiction daily_above_total flight_not_begun flight_over
        insecure no_active_creative no_balance no_category no_creative no_effect no_format not_public other_domain
        paused target_stopped undeclared_api
    """,
}
_HAS_COMMAND: Final = re.compile(r"grosz [a-z]|docs/[a-z]|/v1/")
# What only the operator of the machine can do, there; no page of the console does it.
_AT_THE_MACHINE: Final = re.compile(r"`grosz (up|migrate|supply)`|docs/money\.md")


def coded(*folders: str) -> Iterator[tuple[str, str]]:
    """(what is called, the code) of calls that name a code: `Fault(pointer, code)`, `InputError(code=...)`."""
    for path in modules(*folders):
        for node in ast.walk(ast.parse((REPOSITORY / path).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                given = node.args[1:2] if node.func.id == "Fault" else []
                given += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                yield from ((node.func.id, str(one.value)) for one in given if isinstance(one, ast.Constant))


def known() -> dict[str, str]:
    """Every code of an advice -> the advice, "" where it is not known here."""
    found = {code: told.advice for code, told in TOLD.items() if told.advice}
    found |= {f"prices.{form}": advice for form, advice in CAUSES.items()}
    found |= {f"reason.{reason.name.lower()}": reason.hint for reason in NoBid}
    warned = coded("admin/validation/warnings.py", "creatives/scanning/declared.py")
    found |= {f"warning.{code}": "" for name, code in warned if name == "Fault"}
    raised = coded("admin/api", "admin/store", "admin/diagnosis", "creatives/feeds")
    return found | {f"problem.{code}": "" for name, code in raised if name.endswith("Error")}


def test_every_code_has_a_cure_or_is_known_to_need_none() -> None:
    without = {f"{area}.{word}" for area, words in WITHOUT_CURE.items() for word in words.split()}
    assert sorted(known().keys() - CURES.keys() - without) == []
    assert sorted(without - known().keys()) == [], "nothing says these any more"
    assert sorted(without & CURES.keys()) == []


def test_no_cure_is_of_a_code_that_nothing_says() -> None:
    assert sorted(CURES.keys() - known().keys()) == []


def test_advice_without_a_cure_names_no_command_but_what_its_operator_starts() -> None:
    left = {code: advice for code, advice in known().items() if code not in CURES and _HAS_COMMAND.search(advice)}
    assert [code for code, advice in left.items() if not _AT_THE_MACHINE.search(advice)] == []
    texts = [told.text for told in TOLD.values()] + [cure.text for cure in CURES.values()]
    assert [text for text in texts if _HAS_COMMAND.search(text) and not _AT_THE_MACHINE.search(text)] == []


@pytest.mark.parametrize(
    ("code", "parts", "cure"),
    [
        ("exchanges.none_active", {}, Cure("add one, or resume one", "New exchange", "/exchanges/new", {})),
        ("products.feed_failed", {"id": 7}, Cure("", "Runs", "/feeds/7/runs", {"id": 7})),
        ("problem.no_such_object", {}, Cure("", parts={})),
        ("warning.paused", None, Cure("however it is said")),
    ],
)
def test_a_cure_is_chosen_by_the_code_whatever_is_said(code: str, parts: dict[str, str | int], cure: Cure) -> None:
    assert cure_of(code, "however it is said", parts=parts) == cure


def test_the_page_of_a_shop_is_linked_to_where_it_is_known_which() -> None:
    assert cure_of("warning.segment_empty", "").path == ""
    assert cure_of("warning.segment_empty", "", 5).path == "/advertisers/5/shop"
    empty = found("audience.empty", 7, words="segment 3 has 0 users", advertiser=4)
    assert cure_of_finding(empty).path == "/advertisers/4/shop"


def test_a_reworded_finding_keeps_its_cure_and_its_polish() -> None:
    polish = words_of("pl")
    said = found("products.ids_unknown", id=3, share="40%", word="view", words="a, b")
    reworded = msgspec.structs.replace(said, text="reworded", advice="reworded")
    assert finding_text(reworded, polish) == finding_text(said, polish)
    assert "40% " in finding_text(reworded, polish)
    cure = cure_of_finding(reworded)
    assert (cure.said(words_of("en")), cure.path) == ("such as a, b", "/advertisers/3/shop")
    assert cure.said(polish) == "na przykład a, b"


def test_the_hint_of_a_reason_is_cured_as_that_reason() -> None:
    reason = NoBid.NOT_TARGETED
    unbid = found("exchanges.no_bid", key="demo", count=3, all=4, reason=reason.text, hint=reason.hint)
    assert cure_of_finding(unbid.advised("reason.not_targeted")).path == "/explain"
    unfit = unbid.advised("reason.country")
    assert cure_of_finding(unfit).said(words_of("en")) == unfit.advice


def test_parts_that_are_texts_are_translated_and_others_stay() -> None:
    polish = words_of("pl")
    reason = NoBid.FLOOR
    unbid = found("last_hour.no_bid", 7, count=7, all=9, reason=reason.text, hint=reason.hint)
    assert finding_text(unbid, polish) == "bez oferty: 7 z 9 wyświetleń, powód: cena jest poniżej ceny minimalnej"
    few = found("last_hour.too_few", 7, count=3, least=30)
    assert cure_of_finding(few).said(polish) == "zapytaj ponownie, gdy będzie ich 30"


def test_the_console_tells_how_many_more_stop_a_line_item_without_the_command_that_lists_them() -> None:
    hours = msgspec.structs.replace(found("line_item.hours", 7, hour="Monday 10:00", zone="Europe/Warsaw"), more=2)
    assert finding_text(hours, words_of("en")) == f"{hours.text} (and 2 more)"
    assert finding_text(hours, words_of("pl")).endswith("(i jeszcze 2)")
