"""What our other line items bid beside one that is studied."""

from pathlib import Path
from typing import Any

import pytest

from bidder.decision.model_file import load_model
from bidder.diagnosis.replaying import without_checks
from bidder.diagnosis.trials import TrialReader, studied
from bidder.targeting.compiled import Compiled
from core.config import ConsentSettings
from tests.kit.bidding import TRACK, TestBidder
from tests.kit.catalogues import catalogue, creative, line_item, native_creative
from tests.kit.openrtb import native_imp, raw_request
from tests.kit.recording import RecordingBidder

TWO_PLACES = [{"id": number, "banner": {"w": 300, "h": 250}, "bidfloorcur": "PLN"} for number in ("a", "b")]


@pytest.mark.parametrize(
    ("several", "rivals"),
    [(False, [(3_000_000, 2), (0, 0)]), (True, [(3_000_000, 2), (3_000_000, 2)])],
)
async def test_another_line_item_bids_once_in_a_request_unless_it_may_several_times(
    tmp_path: Path, several: bool, rivals: list[tuple[int, int]]
) -> None:
    mine = line_item(1, bid_micros=2_000_000)
    others: dict[str, Any] = {"advertiser": 2, "bid_micros": 3_000_000, "several_per_request": several}
    found = catalogue(mine, line_item(2, **others))
    recording = RecordingBidder(TestBidder(found), tmp_path)
    await recording.decide(raw_request(imp=TWO_PLACES, regs={"gdpr": 0}))
    compiled = Compiled(studied(without_checks(found), [mine]))
    trials = TrialReader(compiled, load_model(), ConsentSettings(), TRACK, [1]).read(recording.recorded())
    assert [(int(trial["rival"]), int(trial["rival_line_item"])) for trial in trials] == rivals


async def test_the_formats_of_an_impression_have_a_place_in_common(tmp_path: Path) -> None:
    found = catalogue(line_item(1, creative_ids=(1, 2)), creatives=(creative(1, 1), native_creative(2, 1)))
    recording = RecordingBidder(TestBidder(found), tmp_path)
    both = [{**place, "native": native_imp()} for place in TWO_PLACES]
    await recording.decide(raw_request(imp=both, regs={"gdpr": 0}))
    compiled = Compiled(studied(without_checks(found), found.line_items))
    trials = TrialReader(compiled, load_model(), ConsentSettings(), TRACK, [1]).read(recording.recorded())
    places: dict[int, set[bytes]] = {}
    for trial in trials:
        places.setdefault(int(trial["place"]), set()).add(bytes(trial["format"]))
    assert list(places.values()) == [{b"banner", b"native"}] * 2
