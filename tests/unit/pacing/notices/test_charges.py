"""What a clearing price costs in the advertiser's currency."""

import pytest

from pacing.notices.charges import charge_micros
from pacing.notices.claims import Claims


def claims(bid_cpm: int, reserved_micros: int) -> Claims:
    return Claims(
        share=0, line_item_id=7, advertiser_id=1, campaign_id=3, creative_id=9, exchange_id=5, lease_id=1,
        reserved_micros=reserved_micros, bid_cpm=bid_cpm, second_cpm=0, floor_cpm=0, currency="USD", issued_s=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("price", "reserved", "charge"),
    [
        (10_000, 20, 10),  # the same currency: a thousandth of the price
        (20_000, 20, 20),
        (10_000, 1, 1),  # half a micro is rounded up
        (9_999, 1, 0),
        (10_000, 73, 37),
        (5_000, 73, 18),
        (0, 73, 0),
        (30_000, 73, 73),  # never more than was reserved, whatever the price
    ],
)
def test_a_charge_is_the_reservation_in_proportion_rounded_half_up(price: int, reserved: int, charge: int) -> None:
    assert charge_micros(claims(20_000, reserved), price) == charge


def test_a_bid_of_nothing_costs_nothing() -> None:
    assert charge_micros(claims(0, 5), 10_000) == 0
