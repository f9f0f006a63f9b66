"""Requests as exchanges wrongly send them, and how each is understood: one behaviour a file in `requests/`.

A file holds `body`, the `request` it is read as (members that are set), and the `tolerances` counted.
"""

import json
from pathlib import Path

import pytest

from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from tests.kit.openrtb import body_of, members_of

CASES = sorted((Path(__file__).parent / "requests").glob("*.json"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_request_is_understood_as_written_down(case: Path) -> None:
    golden = json.loads(case.read_text(encoding="utf-8"))
    tolerances = Tolerances()
    request = decode_request(body_of(golden["body"]), tolerances)
    assert members_of(request) == golden["request"]
    assert {name: count for name, count in tolerances.counts().items() if count} == golden["tolerances"]


def test_there_are_cases() -> None:
    assert len(CASES) >= 7
