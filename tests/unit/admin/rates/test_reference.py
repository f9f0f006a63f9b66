"""The European Central Bank's file, and what is wrong with files that only look like it."""

import datetime

import pytest

from admin.rates.reference import MAX_FILE_BYTES, read_reference_rates
from core.errors import InputError

FILE = b"""<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
<gesmes:subject>Reference rates</gesmes:subject>
<Cube><Cube time='2026-11-27'>
<Cube currency='USD' rate='1.0850'/><Cube currency='PLN' rate='4.2700'/><Cube currency='JPY' rate='170.12'/>
</Cube></Cube></gesmes:Envelope>"""


def test_rates_are_micros_of_the_base_for_one_unit() -> None:
    found = read_reference_rates(FILE, "PLN")
    assert found.as_of == datetime.date(2026, 11, 27)
    assert found.rates == {"EUR": 4_270_000, "JPY": 25_100, "USD": 3_935_484}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b"'4.2700'", b"'NaN'", "/PLN"),
        (b"'4.2700'", b"'-1'", "/PLN"),
        (b"'1.0850'", b"'1,0850'", "/USD"),
        (b"'1.0850'", b"'1e400'", "/USD"),
        (b"currency='JPY'", b"currency='USD'", "/USD"),
        (b"currency='JPY'", b"currency='jpy'", "/jpy"),
        (b"currency='PLN'", b"currency='CZK'", "/PLN"),
        (b"2026-11-27", b"27.11.2026", "/time"),
        (b"time='2026-11-27'", b"day='1'", "/time"),
        (b"</Cube></Cube>", b"</Cube><Cube time='2026-11-26'/></Cube>", "/time"),
    ],
)
def test_a_fault_refuses_the_whole_file(old: bytes, new: bytes, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        read_reference_rates(FILE.replace(old, new), "PLN")
    assert [one.pointer for one in caught.value.faults] == [fault]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        FILE[:-20],
        FILE.replace(b"<gesmes:Envelope", b'<!DOCTYPE x [<!ENTITY a "b">]><gesmes:Envelope', 1),
        b"<a>" + b" " * MAX_FILE_BYTES + b"</a>",
    ],
    ids=["empty", "page", "garbage", "torn", "entities", "huge"],
)
def test_what_is_no_such_file_is_refused_with_a_sentence(body: bytes) -> None:
    with pytest.raises(InputError, match="the file of rates"):
        read_reference_rates(body, "PLN")
