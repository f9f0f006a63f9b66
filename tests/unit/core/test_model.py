import random

import msgspec
import pytest

from core.model import Budget, Catalogue, Creative, LineItem, Status, Targeting
from tests.kit.catalogues import catalogue, line_item
from tests.kit.random_bidding import random_catalogue


def test_the_model_survives_json_and_messagepack() -> None:
    for seed in range(5):
        made = random_catalogue(random.Random(seed))
        assert msgspec.json.decode(msgspec.json.encode(made), type=Catalogue) == made
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=Catalogue) == made


def test_members_that_an_older_publisher_did_not_know_have_defaults() -> None:
    old = {"id": 1, "advertiser_id": 1, "campaign_id": 1, "name": "x"}
    line = msgspec.convert(old, LineItem)
    assert (line.status, line.targeting, line.daily_budget) == (Status.ACTIVE, Targeting(), Budget())


def test_values_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        line_item(1).bid_micros = 7  # type: ignore[misc]  # that it is refused is the test
    with pytest.raises(AttributeError):
        catalogue().version = 7  # type: ignore[misc]  # likewise


def test_unknown_words_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"id": 1, "advertiser_id": 1, "name": "x", "format": "poster"}, Creative)


def test_targeting_restricts_nothing_by_default() -> None:
    assert all(value == () for value in msgspec.structs.asdict(Targeting()).values())
