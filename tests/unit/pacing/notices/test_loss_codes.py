import pytest

from pacing.notices.loss_codes import loss_text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("102", "lost to a higher bid"),
        ("100", "below the auction floor"),
        ("777", "see the exchange's documentation"),
        ("other", "no code, or one that is not a number"),
    ],
)
def test_codes_are_said_in_words(code: str, text: str) -> None:
    assert loss_text(code) == text
