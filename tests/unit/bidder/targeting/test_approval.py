import msgspec
import pytest

from bidder.compile.compiler import touched
from bidder.targeting.approval import reviewing, unapproved_creatives
from core.catalogue.codec import difference
from core.model import Approval, Catalogue, ReviewPolicy, Status
from tests.kit.catalogues import EXCHANGE, catalogue, line_item

BEFORE = msgspec.structs.replace(EXCHANGE, id=1, review=ReviewPolicy.BEFORE)
AFTER = msgspec.structs.replace(EXCHANGE, id=2, key="b", review=ReviewPolicy.AFTER)
FREE = msgspec.structs.replace(EXCHANGE, id=3, key="c")


def reviewed(*approvals: Approval) -> Catalogue:
    return msgspec.structs.replace(
        catalogue(line_item(1)), exchanges=(BEFORE, AFTER, FREE), approvals=approvals, version=5
    )


def test_who_has_not_decided_takes_an_ad_only_where_it_may_be_rejected_later() -> None:
    assert unapproved_creatives(reviewed(), [1, 2]) == {1: {1}, 2: {1}}


@pytest.mark.parametrize(
    ("approval", "refusing"),
    [
        (Approval(id=1, approved=(1, 2)), set()),
        (Approval(id=1, rejected=(2,)), {1, 2}),
        (Approval(id=1, approved=(3,), rejected=(3,)), {1}),
    ],
)
def test_decisions_count_where_an_exchange_reviews(approval: Approval, refusing: set[int]) -> None:
    assert unapproved_creatives(reviewed(approval), [1])[1] == refusing


def test_a_paused_exchange_decides_nothing() -> None:
    paused = msgspec.structs.replace(BEFORE, status=Status.PAUSED)
    assert reviewing((paused, AFTER, FREE)) == {2: ReviewPolicy.AFTER}


def test_a_decision_touches_the_line_items_of_its_creative() -> None:
    before = reviewed()
    after = msgspec.structs.replace(reviewed(Approval(id=1, approved=(1,))), version=6)
    assert touched(before, difference(before, after)) == {1}
    other = msgspec.structs.replace(reviewed(Approval(id=77, approved=(1,))), version=6)
    assert touched(before, difference(before, other)) == set()


def test_whether_an_exchange_reviews_touches_all_line_items() -> None:
    before = reviewed()
    for exchanges in ((AFTER, FREE), (msgspec.structs.replace(BEFORE, review=ReviewPolicy.NONE), AFTER, FREE)):
        after = msgspec.structs.replace(before, exchanges=exchanges, version=6)
        assert touched(before, difference(before, after)) == {1}
    renamed = msgspec.structs.replace(before, exchanges=(BEFORE, AFTER, msgspec.structs.replace(FREE, name="x")))
    assert touched(before, difference(before, msgspec.structs.replace(renamed, version=6))) == set()
