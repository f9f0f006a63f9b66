"""The table of who may sell what: names as digests, and bytes that come from elsewhere."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.supply import (
    FORMAT,
    GOOD_FOR_MS,
    SupplyFile,
    SupplyTable,
    current,
    decode_table,
    encode_table,
    packed,
    plain_seller,
    seller_name,
)


@given(st.sets(st.text(max_size=20), max_size=40), st.sets(st.text(max_size=20), max_size=40))
def test_a_file_names_what_was_put_in_and_nothing_else(inside: set[str], others: set[str]) -> None:
    file = SupplyFile(1, packed(inside))
    assert file.count == len(inside)
    assert all(file.names(name) for name in inside)
    assert not any(file.names(name) for name in others - inside)


def test_domains_have_no_case_and_accounts_do() -> None:
    assert seller_name(" SSP.example ", " Ab-1 ") == "ssp.example/Ab-1"
    assert plain_seller("SSP.Example/Ab-1") == "ssp.example/Ab-1"
    assert plain_seller("SSP.Example") == "ssp.example"


def test_a_table_comes_back_from_its_bytes() -> None:
    table = SupplyTable(made_ms=7, sites={"a.example": SupplyFile(5, packed(["x/1"]))}, systems={"x": SupplyFile(6)})
    assert decode_table(encode_table(table)) == table


@pytest.mark.parametrize(
    "data",
    [b"", b"S2whatever", FORMAT + b"no zstandard", FORMAT, encode_table(SupplyTable())[:-3]],
)
def test_other_bytes_are_an_error_that_says_what_to_do(data: bytes) -> None:
    with pytest.raises(InputError, match="supply"):
        decode_table(data)


def test_a_file_of_half_a_digest_is_damaged() -> None:
    table = SupplyTable(apps={"a.example": SupplyFile(5, b"12345")})
    with pytest.raises(InputError, match="damaged"):
        decode_table(encode_table(table))


def test_files_count_for_a_week() -> None:
    table = SupplyTable(sites={"a": SupplyFile(1_000), "b": SupplyFile(1_001)}, apps={"c": SupplyFile(0)})
    left = current(table, 1_001 + GOOD_FOR_MS)
    assert (set(left.sites), left.apps, left.count) == ({"b"}, {}, 1)
    assert msgspec.structs.replace(left, sites=table.sites, apps=table.apps) == table
