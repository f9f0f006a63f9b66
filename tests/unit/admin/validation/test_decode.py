"""All faults of an input at once."""

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from admin.validation.decode import MAX_FAULTS, decode, escape, faults_of
from core.errors import InputError


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, description="Pixels.", examples=[300])]
    words: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=2)] = []


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    color: Literal["red", "blue"] = "red"
    inner: Inner | None = None
    many: list[Inner] = []
    price: Inner | msgspec.UnsetType | None = msgspec.UNSET
    rates: Annotated[
        dict[
            Annotated[str, Meta(pattern="^[A-Z]{3}$")], Annotated[str, Meta(pattern="^[0-9.]+$", examples=[["4.20"]])]
        ],
        Meta(max_length=3),
    ] = {}
    pairs: tuple[Literal["red", "blue"], ...] = ()


def test_a_good_input_becomes_the_type() -> None:
    assert decode({"name": "a", "inner": {"size": 3}}, Outer) == Outer("a", "red", Inner(3))


def test_every_fault_has_its_pointer_code_hint_and_allowed_values() -> None:
    wrong = {
        "color": "green",
        "colour": 1,
        "inner": {"size": 0, "words": ["a", "", "c"]},
        "many": [{"size": 1}, {"size": "x"}, {}, 7],
    }
    with pytest.raises(InputError) as caught:
        decode(wrong, Outer, "/base")
    found = {fault.pointer: fault for fault in caught.value.faults}
    assert {pointer: fault.code for pointer, fault in found.items()} == {
        "/base/colour": "unknown_field",
        "/base/name": "required",
        "/base/color": "not_allowed",
        "/base/inner/size": "range",
        "/base/inner/words": "length",
        "/base/inner/words/1": "length",
        "/base/many/1/size": "type",
        "/base/many/2/size": "required",
        "/base/many/3": "type",
    }
    assert found["/base/color"].allowed == ("red", "blue")
    assert found["/base/colour"].hint == "did you mean 'color'?"
    assert found["/base/inner/size"].hint == "Pixels. for example 300"


def test_bounds_are_told_in_sentences() -> None:
    found = faults_of({"size": 0, "words": ["a", "", "c"]}, Inner)
    assert [fault.message for fault in found] == [
        "the least is 1", "at most 2 entries are allowed", "at least 1 characters are needed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "pointer", "message"),
    [
        ({"price": {"size": "4"}}, "/price/size", "expected `integer`, got `string`"),
        ({"price": {"size": 0}}, "/price/size", "the least is 1"),
        ({"price": 4}, "/price", "expected `object | null`, got `integer`"),
        ({"rates": {"EUR": 4.2}}, "/rates/EUR", "expected `string`, got `number`"),
        ({"rates": {"EUR": "4,2"}}, "/rates/EUR", "'4,2' has the wrong form"),
        ({"rates": {"eur": "4.2"}}, "/rates/eur", "'eur' has the wrong form"),
        ({"rates": dict.fromkeys(("A", "B", "C", "D"), "")}, "/rates", "at most 3 entries are allowed"),
        ({"pairs": ["red", {"amount": True}]}, "/pairs/1", "expected `string`, got `object`"),
        ({"pairs": ["red", "it's"]}, "/pairs/1", "'it's' is not one of the allowed values"),
        ({"pairs": ["red", "a\tb"]}, "/pairs/1", "'a\\u0009b' is not one of the allowed values"),
    ],
)
def test_a_fault_deep_in_an_input_is_told_at_its_place_and_as_in_json(
    wrong: dict[str, object], pointer: str, message: str
) -> None:
    assert (pointer, message) in [(fault.pointer, fault.message) for fault in faults_of({"name": "a", **wrong}, Outer)]


def test_an_example_that_is_no_text_is_shown_as_json() -> None:
    (fault,) = faults_of({"name": "a", "rates": {"EUR": True}}, Outer)
    assert fault.hint == 'for example ["4.20"]'


def test_a_fault_of_an_entry_is_not_told_of_its_list_too() -> None:
    assert [fault.pointer for fault in faults_of({"size": 1, "words": ["", "a"]}, Inner)] == ["/words/0"]


def test_pointers_escape_their_own_signs() -> None:
    assert escape("a/b~c") == "a~1b~0c"
    assert faults_of({"name": "", "x/y": 1}, Outer)[0].pointer == "/x~1y"


def test_a_hopeless_input_is_not_listed_without_end() -> None:
    assert len(faults_of({"name": "a", "many": [1] * 1000}, Outer)) == MAX_FAULTS


def test_query_strings_are_read_leniently_and_documents_strictly() -> None:
    assert decode({"size": "3"}, Inner, strict=False) == Inner(3)
    with pytest.raises(InputError):
        decode({"size": "3"}, Inner)
