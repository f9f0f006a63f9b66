"""A country is known by every form that traffic has, and by none that it could be mistaken for."""

import pytest

from bidder.openrtb.countries import alpha_3


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("POL", "POL"), ("pol", "POL"), ("PL", "POL"), (" pl ", "POL"), ("616", "POL"), ("Poland", "POL"),
        ("Polska", "POL"),
        ("UK", "GBR"), ("uk", "GBR"), ("GB", "GBR"), ("826", "GBR"), ("United Kingdom", "GBR"),
        ("united-kingdom", "GBR"),
        ("EL", "GRC"), ("Greece", "GRC"), ("040", "AUT"), ("40", "AUT"), ("Österreich", "AUT"), ("OSTERREICH", "AUT"),
        ("Czechia", "CZE"), ("Czech Republic", "CZE"), ("840", "USA"), ("U.S.A.", "USA"), ("XK", "XKX"),
        ("Réunion", "REU"),
    ],
)  # fmt: skip
def test_forms_of_a_country(text: str, code: str) -> None:
    assert alpha_3(text) == code


@pytest.mark.parametrize(
    "text", [None, "", " ", "ZZ", "XX", "999", "Atlantis", "PLX", "-", "P", "?" * 100, "a" * 10_000]
)
def test_what_is_no_country(text: str | None) -> None:
    assert alpha_3(text) is None
