"""Which line items a change touches, and that an overlay has exactly these."""

from typing import Any

import msgspec
import pytest

from bidder.compile.compiler import CatalogueCompiler, touched
from bidder.targeting.overlay import layered
from core.catalogue.codec import Change, difference, encode_catalogue, encode_change
from core.errors import CatalogueError, UnavailableError
from core.model import Advertiser, Budget, Campaign, Catalogue, Deal, FrequencyCap, Segment, Status, Targeting
from tests.kit.catalogues import catalogue, creative, line_item
from tests.kit.layering import layered_now

BASE = msgspec.structs.replace(
    catalogue(
        line_item(1, 1, targeting=Targeting(segments_any=(11,), deals=(7,))),
        line_item(2, 1, creative_ids=(201,)),
        line_item(3, 2, targeting=Targeting(segments_none=(21,))),
        line_item(4, 2, targeting=Targeting(segments_all=(22,))),
        advertisers=2,
    ),
    creatives=(creative(201, 1, (300, 250)), creative(202, 2, (300, 250)), creative(203, 1, (300, 250))),
    deals=(Deal(id=7, exchange_id=1, deal_id="deal"),),
    segments=tuple(Segment(id=n, advertiser_id=n // 10, name="s", rule="visits >= 1") for n in (11, 21, 22)),
)


def replaced(member: str, number: int, **fields: Any) -> Catalogue:  # noqa: ANN401 - fields that exist
    """BASE, later, with other fields in one object; without `fields` the object is gone."""
    values = [
        msgspec.structs.replace(each, **fields) if each.id == number else each
        for each in getattr(BASE, member)
        if fields or each.id != number
    ]
    return msgspec.structs.replace(BASE, version=BASE.version + 1, **{member: tuple(values)})


def shop(number: int) -> set[int]:
    """The line items of an advertiser; a campaign has the same ones."""
    return {line.id for line in BASE.line_items if line.advertiser_id == number}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (replaced("line_items", 2, max_cpm_micros=1), {2}),
        (replaced("line_items", 2), {2}),
        (replaced("creatives", 201, width=1), {2}),
        (replaced("creatives", 201), {2}),
        (replaced("creatives", 202, width=1), set()),
        (replaced("deals", 7, status=Status.PAUSED), {1}),
        (replaced("deals", 7), {1}),
        (replaced("segments", 11, advertiser_id=2), {1}),
        (replaced("segments", 11, rule="visits >= 2"), set()),
        (replaced("segments", 21), {3}),
        (replaced("segments", 22), {4}),
        (replaced("campaigns", BASE.campaigns[0].id, status=Status.PAUSED), shop(1)),
        (replaced("campaigns", BASE.campaigns[0].id, caps=(FrequencyCap(1, 60),)), shop(1)),
        (replaced("campaigns", BASE.campaigns[0].id, total_budget=Budget(micros=1)), shop(1)),
        (replaced("campaigns", BASE.campaigns[0].id, name="another", notes="n", version=9), set()),
        (replaced("advertisers", 2, timezone="Asia/Tokyo"), shop(2)),
        (replaced("advertisers", 2, currency="EUR"), shop(2)),
        (replaced("advertisers", 2, domain="other.example"), shop(2)),
        (replaced("advertisers", 2, product_categories=("IAB18",)), shop(2)),
        (replaced("advertisers", 2, status=Status.PAUSED), shop(2)),
        (replaced("advertisers", 2, caps=(FrequencyCap(1, 60),)), shop(2)),
        (replaced("advertisers", 2, balance_micros=5, name="another", version=9), set()),
        (replaced("exchanges", 1, seat="another"), set()),
        (msgspec.structs.replace(BASE, version=BASE.version + 1, fx_rates={"EUR": 1}), set()),
    ],
)
def test_a_change_touches_what_depends_on_it(later: Catalogue, expected: set[int]) -> None:
    change = difference(BASE, later)
    assert touched(BASE, change) == expected
    compiler = CatalogueCompiler()
    compiler.whole(encode_catalogue(BASE), ())
    overlay = compiler.overlay([encode_change(change)])
    assert set(overlay.replaced.tolist()) == expected
    assert set(overlay.compiled.index.by_line_item) == expected & {line.id for line in later.line_items}


def test_all_fields_of_owners_matter_but_those_that_are_known_not_to() -> None:
    """A field that is added to the model makes its line items compiled again until somebody thinks about it."""
    assert {*Campaign.__struct_fields__} - {"id", "name", "notes", "external_id", "version"} == {
        "advertiser_id", "status", "start_ms", "end_ms", "total_budget", "caps",
    }  # fmt: skip
    assert {*Advertiser.__struct_fields__} >= {"name", "notes", "external_id", "version", "balance_micros"}


def change_to(version: int, since: int) -> bytes:
    later = msgspec.structs.replace(BASE, version=version)
    return encode_change(msgspec.structs.replace(difference(BASE, later), since=since))


def test_changes_that_are_known_are_passed_over_and_strange_ones_refused() -> None:
    compiler = CatalogueCompiler()
    with pytest.raises(UnavailableError, match="holds no catalogue"):
        compiler.overlay([change_to(BASE.version + 1, BASE.version)])
    compiler.hold(encode_catalogue(BASE), ())
    known, next_one = change_to(BASE.version, BASE.version - 1), change_to(BASE.version + 1, BASE.version)
    assert compiler.overlay([known, next_one]).compiled.index.version == BASE.version + 1
    assert compiler.overlay([next_one]).compiled.index.version == BASE.version + 1
    with pytest.raises(UnavailableError, match="does not follow"):
        compiler.overlay([change_to(BASE.version + 9, BASE.version + 7)])


def test_a_new_base_has_everything_and_an_overlay_above_it_only_what_comes_after() -> None:
    compiler = CatalogueCompiler()
    compiler.whole(encode_catalogue(BASE), ())
    later = replaced("line_items", 2, max_cpm_micros=1)
    assert compiler.overlay([encode_change(difference(BASE, later))]).replaced.tolist() == [2]
    compiler.whole(encode_catalogue(later), ())
    assert compiler.overlay([]).replaced.tolist() == []
    compiler.hold(encode_catalogue(BASE), ())
    assert (compiler.overlay([]).base_version, compiler.overlay([]).replaced.tolist()) == (BASE.version, [])


def test_what_cannot_be_compiled_leaves_everything_as_it_was() -> None:
    compiler = CatalogueCompiler()
    base = compiler.whole(encode_catalogue(BASE), ())
    broken = difference(BASE, replaced("line_items", 2, campaign_id=99))
    with pytest.raises(CatalogueError):
        compiler.overlay([encode_change(broken)])
    with pytest.raises(CatalogueError):
        compiler.whole(encode_catalogue(replaced("line_items", 2, campaign_id=99)), ())
    good: Change = difference(BASE, replaced("line_items", 2, max_cpm_micros=1))
    overlay = compiler.overlay([encode_change(good)])
    assert layered_now(base, overlay).index.by_line_item == {1: (0,), 2: (4,), 3: (2,), 4: (3,)}


def test_an_overlay_fits_no_other_base() -> None:
    compiler = CatalogueCompiler()
    base = compiler.whole(encode_catalogue(BASE), ())
    compiler.whole(encode_catalogue(replaced("line_items", 2, max_cpm_micros=1)), ())
    with pytest.raises(CatalogueError, match="does not fit"):
        next(layered(base, compiler.overlay([])))
