import subprocess
import sys

from bidder.targeting.fields import FIELDS, SPECIAL
from core.model import Targeting
from tests.kit.fixtures import REPOSITORY
from tests.kit.random_bidding import TARGETED

MEMBERS = [
    *(member for field in FIELDS for member in (field.allow, field.deny) if member),
    *(special.member for special in SPECIAL),
]


def test_every_member_of_targeting_is_declared_once() -> None:
    assert sorted(MEMBERS) == sorted(Targeting.__struct_fields__)


def test_every_field_has_a_reason_of_its_own() -> None:
    assert len({field.reason for field in FIELDS}) == len({field.name for field in FIELDS}) == len(FIELDS)


def test_random_line_items_target_every_member() -> None:
    assert set(TARGETED) == set(MEMBERS)


def test_the_page_of_targeting_is_what_the_table_says() -> None:
    printed = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "make-targeting", "--print"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    page = (REPOSITORY / "docs" / "targeting.md").read_text(encoding="utf-8")
    assert page == printed, "run scripts/make-targeting"
