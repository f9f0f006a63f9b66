"""Which parts of a native ad answer a request, and what keeps an ad from being saved."""

import json
from typing import Any

import msgspec
import pytest

from core.model import Creative, NativeAssets, Picture
from creatives.formats.native import (
    FORMAT,
    KINDS,
    NativeAd,
    NativeOffer,
    NativeRequest,
    WantedAsset,
    kinds_needed,
)
from creatives.formats.offer import AssetsNeeded, Offer, fits
from creatives.formats.table import check_creative
from creatives.macros import Tracker
from tests.kit.catalogues import NATIVE, creative, native_creative

TRACK = "https://track.example"
TITLE = WantedAsset(1, "titles", True)
MAIN = WantedAsset(2, "images", True)


def ad_for(*assets: WantedAsset, ad: Creative | None = None, price: str = "", **request: Any) -> NativeAd:  # noqa: ANN401
    offer = NativeOffer("native", (AssetsNeeded(0),), request=NativeRequest(assets, **request))
    made = FORMAT.render(ad or native_creative(1, 1), offer, Tracker(TRACK, price))
    assert isinstance(made, NativeAd)
    return made


def shown(asset: WantedAsset, **parts: object) -> dict[str, Any] | None:
    """The answer to one asset, by a creative with these parts."""
    made = ad_for(asset, ad=native_creative(1, 1, native=NativeAssets(**parts)))  # type: ignore[arg-type]
    (found,) = json.loads(made.markup)["assets"] or [None]
    assert found is None or found.pop("id") == asset.id
    assert made.is_complete == (found is not None or not asset.is_required)
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize(("length", "title"), [(0, "four"), (5, "four"), (4, "four"), (3, "two"), (2, None)])
def test_the_longest_text_that_is_short_enough_is_taken_whole(length: int, title: str | None) -> None:
    found = shown(WantedAsset(7, "titles", True, length), titles=("two", "four"))
    assert found == (None if title is None else {"title": {"text": title}})


def test_texts_of_other_kinds_are_data() -> None:
    assert shown(WantedAsset(7, "price", False), price="219,00 zł") == {"data": {"value": "219,00 zł"}}
    assert shown(WantedAsset(7, "rating", False), price="219,00 zł") is None
    assert shown(WantedAsset(7, "price", True, 3), price="219,00 zł") is None


WIDE, SMALL, SQUARE = Picture("w", 1200, 627), Picture("s", 600, 314), Picture("q", 600, 600, "image/jpeg")


@pytest.mark.parametrize(
    ("wanted", "picture"),
    [
        ({}, SMALL),  # whatever there is, as light as it can be
        ({"width": 1200, "height": 627}, WIDE),
        ({"width": 600, "height": 600}, SQUARE),
        ({"width": 300, "height": 157}, SMALL),  # of the same shape: it is scaled down
        ({"width": 1201, "height": 627}, None),  # would be blown up
        ({"width": 2400, "height": 1254, "least_width": 800, "least_height": 400}, WIDE),
        ({"width": 300, "height": 600}, None),
        ({"least_width": 600, "least_height": 315}, SQUARE),
        ({"least_width": 601, "least_height": 1}, WIDE),
        ({"width": 601}, WIDE),
        ({"height": 601}, WIDE),
        ({"width": 1201}, None),
        ({"least_width": 1, "least_height": 628}, None),
        ({"width": 600, "height": 600, "mimes": ("image/jpg",)}, SQUARE),
        ({"width": 600, "height": 600, "mimes": ("image/*",)}, SQUARE),
        ({"width": 600, "height": 600, "mimes": ("image/png",)}, None),
        ({"mimes": ("image/png",)}, SMALL),  # nobody said what it is
    ],
)
def test_a_picture_has_the_size_or_the_shape_that_is_wanted(wanted: dict[str, Any], picture: Picture | None) -> None:
    found = shown(WantedAsset(2, "images", True, **wanted), images=(WIDE, SQUARE, SMALL))
    expected = None if picture is None else {"img": {"url": picture.url, "w": picture.width, "h": picture.height}}
    assert found == expected


def test_the_impression_is_counted_as_the_page_counts_it() -> None:
    assert json.loads(ad_for(TITLE).markup)["imptrackers"] == [f"{TRACK}/t/imp/@TOKEN@"]
    by_image = json.loads(ad_for(TITLE, trackers=((1, 2), (1, 1), (2, 1))).markup)
    assert by_image["eventtrackers"] == [{"event": 1, "method": 1, "url": f"{TRACK}/t/imp/@TOKEN@"}]
    assert "imptrackers" not in by_image
    assert "imptrackers" in json.loads(ad_for(TITLE, trackers=((1, 2),)).markup), "the page calls only scripts"


def test_the_price_comes_with_the_impression_where_the_exchange_says_it_in_markup() -> None:
    assert json.loads(ad_for(TITLE, price="p=${X}").markup)["imptrackers"] == [f"{TRACK}/t/imp/@TOKEN@?p=${{X}}"]


def test_the_privacy_page_is_linked_where_the_publisher_shows_it() -> None:
    ad = native_creative(1, 1, privacy_url="https://shop1.example/privacy")
    assert json.loads(ad_for(TITLE, ad=ad, wants_privacy=True).markup)["privacy"] == ad.privacy_url
    assert "privacy" not in json.loads(ad_for(TITLE, ad=ad).markup)
    assert "privacy" not in json.loads(ad_for(TITLE, wants_privacy=True).markup)


@pytest.mark.parametrize(("version", "said"), [("1.0", None), ("1.1", "1.1"), ("1.2", "1.2")])
def test_the_answer_is_of_the_version_of_the_request(version: str, said: str | None) -> None:
    assert json.loads(ad_for(TITLE, version=version).markup).get("ver") == said
    wrapped = json.loads(ad_for(TITLE, version=version, is_wrapped=True).markup)
    assert list(wrapped) == ["native"]


def test_an_ad_that_loads_http_is_not_secure() -> None:
    assert ad_for(TITLE, MAIN).secure
    plain = msgspec.structs.replace(NATIVE, images=(Picture("http://cdn.example/a.png", 1200, 627),))
    assert not ad_for(TITLE, MAIN, ad=native_creative(1, 1, native=plain)).secure
    assert ad_for(TITLE, ad=native_creative(1, 1, native=plain)).secure, "the picture is not shown"


def test_hostile_texts_stay_texts() -> None:
    text = '"},"x":"</script>\u2028\\'
    made = ad_for(TITLE, ad=native_creative(1, 1, native=NativeAssets(titles=(text,))))
    assert json.loads(made.markup)["assets"] == [{"id": 1, "title": {"text": text}}]


def test_a_creative_fits_where_it_has_every_kind_that_is_required() -> None:
    (own,) = FORMAT.shapes(native_creative(1, 1))
    assert fits(own, AssetsNeeded(kinds_needed([TITLE, MAIN, WantedAsset(3, "rating", False)])))
    assert not fits(own, AssetsNeeded(kinds_needed([TITLE, WantedAsset(3, "rating", True)])))
    assert not fits((300, 250), AssetsNeeded(0))
    assert not fits(("video", 15), AssetsNeeded(0))


def test_the_offer_s_rules_hold() -> None:
    def admitted(offer: Offer, **changes: object) -> bool:
        made = FORMAT.render(native_creative(1, 1, **changes), offer, Tracker(TRACK))
        return FORMAT.admits(made, offer)

    request = NativeRequest((TITLE,))
    offer = NativeOffer("native", (), blocked_attributes=(3,), frameworks=(7,), request=request)
    assert admitted(offer)
    assert admitted(offer, attributes=(1,), apis=(7,))
    assert not admitted(offer, attributes=(3,))
    assert not admitted(offer, apis=(5,))
    too_short = NativeOffer("native", (), request=NativeRequest((WantedAsset(1, "titles", True, 3),)))
    assert not admitted(too_short)


def test_equal_requests_are_one_key() -> None:
    one, other = NativeRequest((TITLE,), ((1, 1),)), NativeRequest((TITLE,), ((1, 1),))
    assert one == other
    assert hash(one) == hash(other)
    assert one != NativeRequest((TITLE,), ((1, 1),), is_wrapped=True)
    assert FORMAT.variant(NativeOffer("native", (), request=one)) is one


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({}, []),
        ({"native": None}, [("/native", "required")]),
        ({"native": NativeAssets()}, [("/native/titles", "required"), ("/native/images", "required")]),
        ({"native": NativeAssets(titles=("a",), icon=SQUARE)}, []),
        ({"native": NativeAssets(titles=("a", " \t"), icon=SQUARE)}, [("/native/titles/1", "empty")]),
        ({"native": NativeAssets(titles=("a", "@TOKEN@"), icon=SQUARE)}, [("/native/titles/1", "reserved")]),
        ({"native": NativeAssets(titles=("a",), icon=Picture("@TOKEN@", 1, 1))}, [("/native/icon/url", "reserved")]),
        ({"landing_url": "shop"}, [("/landing_url", "not_a_url")]),
        ({"landing_url": "https://shop.example/" + "ż" * 900}, [("/landing_url", "too_long")]),
        ({"privacy_url": "https://a/@TOKEN@"}, [("/privacy_url", "reserved")]),
    ],
)
def test_what_cannot_be_served_is_not_saved(changes: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    found = check_creative(native_creative(1, 1, **changes))
    assert [(fault.pointer, fault.code) for fault in found] == faults


def test_the_assets_of_one_format_are_no_other_s() -> None:
    found = check_creative(creative(1, 1, native=NATIVE))
    assert [(fault.pointer, fault.code) for fault in found] == [("/native", "other_format")]


def test_the_kinds_are_those_of_the_model() -> None:
    assert set(KINDS) == {field.name for field in msgspec.structs.fields(NativeAssets)}
