from pathlib import Path
from typing import Any

import pytest

from admin.diagnosis.forecasting import ForecastDesk, ForecastRequest
from core.clock import ManualClock
from core.config import Settings
from core.errors import InputError, NotFoundError
from core.model import Catalogue, Segment, Targeting
from journal.archive import Archive
from journal.catalogues import CatalogueFiles
from tests.kit.catalogues import catalogue, line_item

SEGMENTS = (
    Segment(id=1, advertiser_id=1, name="carts", rule="visits >= 1"),
    Segment(id=2, advertiser_id=2, name="of another shop", rule="visits >= 1"),
)
GONE = 77  # was archived after line item 1 had named it


def the_catalogue() -> Catalogue:
    return catalogue(line_item(1, targeting=Targeting(segments_none=(GONE,))), line_item(2, 2), segments=SEGMENTS)


def faults_of(
    folder: Path, asked: ForecastRequest, advertisers: frozenset[int] | None = None
) -> list[tuple[str, str, str]]:
    """Pointer, text and hint of each fault; none where the question is only refused because nothing is recorded."""
    files = CatalogueFiles(folder / "catalogues")
    files.keep(the_catalogue())
    desk = ForecastDesk(Archive(folder), files, Settings(), ManualClock())
    with pytest.raises((InputError, NotFoundError)) as caught:
        desk.forecast_now(asked, advertisers)
    if isinstance(caught.value, NotFoundError):
        assert caught.value.message == "no request is recorded in this time"
    return [(fault.pointer, fault.message, fault.hint) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("changes", "pointer", "text"),
    [
        ({"targeting": {"segments_any": [1, 99]}}, "/targeting/segments_any/1", "there is no segment 99"),
        ({"targeting": {"segments_all": [2]}}, "/targeting/segments_all/0", "there is no segment 2"),
        ({"targeting": {"deals": [9]}}, "/targeting/deals/0", "there is no deal 9"),
        ({"targeting": {"exchanges": [9]}}, "/targeting/exchanges/0", "there is no exchange 9"),
        ({"creative_ids": [2]}, "/creative_ids/0", "there is no creative 2"),
        ({"advertiser_id": 2}, "/advertiser_id", "advertiser_id cannot change after creation"),
        ({"campaign_id": 2}, "/campaign_id", "campaign_id cannot change after creation"),
        ({"bid": {"amount": "0.00"}}, "/bid", "the bid must be above zero"),
        (
            {"bid": {"amount": "3.00", "currency": "EUR"}}, "/bid/currency",
            "the advertiser's currency is PLN, this amount says EUR",
        ),
    ],
)  # fmt: skip
def test_a_change_that_could_not_be_saved_is_refused(
    changes: dict[str, Any], pointer: str, text: str, tmp_path: Path
) -> None:
    (found,) = faults_of(tmp_path, ForecastRequest(line_item_id=1, changes=changes))
    assert found[:2] == (f"/changes{pointer}", text)
    assert found[2]


def test_a_new_line_item_may_name_what_its_advertiser_has(tmp_path: Path) -> None:
    line = {
        "advertiser_id": 1, "campaign_id": 1, "name": "new", "bid": {"amount": "2.50"}, "max_cpm": {"amount": "5.00"},
        "targeting": {"segments_any": [1], "exchanges": [1]}, "creative_ids": [1],
    }  # fmt: skip
    assert faults_of(tmp_path, ForecastRequest(line_item=line)) == []
    (found,) = faults_of(tmp_path, ForecastRequest(line_item=line | {"targeting": {"segments_any": [2]}}))
    assert found[:2] == ("/line_item/targeting/segments_any/0", "there is no segment 2")


def test_what_a_line_item_has_named_all_along_is_no_fault(tmp_path: Path) -> None:
    changes = {"bid": {"amount": "3.00"}, "advertiser_id": 1, "campaign_id": 1}
    for advertisers in (None, frozenset({1})):
        assert faults_of(tmp_path, ForecastRequest(line_item_id=1, changes=changes), advertisers) == []
