"""What is taken over from settings that were read again, and what waits for a restart."""

import msgspec
import pytest

from admin.roles.reloading import FIXED, reload
from core.config import Settings


def changed(component: str, **values: object) -> Settings:
    replaced = msgspec.structs.replace(getattr(Settings(), component), **values)
    return msgspec.structs.replace(Settings(), **{component: replaced})


def test_nothing_changed_is_nothing_to_do() -> None:
    assert reload(Settings(), Settings()) == (Settings(), [], [])


def test_what_roles_read_at_their_start_is_taken_over() -> None:
    found = reload(Settings(), changed("catalogue", max_age_s=60, poll_ms=100))
    assert found.settings.catalogue.max_age_s == 60
    assert found.changed == ["catalogue.poll_ms", "catalogue.max_age_s"]
    assert found.refused == []


def test_what_the_supervisor_holds_stays_as_it_was() -> None:
    found = reload(Settings(), changed("bid", port=9000, workers=4, tmax_cap_ms=200))
    assert (found.settings.bid.port, found.settings.bid.workers, found.settings.bid.tmax_cap_ms) == (8080, 1, 200)
    assert found.changed == ["bid.tmax_cap_ms"]
    assert found.refused == ["bid.port", "bid.workers"]


@pytest.mark.parametrize("name", sorted(FIXED))
def test_every_fixed_name_is_a_setting(name: str) -> None:
    component, _, setting = name.partition(".")
    assert setting in getattr(Settings(), component).__struct_fields__
