"""Golden cases of the bid path: each reason refuses one case by itself, a neighbour of it bids; every rule is needed.

One file a case in `bidding/`; tests/kit/golden_bidding.py says what is in it.
"""

import types
from pathlib import Path

import pytest

import admin.diagnosis.budgets
import bidder.decision.choose
import bidder.decision.creatives
import bidder.decision.pipeline
import bidder.decision.rank
import bidder.door.gate
import bidder.door.handler
import bidder.openrtb.codec
import bidder.request.consent
import bidder.request.validate
import bidder.targeting.eligible_now
import bidder.targeting.quality
import creatives.formats.banner
import pacing.caps
from bidder.targeting.bitmaps import all_ones
from bidder.targeting.dimensions import DealAccess, Dimension, PrivateAuction, SegmentMembership, Strangers
from bidder.targeting.field import Field
from bidder.targeting.fields import FIELDS
from bidder.targeting.match import Matcher
from core.reasons import NoBid
from tests.kit.golden_bidding import BID, Case, holds, neighbour_of, outcome_of, read_case
from tests.kit.rules_out import WithoutCondition, WithoutReason, conditions, take_out

CASES = {path.stem: read_case(path) for path in sorted((Path(__file__).parent / "bidding").glob("*.json"))}

# Where reasons are given; what only tells about them (bidder.diagnosis) has no rules.
MODULES: tuple[types.ModuleType, ...] = (
    bidder.door.handler, bidder.door.gate, bidder.targeting.quality, bidder.request.validate, bidder.request.consent,
    bidder.decision.pipeline,
    bidder.decision.choose, bidder.decision.rank, bidder.targeting.eligible_now, pacing.caps, admin.diagnosis.budgets,
)  # fmt: skip

DIMENSIONS: dict[NoBid, type[Dimension]] = {
    NoBid.SEGMENT: SegmentMembership,
    NoBid.NO_PROFILE: Strangers,
    NoBid.DEAL: DealAccess,
    NoBid.PRIVATE_AUCTION: PrivateAuction,
}
FIELD_OF = {field.reason: field for field in FIELDS}

# Functions that are all rules: each of their conditions is one.
RULES_OF: tuple[tuple[types.ModuleType, str], ...] = (
    (bidder.openrtb.codec, "_check"),
    (bidder.request.validate, "check_request"),
    (bidder.request.validate, "_check_impression"),
    (bidder.decision.creatives, "may_show"),
    (creatives.formats.banner, "admits"),
)


def cases_of(reason: NoBid) -> list[Case]:
    """The cases of a reason, by their names."""
    name = reason.name.lower()
    return [case for stem, case in CASES.items() if stem.partition("-")[0] == name]


@pytest.mark.parametrize("name", CASES)
async def test_a_case_comes_out_as_written_down(name: str) -> None:
    case = CASES[name]
    outcome = await outcome_of(case)
    assert (outcome.answer, outcome.reasons or []) == (case.answer, case.reasons)
    assert outcome.bids or case.answer != "bid"


@pytest.mark.parametrize("name", CASES)
async def test_its_neighbour_bids(name: str) -> None:
    outcome = await outcome_of(neighbour_of(CASES[name]))
    assert (outcome.answer, outcome.reasons) == ("bid", [])


@pytest.mark.parametrize("reason", NoBid, ids=lambda reason: reason.name.lower())
def test_every_reason_has_a_case_that_it_alone_refuses(reason: NoBid) -> None:
    name, found = reason.name.lower(), cases_of(reason)
    assert found
    for case in found:
        assert case.reasons == [name] or (case.answer == name and len(case.reasons) <= 1)


async def still_hold(cases: list[Case], fields: tuple[Field, ...] = FIELDS) -> bool:
    """Whether all cases come out as written down. What a rule kept from happening may end in any fault."""
    for case in cases:
        try:
            if not holds(case, await outcome_of(case, fields)):
                return False
        except Exception:
            return False
    return True


async def all_neighbours_bid() -> bool:
    """Whether all neighbours bid."""
    for case in CASES.values():
        try:
            if (await outcome_of(neighbour_of(case))).answer != BID:
                return False
        except Exception:
            return False
    return True


def everybody(dimension: Dimension, _key: object) -> int:
    """What a dimension without its rule answers."""
    return all_ones(dimension.count)


def nobody_is_excluded(patch: pytest.MonkeyPatch) -> int:
    """Take out the dimension of excluded segments, which is one of a general class."""
    compiled = bidder.targeting.index._excluded_segments

    def without(entries: list[object], catalogue: object) -> Dimension:
        dimension = compiled(entries, catalogue)  # type: ignore[arg-type]  # passed on as it came
        dimension._lists.by_value.clear()
        return dimension

    patch.setattr("bidder.targeting.index._excluded_segments", without)
    return 1


@pytest.mark.parametrize(
    "reason", [reason for reason in NoBid if reason is not NoBid.MALFORMED], ids=lambda reason: reason.name.lower()
)
async def test_without_the_rule_of_a_reason_a_case_fails(reason: NoBid, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = cases_of(reason)
    if reason in FIELD_OF:
        assert not await still_hold(cases, tuple(field for field in FIELDS if field.reason is not reason))
        return
    if reason in DIMENSIONS:
        monkeypatch.setattr(DIMENSIONS[reason], "evaluate", everybody)
    elif reason is NoBid.LOOK_UP_FAILED:
        monkeypatch.setattr(Matcher, "_sit_out", lambda *_arguments: None)
    elif reason is NoBid.EXCLUDED_SEGMENT:
        nobody_is_excluded(monkeypatch)
    else:
        assert sum(take_out(monkeypatch, module, WithoutReason(reason)) for module in MODULES)
    assert not await still_hold(cases)


@pytest.mark.parametrize(
    ("module", "function", "number"),
    [
        pytest.param(module, function, number, id=f"{function}-{number}")
        for module, function in RULES_OF
        for number in range(conditions(module, function))
    ],
)
async def test_without_a_single_condition_a_case_fails(
    module: types.ModuleType, function: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert take_out(monkeypatch, module, WithoutCondition(function, number)) == 1
    assert not (await still_hold(list(CASES.values())) and await all_neighbours_bid())


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
async def test_a_field_that_denies_has_a_case_for_either_list(field: Field) -> None:
    named = [
        member
        for case in cases_of(field.reason)
        for line in case.catalogue.get("line_items", [])
        for member in line.get("targeting", {})
    ]
    assert {member for member in (field.allow, field.deny) if member} <= set(named)
