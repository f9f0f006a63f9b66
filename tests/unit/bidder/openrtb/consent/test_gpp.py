"""GPP strings of the corpus are read as their authors meant them, and once each."""

import json
from pathlib import Path
from typing import Any

import pytest

from bidder.openrtb.consent.gpp import MAX_CHARS, GppError, GppString, read_gpp
from bidder.request.consent import ConsentPolicy
from core.config import ConsentSettings
from tests.kit import gpp_strings

PURPOSES = frozenset({1, 2, 3, 4, 7})


def scenarios(corpus: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((corpus / "consent/gpp_scenarios.json").read_text())
    return found


def test_every_scenario_limits_or_permits_as_it_says(corpus: Path) -> None:
    wrong = []
    for scenario in scenarios(corpus):
        found = read_gpp(scenario["gpp"], 7, PURPOSES)
        permits = "allowed" in scenario["expect"] or scenario["expect"] == "2 sections"
        if sorted(found.sections) != scenario["sectionIds"] or bool(found.limiting) is permits:
            wrong.append((scenario["name"], found))
    assert wrong == []


def test_every_string_of_other_suites_is_read_or_refused_as_there(corpus: Path) -> None:
    for line in (corpus / "consent/gpp_real.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "error" in row:
            with pytest.raises(GppError):
                read_gpp(row["gpp"], 7, PURPOSES)
            continue
        found = read_gpp(row["gpp"], 7, PURPOSES)
        assert found.sections == {int(number) for number in row["sections"]}, row
        for number, flags in row["sections"].items():
            if int(number) < 7:
                continue
            child = flags.get("child")
            children = child if isinstance(child, list) else [child]
            limits = (
                1 in (flags.get("sale"), flags.get("sharing"), flags.get("ta"), flags.get("mspa_sp"), *children)
                or bool(flags.get("gpc"))
                or None in (flags.get("mspa"), flags.get("mspa_sp", 0))  # it is cut
                or flags["version"] > (2 if number == "7" else 1)
            )
            assert (int(number) in found.limiting) is limits, (number, flags, row["gpp"])


def test_a_tc_string_is_handed_on_as_it_is(corpus: Path) -> None:
    (scenario,) = [one for one in scenarios(corpus) if one["name"] == "tcfeu-usnat"]
    assert read_gpp(scenario["gpp"], 7, PURPOSES).tc_string == scenario["flags"]["2"]["str"]


@pytest.mark.parametrize(("purposes", "vendors", "permits"), [
    ((1, 2, 3, 4, 7), (7,), True), ((1, 2, 3, 4), (7,), False), ((1, 2, 3, 4, 7), (8,), False), ((), (), False),
])  # fmt: skip
def test_canada_needs_express_consent(purposes: tuple[int, ...], vendors: tuple[int, ...], permits: bool) -> None:
    express = "".join("1" if number in purposes else "0" for number in range(1, 25))
    vendor_bits = "".join("1" if number in vendors else "0" for number in range(1, 11))
    bits = "000001" + "0" * 146 + express + "0" * 24 + f"{10:016b}0{vendor_bits}"
    found = read_gpp(f"{gpp_strings.header([5])}~{gpp_strings.encoded(bits)}", 7, PURPOSES)
    assert (found.limiting == frozenset()) is permits


@pytest.mark.parametrize(
    "text",
    [
        "", "D", "DBAA~", "DBAA~A", "DAAA", "CBABLA~BAAA", "DBABLA", "DBABLA~CVQqAAAAAACA.QA~X", "DBABL\n~A", "DB A",
        "DBABLA" + "~" * 30, "DBD_________~A", "D" * (MAX_CHARS + 1),
    ],
)  # fmt: skip
def test_what_is_no_whole_string_is_refused(text: str) -> None:
    with pytest.raises(GppError):
        read_gpp(text, 7, PURPOSES)


@pytest.mark.parametrize(
    "body", ["", "C", "CVQqAAAAAAC", "CVQqAAAAAACA.", "CVQqAAAAAACA.QA.QA", "CVQqAAAAAACA.wA", "D" * 12, "+" * 12]
)
def test_a_section_that_cannot_be_read_limits(body: str) -> None:
    assert read_gpp(f"DBABLA~{body}", 7, PURPOSES).limiting == {7}


@pytest.mark.parametrize(
    ("text", "permits"), [("1YNN", True), ("1---", True), ("1YYN", False), ("1Y", False), ("2YNN", False)]
)
def test_us_privacy_inside_of_gpp(text: str, permits: bool) -> None:
    assert (read_gpp(f"DBABTA~{text}", 7, PURPOSES).limiting == frozenset()) is permits


def test_a_string_seen_before_is_not_read_again(corpus: Path) -> None:
    class CountingPolicy(ConsentPolicy):
        reads: list[str] = []

        def _read_gpp(self, text: str) -> GppString | None:
            self.reads.append(text)
            return super()._read_gpp(text)

    policy = CountingPolicy(ConsentSettings(vendor_id=7))
    texts = sorted({scenario["gpp"] for scenario in scenarios(corpus)})
    first = [policy.gpp(text) for text in texts]
    assert any(first)
    for _ in range(3):
        assert all(policy.gpp(text) is found for text, found in zip(texts, first, strict=True))
    assert policy.reads == texts
