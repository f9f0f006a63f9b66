"""Consent at the door of the profile store."""

import pytest

from segments.events.consent import GRANTED, REFUSED, ConsentFlags, ConsentPolicy


@pytest.mark.parametrize(
    ("gdpr", "consent", "word", "vouched", "expected"),
    [
        (None, "", "", False, REFUSED),
        (None, "", "", True, GRANTED),
        (0, "", "", False, GRANTED),
        (0, "no", "", False, GRANTED),
        (1, "", "", True, REFUSED),
        (1, "yes", "", False, GRANTED),
        (None, "no", "", True, REFUSED),
        (0, "yes", "denied", True, REFUSED),
        (None, "", "granted", False, REFUSED),
    ],
)
def test_flags(gdpr: int | None, consent: str, word: str, vouched: bool, expected: ConsentFlags) -> None:
    policy = ConsentPolicy(lambda text: GRANTED if text == "yes" else REFUSED)
    assert policy.flags(gdpr, consent, word, vouched=vouched) == expected


def test_a_deployment_outside_the_regulation_may_say_so() -> None:
    assert ConsentPolicy(lambda _: REFUSED, gdpr_by_default=False).flags(None, "") == GRANTED
