import zoneinfo

import pytest

from admin.cli.assignments import is_day, moment_of, plain_dates, read_document
from admin.validation.documents import ApiKeyDocument, CampaignDocument, ExchangeDocument, LineItemDocument
from core.dialects import OVERRIDES
from core.errors import InputError

WARSAW = zoneinfo.ZoneInfo("Europe/Warsaw")


@pytest.mark.parametrize(
    ("assignment", "placed"),
    [
        ("name=Carts", {"name": "Carts"}),
        ("name=[new] carts", {"name": "[new] carts"}),
        ("notes={not json", {"notes": "{not json"}),
        ("notes=a=b", {"notes": "a=b"}),
        ("campaign_id=7", {"campaign_id": 7}),
        ("campaign_id=seven", {"campaign_id": "seven"}),
        ("bid.amount=4.20", {"bid": {"amount": "4.20"}}),
        ('bid={"amount": "4.20"}', {"bid": {"amount": "4.20"}}),
        ("targeting.countries=POL,DEU", {"targeting": {"countries": ["POL", "DEU"]}}),
        ('targeting.countries=["POL"]', {"targeting": {"countries": ["POL"]}}),
        ("targeting.hours_of_week=1, 2", {"targeting": {"hours_of_week": [1, 2]}}),
        ("end=null", {"end": None}),
        ("end=", {"end": None}),
        ("target_cpa=", {"target_cpa": None}),
        ("notes=", {"notes": ""}),
        ("start=2026-12-01T00:00:00Z", {"start": "2026-12-01T00:00:00Z"}),
        ("nmae=x", {"nmae": "x"}),
    ],
)
def test_a_text_is_read_as_its_field_has_it(assignment: str, placed: dict[str, object]) -> None:
    assert read_document(LineItemDocument, [assignment], None) == placed


@pytest.mark.parametrize("field", OVERRIDES)
def test_nothing_in_a_column_of_an_exchange_leaves_it_to_the_dialect(field: str) -> None:
    assert read_document(ExchangeDocument, [f"{field}="], None) == {field: None}


@pytest.mark.parametrize(
    ("assignment", "hint"),
    [
        ("bid=14", "write --set bid.amount=14"),
        ("max_cpm=14", "write --set max_cpm.amount=14"),
        ("daily_budget=50", "write --set daily_budget.spend.amount=50, or daily_budget.impressions"),
        ("daily_budget.spend=50", "write --set daily_budget.spend.amount=50"),
        ("targeting=POL", "targeting.countries"),
        ("caps=3", """write caps='[{"impressions": ..., "window_s": ...}]'"""),
    ],
)
def test_a_value_for_what_has_fields_names_the_field_that_was_meant(assignment: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        read_document(LineItemDocument, [assignment], None)
    assert hint in str(caught.value)
    assert caught.value.faults[0].pointer == assignment.partition("=")[0]


def test_all_wrong_assignments_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        read_document(LineItemDocument, ["bid=1", "targeting.countries=[", "name=x", "name.y=z"], None)
    assert {fault.pointer for fault in caught.value.faults} == {"bid", "targeting.countries", "name.y"}


@pytest.mark.parametrize("text", ["name", "", "=x"])
def test_what_is_no_assignment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="is not FIELD=VALUE"):
        read_document(LineItemDocument, [text], None)


@pytest.mark.parametrize("text", ["name=\udcbfó", "\udce9=1", 'targeting={"\udce9": 1}'])
def test_bytes_that_are_no_utf8_are_refused_in_words(text: str) -> None:
    with pytest.raises(InputError, match="is not UTF-8") as caught:
        read_document(LineItemDocument, [text], None)
    str(caught.value).encode()  # and can be printed


@pytest.mark.parametrize("text", ["targeting=" + '{"a":' * 5_000, "targeting.countries=" + "[" * 5_000])
def test_json_that_is_nested_too_deeply_is_a_fault(text: str) -> None:
    with pytest.raises(InputError) as caught:
        read_document(LineItemDocument, [text], None)
    assert [fault.message for fault in caught.value.faults] == ["is nested too deeply"]
    with pytest.raises(InputError, match="not a JSON object"):
        read_document(CampaignDocument, [], b'{"a":' * 5_000)


def test_a_file_may_begin_with_a_byte_order_mark_and_is_overridden() -> None:
    document = read_document(CampaignDocument, ["name=b"], b'\xef\xbb\xbf{"name": "a", "notes": "n"}')
    assert document == {"name": "b", "notes": "n"}
    with pytest.raises(InputError, match="not a JSON object"):
        read_document(CampaignDocument, [], b"[1]")


def test_dates_are_told_from_moments() -> None:
    document = {"start": "2026-12-01", "end": "2026-12-31T00:00:00Z", "name": "2026-12-01"}
    assert plain_dates(CampaignDocument, document) == ["start"]
    assert plain_dates(ApiKeyDocument, {"expires": "2026-12-31"}) == ["expires"]
    assert not is_day("2026-12-01\n")
    assert not is_day(20261201)


@pytest.mark.parametrize(
    ("name", "day", "moment"),
    [
        ("start", "2026-12-01", "2026-12-01T00:00:00+01:00"),
        ("start", "2026-07-01", "2026-07-01T00:00:00+02:00"),
        ("end", "2026-12-31", "2027-01-01T00:00:00+01:00"),
        ("end.min", "2026-12-31", "2026-12-31T00:00:00+01:00"),
        ("start.max", "2026-12-31", "2027-01-01T00:00:00+01:00"),
        ("end", "2026-10-25", "2026-10-26T00:00:00+01:00"),
    ],
)
def test_a_day_begins_at_the_shops_midnight_and_an_end_includes_it(name: str, day: str, moment: str) -> None:
    assert moment_of(name, day, WARSAW) == moment


@pytest.mark.parametrize("day", ["2026-02-30", "9999-12-31"])
def test_a_date_that_is_no_day_is_a_fault(day: str) -> None:
    with pytest.raises(InputError, match="is no day"):
        moment_of("end", day, WARSAW)
