"""Rows of a customer list: which columns are known, what is forgiven, what is told of a line."""

import hashlib

import pytest

from core.errors import InputError
from segments.audiences.roster_rows import RowFault, RowReader, hashed_rows
from segments.facts.event import customer_digest, person_digest, phone_digest

JAN = hashlib.sha256(b"jan@example.pl").hexdigest()
PHONE = hashlib.sha256(b"+48600100200").hexdigest()


def read(text: str, *, pieces: int = 1) -> tuple[list[tuple[bytes, ...]], RowReader]:
    reader, raw = RowReader(1), text.encode()
    size = max(1, len(raw) // pieces)
    rows = [row for at in range(0, len(raw), size) for row in reader.feed(raw[at : at + size])]
    return [*rows, *reader.end()], reader


def test_plain_and_hashed_values_of_a_person_are_the_same() -> None:
    plain, _ = read("email;telefon;customer_id\n Jan@Example.PL ;0048 600-100-200;K 1\n")
    hashed, _ = read(f"email_sha256,phone_sha256,customer_id\n{JAN.upper()},{PHONE},K 1\n")
    assert plain == hashed == [(person_digest(1, JAN), phone_digest(1, PHONE), customer_digest(1, "K 1"))]


@pytest.mark.parametrize("pieces", [1, 3, 17, 200])
def test_where_the_pieces_of_a_file_end_makes_no_difference(pieces: int) -> None:
    text = '\ufeffname,E-mail\r\n"Kowalski, Jan",jan@example.pl\r\nŻaneta,"zaneta@example.pl"\r\n\r\nX,ola@example.pl'
    rows, reader = read(text, pieces=pieces)
    assert [len(row) for row in rows] == [1, 1, 1]
    assert rows[0] == (person_digest(1, JAN),)
    assert (reader.faulty, reader.ignored) == (0, ["name"])


def test_faults_are_told_by_line_and_never_repeat_what_the_line_says() -> None:
    rows, reader = read("email,phone\njan@example.pl,600100200\nnobody,\n,\nola@example.pl,\n")
    assert len(rows) == 2
    assert reader.faulty == 2
    assert [(fault.line, fault.column) for fault in reader.faults] == [(2, "phone"), (3, "email"), (4, "email")]
    assert not any(fault.message == "nobody" or "600" in fault.message.split("(")[0] for fault in reader.faults)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty"),
        ("jan@example.pl\n", "names no column that is known"),
        ("name,city\n", "names no column that is known"),
        (f"email,jan@example.pl\n{JAN},x\n", "the first line is a person"),
        ("email\n" + "x" * 5_000, "line 2 is longer"),
    ],
)
def test_a_file_that_is_no_list_is_refused_as_a_whole(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read(text)


def test_faults_beyond_the_first_hundred_are_counted() -> None:
    _, reader = read("email\n" + "x\n" * 250)
    assert (len(reader.faults), reader.faulty) == (100, 250)


def test_what_leaves_the_machine_has_no_address_and_names_the_same_persons() -> None:
    noted: list[RowFault] = []
    text = 'Email,Phone,customer_id\nJan@example.pl,+48 600 100 200,"A,""1"""\nola,,\n'
    lines = list(hashed_rows([text.encode()], noted.append))
    assert "@" not in "".join(lines)
    assert [fault.line for fault in noted] == [3]
    assert read("".join(lines))[0] == read(text)[0]


def test_a_hash_of_an_empty_field_and_a_word_for_nothing_name_nobody() -> None:
    nothing = hashlib.sha256(b"").hexdigest()
    rows, reader = read(f"email_sha256,phone_sha256,customer_id\n{nothing},,\n,{nothing},null\n{JAN},,undefined\n")
    assert rows == [(person_digest(1, JAN),)]
    assert reader.faulty == 2
    assert [(fault.line, fault.column) for fault in reader.faults] == [
        (2, "email_sha256"), (3, "phone_sha256"), (3, "customer_id"), (4, "customer_id"),
    ]  # fmt: skip
