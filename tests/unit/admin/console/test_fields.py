"""Between documents of the API and texts of a form."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.console.fields import FormField, InputKind, Writing, amount_text, document_of, id_of, input_text, value_at
from admin.console.kinds import PAGES
from core.model import Format

_VALUES: list[tuple[InputKind, Any]] = [
    ("text", "a name"),
    ("prose", "two\nlines"),
    ("number", 12),
    ("number", None),
    ("money", {"amount": "12.50", "currency": "PLN"}),
    ("money", None),
    ("moment", "2026-11-29T18:30:00.000Z"),
    ("list", ["POL", "DEU"]),
    ("numbers", [1, 20]),
    ("caps", [{"impressions": 12, "window_s": 86_400}, {"impressions": 3, "window_s": 5_400}]),
    ("caps", [{"impressions": 2, "window_s": 60, "format": "video"}, {"impressions": 3, "window_s": 60}]),
    ("json", {"margin_ppm": 60_000}),
    (
        "modifiers",
        [
            {"field": "device_type", "values": [4, 5], "factor_percent": 130},
            {"field": "radius", "values": ["52.2,21.0,30", "50,20,9.5"], "factor_percent": 10},
        ],
    ),
    ("flag", True),
    ("flag", False),
    ("one", 7),
]


@pytest.mark.parametrize(("kind", "value"), _VALUES)
def test_a_form_that_was_sent_unchanged_changes_nothing(kind: InputKind, value: object) -> None:
    field = FormField("outer.inner", "label", kind)
    document = {"outer": {"inner": value}}
    assert document_of([field], [("outer.inner", input_text(field, value))], document) == ({}, [])
    assert document_of([field], [], document) == ({}, [])


@pytest.mark.parametrize(("kind", "value"), [pair for pair in _VALUES if pair[1]])
def test_a_text_means_its_value_again(kind: InputKind, value: object) -> None:
    field = FormField("outer.inner", "label", kind)
    patch, faults = document_of([field], [("outer.inner", input_text(field, value))], {})
    assert faults == []
    assert input_text(field, value_at(patch, "outer.inner")) == input_text(field, value)


def test_large_amounts_are_told_apart_to_the_micro() -> None:
    field = FormField("bid", "", "money")
    kept = {"bid": {"amount": "999999999999.000001", "currency": "PLN"}}
    patch, _ = document_of([field], [("bid", "999999999999.000002")], kept)
    assert patch == {"bid": {"amount": "999999999999.000002"}}


def test_a_moment_is_written_and_read_in_the_time_zone_of_a_person() -> None:
    field, warsaw = FormField("start", "", "moment"), Writing("Europe/Warsaw")
    kept = {"start": "2026-07-01T16:30:00Z"}
    assert input_text(field, kept["start"], warsaw) == "2026-07-01T18:30"
    assert document_of([field], [("start", "2026-07-01T18:30")], kept, warsaw.zone) == ({}, [])
    assert document_of([field], [("start", "2026-12-01T00:30")], kept, warsaw.zone)[0] == {
        "start": "2026-11-30T23:30:00Z"
    }


def test_an_hour_that_is_there_twice_is_not_moved_by_a_form_that_leaves_it() -> None:
    field, second = FormField("start", "", "moment"), {"start": "2026-10-25T01:30:00Z"}
    text = input_text(field, second["start"], Writing("Europe/Warsaw"))
    assert document_of([field], [("start", text)], second, "Europe/Warsaw") == ({}, [])


def test_amounts_stand_in_inputs_as_the_language_writes_them() -> None:
    field, kept = FormField("bid", "", "money"), {"bid": {"amount": "1234.50", "currency": "PLN"}}
    text = input_text(field, kept["bid"], Writing(point=","))
    assert text == "1234,50"
    assert document_of([field], [("bid", text)], kept) == ({}, [])


def test_a_moment_with_an_offset_is_written_in_utc() -> None:
    patch, _ = document_of([FormField("start", "", "moment")], [("start", "2026-11-30T18:00+02:00")], {})
    assert patch == {"start": "2026-11-30T16:00:00Z"}


@pytest.mark.parametrize("text", ["", "0", "-1", "+1", "²", "\u0661", "1.5", " 1", "4294967296", "9" * 5_000, "1_0"])
def test_what_names_no_id(text: str) -> None:
    assert id_of(text) is None


def test_what_a_form_does_not_have_is_left_alone() -> None:
    fields = [FormField("name", ""), FormField("daily_budget.spend", "", "money"), FormField("ids", "", "many")]
    kept = {
        "name": "old",
        "daily_budget": {"spend": {"amount": "5.00", "currency": "PLN"}, "impressions": 3},
        "ids": [1],
    }
    patch, faults = document_of(fields, [("daily_budget.spend", "7,5"), ("ids", "1")], kept)
    assert faults == []
    assert patch == {"daily_budget": {"spend": {"amount": "7.5"}}}


def test_an_emptied_select_is_an_empty_list() -> None:
    field = FormField("targeting.segments_any", "", "many")
    kept = {"targeting": {"segments_any": [4]}}
    assert document_of([field], [("targeting.segments_any", "")], kept) == ({"targeting": {"segments_any": []}}, [])


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12.50", "12.50"), ("12,50", "12.50"), ("1 234,5", "1234.5"), ("1\u00a0234,50", "1234.50"), (" 7 ", "7")],
)
def test_amounts_as_people_write_them(text: str, amount: str) -> None:
    assert amount_text(text) == amount


@pytest.mark.parametrize("text", ["", "abc", "1,234.50", "-5", "1e3", "12.5.0", "١٢", "NaN"])
def test_amounts_that_mean_nothing_certain_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount like 12\.50"):
        amount_text(text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("money", "1,234.50"),
        ("number", "3.5"),
        ("moment", "tomorrow"),
        ("caps", "12 a day"),
        ("caps", "2/1d wideo"),
        ("json", "{"),
        ("one", "x"),
    ],
)
def test_a_text_without_meaning_is_told_at_its_field(kind: InputKind, text: str) -> None:
    patch, faults = document_of([FormField("a.b", "", kind)], [("a.b", text)], {})
    assert patch == {}
    assert [fault.pointer for fault in faults] == ["/a/b"]


def test_who_writes_a_cap_of_an_unknown_format_is_told_the_known_ones() -> None:
    _patch, (fault,) = document_of([FormField("caps", "", "caps")], [("caps", "2/1d reklama natywna")], {})
    assert all(each in fault.message for each in Format)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted({field.path for page in PAGES.values() for field in (*page.form, *page.more)})),
            st.text(st.sampled_from(string.printable + "żółć\u2028\x00"), max_size=12),
        ),
        max_size=12,
    )
)
def test_no_form_breaks_the_reading(sent: list[tuple[str, str]]) -> None:
    for page in PAGES.values():
        patch, faults = document_of((*page.form, *page.more), sent, {})
        assert isinstance(patch, dict)
        assert all(fault.pointer.startswith("/") for fault in faults)


def test_paths_of_a_page_are_told_apart() -> None:
    for page in PAGES.values():
        paths = [field.path for field in (*page.form, *page.more)]
        assert len(paths) == len(set(paths)), page.name
        assert all(column.field.path in {"name", "prefix"} | set(paths) or not column.inline for column in page.columns)
