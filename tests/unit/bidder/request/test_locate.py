import pytest

from bidder.request.auction import NOWHERE, Place
from bidder.request.locate import IP_ACCURACY_KM, _known, locate
from tests.kit.openrtb import EXCHANGE, auction_of

GEO = {"country": "POL", "region": "MZ", "city": "Warszawa", "zip": "00-950", "lat": 52.23456, "lon": 21.01999}


def place_of(**members: object) -> Place:
    auction = auction_of(EXCHANGE, **members)
    locate(auction)
    return auction.place


def test_the_place_is_the_device_s_rounded_to_a_kilometre() -> None:
    assert place_of(device={"geo": GEO}) == Place("POL", "MZ", "Warszawa", "00-950", (52.23, 21.02))


def test_the_user_s_place_counts_where_the_device_has_none() -> None:
    assert place_of(user={"geo": GEO}).city == "Warszawa"
    assert place_of(user={"geo": {"city": "Gdynia"}}, device={"geo": GEO}).city == "Warszawa"
    assert place_of() == NOWHERE


def test_a_name_that_fills_a_request_is_read_and_not_remembered() -> None:
    known = len(_known)
    assert place_of(device={"geo": {**GEO, "city": "x" * 100_000}}).city == "x" * 100_000
    assert len(_known) == known


def test_two_letter_countries_are_known() -> None:
    assert place_of(device={"geo": {"country": "PL"}}).country == "POL"


@pytest.mark.parametrize("point", [(0, 0), (91, 0), (0, 181), (52.2, None), (None, 21.0)])
def test_an_impossible_point_is_none(point: tuple[float | None, float | None]) -> None:
    geo = {name: value for name, value in zip(("lat", "lon"), point, strict=True) if value is not None}
    assert place_of(device={"geo": geo}).point is None


def test_of_a_child_no_more_than_the_region_is_known() -> None:
    assert place_of(device={"geo": GEO}, regs={"coppa": 1}) == Place("POL", "MZ")


def test_the_user_s_place_counts_where_the_device_has_no_country_and_its_point_stays() -> None:
    device = {"geo": {"region": "XX", "lat": 50.06, "lon": 19.94, "accuracy": 20_000}}
    found = place_of(device=device, user={"geo": GEO})
    assert found == Place("POL", "MZ", "Warszawa", "00-950", (50.06, 19.94), 20.0)
    assert place_of(device={"geo": {"region": "XX"}}, user={"geo": GEO}).point == (52.23, 21.02)
    assert place_of(device=device, user={"geo": {"city": "Gdynia"}}).city is None, "a home without a country is none"
    assert place_of(device=device).point == (50.06, 19.94)


@pytest.mark.parametrize(
    ("told", "accuracy_km"),
    [
        ({}, None),
        ({"type": 1}, None),
        ({"type": 2}, IP_ACCURACY_KM),
        ({"type": 2, "accuracy": 5_000}, 5.0),
        ({"type": 3, "accuracy": 50_000}, 50.0),
        ({"accuracy": 0}, None),
        ({"type": 2, "accuracy": -1}, IP_ACCURACY_KM),
        ({"accuracy": "500"}, 0.5),
    ],
)
def test_a_point_is_as_exact_as_the_sender_says(told: dict[str, object], accuracy_km: float | None) -> None:
    assert place_of(device={"geo": {**GEO, **told}}).accuracy_km == accuracy_km
