import io

import pytest

from admin.cli.event_table import Line, read_table
from core.errors import InputError

KNOWN = (
    "event",
    "email_sha256",
    "transaction_id",
    "value",
    "currency",
    "item_id",
    "price",
    "quantity",
    "item_category",
    "offline",
)


def lines(text: str, *ignored: str) -> list[Line]:
    return list(read_table(io.StringIO(text), KNOWN, ignored))


def test_columns_become_an_event_with_one_item() -> None:
    (found,) = lines("transaction_id,value,item_id,price,attributes.tier,place.country\nA,12.5,red,3,gold,POL\n")
    assert found == (
        2,
        {
            "event": "purchase", "transaction_id": "A", "value": "12.5", "items": [{"item_id": "red", "price": "3"}],
            "attributes": {"tier": "gold"}, "place": {"country": "POL"},
        },
        "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("transaction_id,valu", "there is no column 'valu' (did you mean 'value'?)"),
        ("transaction_id,pric", "there is no column 'pric' (did you mean 'price'?)"),
        ("transaction_id,email", "there is no column 'email' (did you mean 'email_sha256'?)"),
        ("transaction_id,till", "there is no column 'till' (one of the shop's own is 'attributes.till')"),
        ("value,transaction_id,value", "'value' comes twice"),
        ("value,Value", "'value' comes twice"),
        ("attributes.a,attributes.a", "'attributes.a' comes twice"),
        ("value,attributes.", "there is no column 'attributes.'"),
    ],
)
def test_a_column_that_is_not_understood_stops_the_file(header: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        lines(f"{header}\n" + ",".join("1" for _ in header.split(",")))
    assert said in str(caught.value)


def test_a_column_may_be_left_out_by_name() -> None:
    assert lines("transaction_id,Till Number,value\nA,7,1\n", "till_number")[0][1] == {
        "event": "purchase", "transaction_id": "A", "value": "1",
    }  # fmt: skip


def test_titles_may_have_spaces_and_capitals() -> None:
    assert lines("Transaction ID,VALUE\nA,1\n")[0][1] == {"event": "purchase", "transaction_id": "A", "value": "1"}


def test_a_quote_that_is_not_closed_swallows_nothing() -> None:
    found = lines('transaction_id,value\n"A,1\nB,2\n"C",3\nD,"4\n')
    assert [(number, row is not None) for number, row, _ in found] == [(2, False), (3, True), (4, True), (5, False)]
    assert "is opened and not closed on its line" in found[0][2]
    assert "is opened and not closed on its line" in found[3][2]


@pytest.mark.parametrize("row", ['"A"x,1', 'A,"1"2', '"A""'])
def test_a_misplaced_quote_is_a_fault_of_its_line(row: str) -> None:
    ((number, event, reason),) = lines(f"transaction_id,value\n{row}\n")
    assert (number, event) == (2, None)
    assert 'write ""' in reason


def test_quoted_fields_keep_delimiters_and_doubled_quotes() -> None:
    ((_, event, _),) = lines('transaction_id,item_id\n"A,1","5"" pipe"\n')
    assert event == {"event": "purchase", "transaction_id": "A,1", "items": [{"item_id": '5" pipe'}]}


@pytest.mark.parametrize("first", ["", "sep=;\n", '"sep=;"\n', "SEP=;\r\n"])
def test_a_polish_spreadsheet_is_read(first: str) -> None:
    header = "transaction_id;value;quantity;item_id;offline"
    text = f"{first}{header}\r\nA;1 234,56;2,00;x;PRAWDA\r\nB;120,50;1;y;FAŁSZ\r\n;;;;\r\n"
    rows = [row for _, row, _ in lines(text)]
    assert [row and row["value"] for row in rows] == ["1234.56", "120.50"]
    assert [row and row["offline"] for row in rows] == ["true", "false"]
    assert rows[0] is not None
    assert rows[0]["items"] == [{"item_id": "x", "quantity": "2"}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("transaction_id;value\nA;1.234\n", "1234 in one country and 1.234 in another"),
        ("transaction_id,value\nA,120,50\n", "a decimal comma needs quotes, or semicolons between the columns"),
        ("transaction_id,value\nA,dear\n", "/value: 'dear' is not a number"),
        ("transaction_id,value\nA\n", "1 fields, and the header has 2"),
        ("transaction_id,value,\nA,1,2\n", "'2' stands in a column without a name"),
        ('transaction_id,value\n"1,23457E+11",1\n', "was rounded by the spreadsheet"),
    ],
)
def test_what_cannot_be_read_for_certain_is_told_by_line(text: str, reason: str) -> None:
    ((number, event, said),) = lines(text)
    assert (number, event) == (2, None)
    assert reason in said


@pytest.mark.parametrize("text", ["", "\n", "   \nA,1\n", "sep=;\n"])
def test_a_file_without_a_header_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="has no header"):
        lines(text)


def test_a_header_with_an_open_quote_is_refused() -> None:
    with pytest.raises(InputError, match="the header cannot be read"):
        lines('"transaction_id,value\nA,1\n')


def test_a_line_of_any_length_is_not_read_into_a_row() -> None:
    with pytest.raises(InputError, match="is not a CSV file: line 2 is longer"):
        lines("transaction_id\n" + "x" * 200_000 + "\n")
