"""The three parts of every dialect have its name, and every fact says where it is from."""

import subprocess
import sys

import msgspec
import pytest

from bidder.dialects.table import SPEAKERS, speaker_of
from core.dialects import AS_WRITTEN, ASSUMED, DIALECTS, GENERIC, OVERRIDES, Dialect, spelled_out, spoken_by
from core.errors import CatalogueError
from core.model import BillingEvent, Exchange, NoBidStyle, PriceEncryption, ReviewPolicy
from pacing.notices.dialects import READERS, reader_of
from tests.kit.fixtures import REPOSITORY

EXCHANGE = Exchange(id=1, key="ssp")
OWN = {
    "first_price": True,
    "no_bid_style": NoBidStyle.REASON_CODE,
    "price_encryption": PriceEncryption.GOOGLE,
    "price_macro": "${P}",
    "billing_event": BillingEvent.WIN,
    "review": ReviewPolicy.AFTER,
    "deal_floor_else_impression": True,
}


def test_the_three_parts_have_the_same_names() -> None:
    assert list(DIALECTS) == list(SPEAKERS) == list(READERS)
    assert [(name, each.name) for name, each in DIALECTS.items()] == [(name, name) for name in DIALECTS]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda each: each.name)
def test_every_fact_has_a_source(dialect: Dialect) -> None:
    names = [name for name in Dialect.__struct_fields__ if name not in ("name", "title", "sources")]
    differing = {name for name in names if getattr(dialect, name) != getattr(AS_WRITTEN, name)}
    assert set(dialect.sources) == differing
    assert all(source == ASSUMED or source.startswith("https://") for source in dialect.sources.values())


def test_the_page_is_what_the_table_says() -> None:
    printed = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "make-dialects", "--print"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert (REPOSITORY / "docs" / "dialects.md").read_text(encoding="utf-8") == printed, "run scripts/make-dialects"


@pytest.mark.parametrize("name", OVERRIDES)
def test_a_column_of_the_exchange_overrides_its_dialect(name: str) -> None:
    assert getattr(spoken_by(EXCHANGE), name) == getattr(DIALECTS[GENERIC], name)
    own = msgspec.structs.replace(EXCHANGE, **{name: OWN[name]})
    assert getattr(spoken_by(own), name) == OWN[name]
    others = [other for other in OVERRIDES if other != name]
    assert all(getattr(spoken_by(own), other) == getattr(DIALECTS[GENERIC], other) for other in others)


def test_an_empty_macro_is_the_dialect_s() -> None:
    assert spoken_by(msgspec.structs.replace(EXCHANGE, price_macro="")) == spoken_by(EXCHANGE)


def test_what_is_published_leaves_nothing_to_the_dialect_that_an_older_version_needs() -> None:
    published = spelled_out(EXCHANGE)
    assert [getattr(published, name) is None for name in OVERRIDES] == [name == "first_price" for name in OVERRIDES]
    assert spoken_by(published) == spoken_by(EXCHANGE)
    assert set(OWN) == set(OVERRIDES)


def test_nobody_bids_in_a_dialect_of_a_later_version_but_its_notices_are_read() -> None:
    later = spelled_out(msgspec.structs.replace(EXCHANGE, dialect="later", price_macro="${P}"))
    with pytest.raises(CatalogueError, match="dialect 'later'"):
        speaker_of(later)
    assert spoken_by(later).price_macro == "${P}"
    assert reader_of(later) is READERS[GENERIC]
