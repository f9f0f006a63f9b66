import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.query import query_pairs, query_values


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {"": ""}),
        ("p=1.2E+1&c=PLN", {"p": "1.2E+1", "c": "PLN"}),
        ("p=1.2E%2B1", {"p": "1.2E+1"}),
        ("p=%24%7BAUCTION_PRICE%7D", {"p": "${AUCTION_PRICE}"}),
        ("p=1&p=2", {"p": "1"}),
        ("p=&c", {"p": "", "c": ""}),
        ("uid=a+b/c==", {"uid": "a+b/c=="}),
        ("to=https%3A%2F%2Fa.example%2F%3Fx%3D1%26y%3Da+b", {"to": "https://a.example/?x=1&y=a+b"}),
        ("p=%", {"p": "%"}),
        ("p=%ff", {"p": "\ufffd"}),
        ("p=1;c=PLN", {"p": "1;c=PLN"}),
    ],
)
def test_values_are_percent_decoded_and_a_plus_means_itself(query: str, values: dict[str, str]) -> None:
    assert query_values(query) == values


@given(st.text(st.characters(codec="ascii")))
def test_any_query_is_read_without_an_error(query: str) -> None:
    assert all(isinstance(value, str) for value in query_values(query).values())


def test_pairs_keep_what_is_said_twice() -> None:
    assert list(query_pairs("a=1&b&a=%32&=x")) == [("a", "1"), ("b", ""), ("a", "2"), ("", "x")]
