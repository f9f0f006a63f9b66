"""Places in a pod that line items ask for."""

import pytest

from bidder.openrtb.types import Audio, Video
from bidder.targeting import pod_places


@pytest.mark.parametrize(
    ("wanted", "insists"),
    [((), 0), ((0,), 0), ((0, 1), 0), ((1,), 1), ((-1,), -1), ((2,), 2), ((1, -1), 2), ((2, 1), 2), ((7,), 0)],
)
def test_several_places_are_one_wish(wanted: tuple[int, ...], insists: int) -> None:
    assert pod_places.insisted(wanted) == insists


def test_a_bid_says_no_more_than_the_pod_guarantees() -> None:
    assert pod_places.said(1, Video(poddur=60, slotinpod=2)) == 1
    assert pod_places.said(2, Audio(poddur=60, slotinpod=-1)) == -1
    assert pod_places.said(1, Audio(poddur=60, slotinpod=-1)) == 0
    assert pod_places.said(1, Video(poddur=60)) == 0
    assert pod_places.said(1, Video(slotinpod=1)) == 0
    assert pod_places.said(1, Video(poddur=-60, slotinpod=1)) == 0
    assert pod_places.said(1, None) == 0


def test_who_takes_either_place_is_looked_at_in_both() -> None:
    assert [pod_places.taken(place) for place in (0, 1, -1, 2)] == [(0,), (1,), (-1,), (1, -1)]
