from typing import Any

import pytest

from segments.events.texts import mend, stripped


def mended(**members: object) -> dict[str, Any]:
    mend(members)
    return members


@pytest.mark.parametrize("text", ["a\n", "\u2028a", "a\x00", "\ufeffa ", " \ta\r\n", "a\u00a0", "a\x85"])
def test_what_stands_at_the_ends_by_accident_goes(text: str) -> None:
    assert stripped(text) == "a"


@pytest.mark.parametrize("sign", [" ", "\n", "\u200b", "\x00"])
def test_a_long_run_inside_of_a_text_costs_no_more_than_its_length(sign: str) -> None:
    text = f"a{sign * 400_000}b"
    assert stripped(f"{sign * 400_000}{text} ") == text


@pytest.mark.parametrize(
    ("number", "text"), [(10001, "10001"), (10001.0, "10001"), (7, "7"), (1.5, "1.5"), (10**150, "1" + "0" * 150)]
)
@pytest.mark.parametrize("member", ["transaction_id", "search_term", "url", "event_id", "user_id"])
def test_a_number_is_a_text_where_a_text_belongs(member: str, number: float, text: str) -> None:
    assert mended(**{member: number})[member] == text


@pytest.mark.parametrize("value", [True, False, None, [1], {"a": 1}, float("inf")])
def test_nothing_else_becomes_a_text(value: object) -> None:
    assert mended(transaction_id=value)["transaction_id"] == value


@pytest.mark.parametrize("member", ["url", "referrer", "search_term"])
@pytest.mark.parametrize("value", [True, False, {}, {"a": 1}, [], ["a", "b"], float("inf")])
def test_what_decorates_and_is_no_text_is_left_out_and_named(member: str, value: object) -> None:
    event: dict[str, Any] = {member: value, "items": [{"item_id": "7", "item_category": value}]}
    assert mend(event) == [member, "item_category"]
    assert event == {member: "", "items": [{"item_id": "7", "item_category": ""}]}


def test_of_a_list_with_one_text_the_text_is_kept() -> None:
    assert mended(items=[{"item_id": "7", "item_category": ["Shoes\n"]}])["items"][0]["item_category"] == "Shoes"


def test_items_and_places_are_mended_too() -> None:
    event = mended(items=[{"item_id": 7, "item_category": 42, "price": " "}, 5], place={"city": 12, "country": "POL\n"})
    assert event["items"] == [{"item_id": "7", "item_category": "42"}, 5]
    assert event["place"] == {"city": "12", "country": "POL"}


@pytest.mark.parametrize(
    ("place", "kept", "named"),
    [
        ({"country": "PL", "city": "Kraków"}, {"city": "Kraków"}, ["country"]),
        ({"country": "Polska"}, {}, ["country"]),
        ({"country": 616}, {}, ["country"]),
        ({"country": ["pol"]}, {"country": "pol"}, ["country"]),
        ("Kraków", None, ["place"]),
        (5, None, ["place"]),
        ({"country": "pol"}, {"country": "pol"}, []),
        (None, None, []),
    ],
)
def test_what_is_no_place_is_left_out_and_named(place: object, kept: object, named: list[str]) -> None:
    event: dict[str, Any] = {"event": "purchase", "place": place}
    assert mend(event) == named
    assert event.get("place") == kept


def test_what_decorates_is_cut_and_named() -> None:
    event: dict[str, Any] = {
        "url": "https://buty.example/a?x=" + "y" * 5000 + "&gclid=" + "z" * 300,
        "referrer": "r" * 5000, "search_term": "s" * 300, "seconds": 90_000, "currency": "pln",
        "items": [{"item_id": "a" * 300, "item_category": "c" * 300}],
    }  # fmt: skip
    assert sorted(mend(event)) == ["currency", "item_category", "referrer", "search_term", "seconds", "url"]
    assert event["url"] == "https://buty.example/a?gclid=" + "z" * 160
    assert (len(event["referrer"]), len(event["search_term"])) == (2048, 200)
    assert len(event["items"][0]["item_id"]) == 300, "an id is not cut: its check refuses it"
    assert (event["seconds"], event["currency"]) == (3600, "PLN")


@pytest.mark.parametrize(
    ("value", "applies"),
    [
        (True, 1),
        (1, 1),
        ("1", 1),
        ("true", 1),
        ("maybe", 1),
        (7, 1),
        ([], 1),
        (False, 0),
        (0, 0),
        ("0", 0),
        ("false\n", 0),
    ],
)
def test_gdpr_is_one_unless_it_is_said_to_be_none(value: object, applies: int) -> None:
    assert mended(gdpr=value)["gdpr"] == applies


@pytest.mark.parametrize("member", ["value", "seconds", "gdpr", "offline", "time"])
def test_an_empty_text_is_nothing_said(member: str) -> None:
    assert mended(**{member: " "}) == {}


@pytest.mark.parametrize(("written", "currency"), [("zł", "PLN"), ("€", "EUR"), (" eur ", "EUR"), ("zloty", "ZLOTY")])
def test_a_currency_is_written_in_capitals(written: str, currency: str) -> None:
    assert mended(currency=written)["currency"] == currency


def test_inner_control_characters_of_a_phrase_are_spaces() -> None:
    assert mended(search_term="red\x00heels\u2028size")["search_term"] == "red heels size"
    assert mended(transaction_id="a\x00b")["transaction_id"] == "a\x00b", "an id is refused by its check"
