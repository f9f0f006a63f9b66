import ast
import re

import pytest

from admin.console.words import catalogue
from admin.diagnosis.findings import SETTLING, Severity, is_settling
from admin.diagnosis.told import TEXTS, TOLD, found
from tests.kit.fixtures import REPOSITORY
from tests.kit.said_texts import modules


def test_every_code_of_the_table_is_found_somewhere_and_no_other() -> None:
    written = set()
    for path in modules("admin/diagnosis", "admin/cli/doctor.py", "admin/cli/questions.py"):
        if path.endswith(("told.py", "findings.py")):
            continue
        strings = [one for one in ast.walk(ast.parse((REPOSITORY / path).read_text())) if isinstance(one, ast.Constant)]
        areas = "|".join({code.partition(".")[0] for code in TOLD})
        written |= {str(one.value) for one in strings if re.fullmatch(rf"({areas})\.[a-z_]+", str(one.value))}
    assert sorted(TOLD.keys() - written) == []
    assert sorted(written - TOLD.keys()) == []


def test_what_stops_delivery_says_what_to_do() -> None:
    assert [code for code, told in TOLD.items() if told.severity is Severity.STOP and not told.advice] == []
    assert [code for code, told in TOLD.items() if told.severity is Severity.OK and told.advice] == []


def test_all_that_is_said_has_words_in_each_language() -> None:
    assert sorted(set(TEXTS) - catalogue("pl").keys()) == []


def test_what_a_change_sets_in_motion_begins_with_waiting() -> None:
    waiting = {code for code, told in TOLD.items() if told.advice.startswith("wait a second; if it stays, ")}
    assert waiting == SETTLING
    assert is_settling(found("budget.not_entered", 7))
    assert not is_settling(found("redis.silent", reason="it is away"))


def test_a_finding_has_its_code_its_area_and_its_parts() -> None:
    rates = found("exchange_rates.old", day="2026-11-20", source="ecb", count=11)
    assert (rates.code, rates.area, rates.severity) == ("exchange_rates.old", "exchange rates", Severity.NOTE)
    assert rates.text == "the exchange rates are of 2026-11-20 (ecb): 11 days old"
    assert rates.parts == {"day": "2026-11-20", "source": "ecb", "count": 11}
    assert rates.advice_code == rates.code


def test_a_part_that_is_missing_is_a_fault() -> None:
    with pytest.raises(KeyError):
        found("exchange_rates.old", day="2026-11-20")
