from typing import Any

import pytest

from segments.events.dialects import normalised
from segments.events.members import (
    EVENT_MEMBERS,
    ITEM_MEMBERS,
    MOST_NAMES,
    NameBudget,
    meant_by,
    nearest_member,
    unknown_members,
)

GA4 = (
    "affiliation", "coupon", "discount", "index", "item_brand", "item_category2", "item_list_id", "item_list_name",
    "item_name", "item_variant", "location_id", "promotion_id", "promotion_name", "creative_name", "creative_slot",
    "shipping", "tax", "payment_type", "shipping_tier", "method", "customer_type", "page_title", "session_id",
    "session_number", "debug_mode", "content_type", "content_id", "language", "screen_resolution", "send_to",
    "virtual_currency_name", "level", "group_id", "campaign", "source", "medium", "term", "content", "score",
    "character", "user_properties", "app_instance_id", "event_callback", "event_timeout",
    "gtm.uniqueEventId", "_ee", "search_results",
)  # fmt: skip


@pytest.mark.parametrize("name", GA4)
def test_what_tag_managers_send_anyway_is_no_mistake(name: str) -> None:
    assert nearest_member(name, EVENT_MEMBERS) is None
    assert nearest_member(name, ITEM_MEMBERS) is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("valu", "value"), ("vlaue", "value"), ("currancy", "currency"), ("transactionId", "transaction_id"),
        ("transacton_id", "transaction_id"), ("serch_term", "search_term"), ("refferer", "referrer"),
        ("email_sha265", "email_sha256"), ("revenue", "value"), ("order_id", "transaction_id"), ("evnt", "event"),
    ],
)  # fmt: skip
def test_a_member_spelt_nearly_like_ours_is_found(written: str, meant: str) -> None:
    assert nearest_member(written, EVENT_MEMBERS) == meant


def test_notes_point_at_the_member_and_name_the_one_that_was_meant() -> None:
    row: dict[str, Any] = {
        "event": "purchase", "valu": 5, "items": [{"item_id": "a"}, {"item_id": "b", "pric": 3, "qty": 2}],
        "place": {"contry": "POL"}, "coupon": "x",
    }  # fmt: skip
    notes = unknown_members(normalised(row), NameBudget())
    assert [(note.pointer, *meant_by(note)) for note in notes] == [
        ("/valu", "valu", "value"), ("/items/1/pric", "pric", "price"), ("/items/1/qty", "qty", "quantity"),
        ("/place/contry", "contry", "country"),
    ]  # fmt: skip


def test_a_member_beside_the_one_that_was_meant_is_the_shops_own() -> None:
    assert unknown_members(normalised({"event": "purchase", "value": 5, "values": [5]}), NameBudget()) == []


def test_of_made_up_names_so_many_are_looked_at_in_a_body() -> None:
    """Half a megabyte of them took two minutes, while everybody else waited."""
    budget = NameBudget()
    event = {"event": "search", **{f"search_ter{number:x}": 1 for number in range(MOST_NAMES // 2)}}
    notes = unknown_members(event, budget)
    assert budget.left == MOST_NAMES - MOST_NAMES // 2
    assert notes
    many = {f"{number:08x}": 1 for number in range(40_000)}
    assert unknown_members(many | {"valu": 1}, budget) == []
    assert budget.left == 0
