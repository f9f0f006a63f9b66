import json
from collections.abc import Iterator
from xml.etree import ElementTree

import msgspec
import pytest

from creatives.formats import audio, native, video
from creatives.formats.banner import FORMAT
from creatives.formats.base import AdFormat, AdNotice
from creatives.formats.native import NativeOffer, NativeRequest, WantedAsset
from creatives.formats.notice import banner_with_notice, notice_page
from creatives.formats.offer import Offer
from creatives.formats.spots import SpotOffer
from creatives.macros import Tracker
from tests.kit.catalogues import creative, native_creative
from tests.kit.spots import audio_creative, player, video_creative

TRACKER = Tracker("https://track.example")
OFFER = Offer("banner", ((300, 250),))
PRIVACY = "https://shop1.example/ads?a=1&b=2"
BANNER = FORMAT.render(creative(1, 1, language="pl-PL", privacy_url=PRIVACY), OFFER, TRACKER)
NOTICE = AdNotice("Buty", "Agencja", (1, 3))
WHY = "https://track.example/why/@TOKEN@?by=1,3"


def test_a_notice_is_added_behind_the_ad_in_its_language() -> None:
    shown = banner_with_notice(BANNER, OFFER, TRACKER, NOTICE)
    assert shown is not None
    assert shown.markup.startswith(BANNER.markup)
    added = shown.markup.removeprefix(BANNER.markup)
    assert "Zapłacił: Agencja" in added
    assert "to, co w tym sklepie oglądano lub włożono do koszyka, miejsce, w którym jesteś" in added
    assert 'href="https://shop1.example/ads?a=1&amp;b=2"' in added
    assert added.count("<details") == added.count("</details>") == 1


def test_nothing_of_a_name_becomes_markup_and_unknown_reasons_are_left_out() -> None:
    plain = msgspec.structs.replace(BANNER, creative=creative(1, 1))
    made = banner_with_notice(plain, OFFER, TRACKER, AdNotice("<b>", '"x"', (9,)))
    assert made is not None
    added = made.markup.removeprefix(BANNER.markup)
    assert "<b>" not in added
    assert "You see it" not in added
    assert "<a " not in added


def test_the_page_says_what_the_banner_says() -> None:
    page = notice_page(creative(1, 1, language="pl", privacy_url=PRIVACY), NOTICE)
    assert '<html lang="pl">' in page
    assert "W imieniu: Buty" in page
    assert "Zapłacił: Agencja" in page
    assert 'href="https://shop1.example/ads?a=1&amp;b=2"' in page


@pytest.mark.parametrize("wants_privacy", [True, False])
def test_a_native_ad_says_it_behind_its_privacy_link_and_only_where_the_page_has_one(wants_privacy: bool) -> None:
    request = NativeRequest((WantedAsset(1, "titles", True, 90),), wants_privacy=wants_privacy)
    offer = NativeOffer("native", (), request=request)
    ad = native.render(native_creative(1, 1, privacy_url=PRIVACY), offer, TRACKER)
    shown = native.FORMAT.with_notice(ad, offer, TRACKER, NOTICE)
    if not wants_privacy:
        assert shown is None
        return
    assert shown is not None
    assert json.loads(shown.markup)["privacy"] == WHY
    assert json.loads(ad.markup)["privacy"] == PRIVACY
    assert shown.creative is ad.creative


def _tree(markup: str) -> Iterator[ElementTree.Element]:
    return ElementTree.fromstring(markup).iter()  # noqa: S314 - what we have just written


def _signs(markup: str) -> list[str | None]:
    return [each.text for each in _tree(markup) if each.tag.endswith("IconClickThrough")]


@pytest.mark.parametrize("protocol", [3, 7, 11, 13])
def test_a_video_says_it_behind_its_sign(protocol: int) -> None:
    offer = player(protocols=(protocol,))
    ad = video.FORMAT.render(video_creative(privacy_url=PRIVACY), offer, TRACKER)
    assert _signs(ad.markup) == [PRIVACY]
    shown = video.FORMAT.with_notice(ad, offer, TRACKER, NOTICE)
    assert shown is not None
    assert _signs(shown.markup) == [WHY]
    assert msgspec.structs.replace(shown, markup="") == msgspec.structs.replace(ad, markup="")


@pytest.mark.parametrize(
    ("ad_format", "offer"),
    [
        (video.FORMAT, player(protocols=(2,))),
        (video.FORMAT, player(can_click=False)),
        (audio.FORMAT, player("audio")),
    ],
    ids=["VAST 2.0 has no signs", "nobody can click", "sound has nothing to look at"],
)
def test_where_a_player_shows_no_sign_there_is_no_notice(ad_format: AdFormat, offer: SpotOffer) -> None:
    own = video_creative(privacy_url=PRIVACY) if offer.format == "video" else audio_creative(privacy_url=PRIVACY)
    ad = ad_format.render(own, offer, TRACKER)
    assert ad.markup
    assert "Icon" not in ad.markup
    assert ad_format.with_notice(ad, offer, TRACKER, NOTICE) is None
