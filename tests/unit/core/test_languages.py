"""What a browser's Accept-Language header asks for."""

import pytest

from core.languages import preferred_language


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("pl", "pl"),
        ("pl-PL,pl;q=0.9,en;q=0.8", "pl"),
        ("de-DE,en;q=0.5,pl;q=0.7", "pl"),
        ("en;q=0.4,pl;q=0.3", "en"),
        ("de,fr;q=0.5", "en"),
        ("pl;q=0", "en"),
        ("pl;q=x,en", "en"),
        ("en ; q=0.2 , pl ; Q=0.7", "pl"),
        ("pl;q=,en;q=0.1", "en"),
        ("pl;q=nan,en;q=0.1", "en"),
        ("PL-pl;q=1e9,en", "pl"),
        ("*" * 9_999, "en"),
    ],
)
def test_the_first_language_that_we_have_is_taken(accepted: str, language: str) -> None:
    assert preferred_language(accepted, {"en", "pl"}) == language
