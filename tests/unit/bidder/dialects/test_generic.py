"""What an exchange's configuration says of its dialect."""

import json

import msgspec
import pytest

from bidder.dialects.generic import Speaker, sample_url
from core.model import AuctionType, Exchange, NoBidStyle
from core.reasons import NoBid
from creatives.formats.native import NativeAd
from creatives.preview.page import preview_path
from tests.kit.catalogues import creative, native_creative

EXCHANGE = Exchange(id=1, key="demo")
WITH_REASONS = msgspec.structs.replace(EXCHANGE, no_bid_style=NoBidStyle.REASON_CODE)
OLDER = msgspec.structs.replace(WITH_REASONS, openrtb_version="2.5")


def test_no_bid_is_no_content_unless_configured() -> None:
    assert Speaker(EXCHANGE).no_bid("r", NoBid.NO_TIME) == (204, b"")
    status, body = Speaker(WITH_REASONS).no_bid("r", NoBid.NO_TIME)
    assert (status, json.loads(body)) == (200, {"id": "r", "seatbid": [], "nbr": 15})


def test_older_exchanges_hear_only_codes_they_know() -> None:
    assert Speaker(OLDER).reason_code(NoBid.NO_TIME) == 0
    assert Speaker(OLDER).reason_code(NoBid.NO_PROFILE) == 8
    assert json.loads(Speaker(OLDER).no_bid("r", NoBid.NO_TIME)[1])["nbr"] == 0


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, AuctionType.SECOND_PRICE),
        (1, AuctionType.FIRST_PRICE),
        (2, AuctionType.SECOND_PRICE),
        (3, AuctionType.FIRST_PRICE),  # of a deal alone is a price agreed
        (0, AuctionType.FIRST_PRICE),
        (501, AuctionType.FIRST_PRICE),
        (-2, AuctionType.FIRST_PRICE),
    ],
)
def test_the_request_s_auction_type_counts_unless_configured(at: int | None, expected: AuctionType) -> None:
    assert Speaker(EXCHANGE).auction_types[at] is expected
    first, second = (Speaker(msgspec.structs.replace(EXCHANGE, first_price=configured)) for configured in (True, False))
    assert first.auction_types[at] is AuctionType.FIRST_PRICE
    assert second.auction_types[at] is AuctionType.SECOND_PRICE


@pytest.mark.parametrize(
    ("version", "categories", "taxonomy"), [("2.6", ("IAB18-3",), 1), ("2.6", (), None), ("2.5", ("IAB18-3",), None)]
)
def test_categories_name_their_taxonomy_where_the_exchange_knows_several(
    version: str, categories: tuple[str, ...], taxonomy: int | None
) -> None:
    speaker = Speaker(EXCHANGE)
    speaker.dialect = msgspec.structs.replace(speaker.dialect, version=version)
    ad = NativeAd(native_creative(1, 1, categories=categories), "{}", secure=True)
    members = speaker.members(ad, "shop1.example", 9, "https://track.example")
    assert members.get("cattax") == taxonomy
    assert members.get("cat", ()) == categories


@pytest.mark.parametrize(
    ("dialect", "markup"),
    [
        ({}, '{"ver":"1.2"}'),
        ({"native_root": True}, '{"native":{"ver":"1.2"}}'),
        ({"native_as_object": True}, {"ver": "1.2"}),
        ({"native_root": True, "native_as_object": True}, {"native": {"ver": "1.2"}}),
    ],
)
def test_native_markup_is_written_as_the_exchange_takes_it(dialect: dict[str, bool], markup: object) -> None:
    speaker = Speaker(EXCHANGE)
    speaker.dialect = msgspec.structs.replace(speaker.dialect, **dialect)
    ad = NativeAd(native_creative(1, 1), '{"ver":"1.2"}', secure=True)
    assert speaker.members(ad, "shop1.example", 9, "https://track.example")["adm"] == markup


def test_markup_that_the_request_has_wrapped_is_not_wrapped_again() -> None:
    speaker = Speaker(EXCHANGE)
    speaker.dialect = msgspec.structs.replace(speaker.dialect, native_root=True)
    ad = NativeAd(native_creative(1, 1), '{"native":{}}', secure=True, is_wrapped=True)
    assert speaker.members(ad, "shop1.example", 9, "https://track.example")["adm"] == '{"native":{}}'


def test_the_sample_image_is_the_ad_s_own_or_that_of_the_tracker() -> None:
    ad = NativeAd(native_creative(1, 1), "{}", secure=True)
    members = Speaker(EXCHANGE).members(ad, "shop1.example", 9, "https://track.example")
    assert (members["iurl"], members["mtype"]) == (f"https://track.example{preview_path(ad.creative)}", 4)
    own = "https://a.example/s.png"
    for one in (creative(1, 1, sample_url=own), creative(1, 1, html="", image_url=own)):
        assert sample_url(one, "https://track.example") == own
