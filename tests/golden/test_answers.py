"""A change of structure changes no byte of an answer to a recorded request, whatever the exchange is set to."""

import json
from pathlib import Path

import pytest

from tests.kit.recorded_answers import RECORD, corpus_requests, exchanges, recorded

HINT = "if this is meant: python -m tests.kit.recorded_answers, and say in the commit which answers change and why"


@pytest.fixture(scope="module")
def record() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


async def test_every_recorded_answer_is_what_it_was(corpus: Path, record: dict[str, dict[str, str]]) -> None:
    now = await recorded(corpus_requests(corpus))
    changed = [(key, name) for key, answers in record.items() for name in answers if now[key][name] != answers[name]]
    assert not changed, HINT
    assert now.keys() == record.keys() == exchanges().keys()


def test_the_record_has_bids_and_refusals(record: dict[str, dict[str, str]]) -> None:
    kinds = {key: {answer == "204" for answer in answers.values()} for key, answers in record.items()}
    assert all(seen == {True, False} for key, seen in kinds.items() if not key.startswith("reasons"))
    assert len({tuple(answers.values()) for answers in record.values()}) == len(record), "every setting changes some"
