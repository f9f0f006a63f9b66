import html
import html.parser
import urllib.parse

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model import Creative
from creatives.formats.banner import FORMAT, MAX_MARKUP_CHARS, banner_markup, check_banner
from creatives.formats.offer import Offer
from creatives.macros import TOKEN, Tracker, click_url, event_url
from tests.kit.catalogues import creative

TRACK = "https://track.example"
TRACKER = Tracker(TRACK)
IMAGE = creative(1, 1, html="", image_url="https://cdn.example/a.png", alt_text="boots")
HOSTILE = st.text(st.sampled_from("\"'<>&/\\@${}ą😀 %\n"), max_size=12).map(
    lambda text: text + "</script>\"'><img src=x onerror=y>"
)


BANNER = Offer("banner", ((300, 250),))


def is_secure(ad: Creative, tracker: Tracker) -> bool:
    return FORMAT.render(ad, BANNER, tracker).secure


class Elements(html.parser.HTMLParser):
    """The elements of some markup with their attributes."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_an_image_is_linked_and_counted() -> None:
    (link, anchor), (_, image), (_, pixel) = Elements(banner_markup(IMAGE, TRACKER)).found
    assert link == "a"
    assert anchor["href"] == f"{TRACK}/t/click/{TOKEN}?to=https%3A%2F%2Fshop1.example%2F"
    assert (image["src"], image["width"], image["height"]) == ("https://cdn.example/a.png", "300", "250")
    assert pixel["src"] == f"{TRACK}/t/imp/{TOKEN}"


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_text_of_a_creative_gets_out_of_its_attribute(alt: str, image: str, landing: str) -> None:
    hostile = msgspec.structs.replace(
        IMAGE, alt_text=alt, image_url="https://cdn.example/" + image, landing_url="https://shop.example/" + landing
    )
    elements = Elements(banner_markup(hostile, TRACKER)).found
    assert [tag for tag, _ in elements] == ["a", "img", "img"]
    assert elements[1][1]["alt"] == alt
    query = urllib.parse.urlsplit(str(elements[0][1]["href"])).query
    assert urllib.parse.parse_qs(query)["to"] == [hostile.landing_url]


def test_own_markup_gets_its_macros() -> None:
    markup = '<a href="${CLICK_URL}" data-next="${CLICK_URL_ENC}">${WIDTH}x${HEIGHT} ${AUCTION_PRICE}</a>'
    rendered = banner_markup(creative(1, 1, html=markup), TRACKER)
    (_, anchor), _pixel = Elements(rendered).found
    click = click_url(TRACKER, "https://shop1.example/")
    assert anchor["href"] == click
    assert urllib.parse.unquote(str(anchor["data-next"])) == click
    assert TOKEN in str(anchor["data-next"])
    assert ">300x250 ${AUCTION_PRICE}<" in rendered


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="http://cdn.example/a.png">',
        "<img src=http://cdn.example/a.png>",
        '<img srcset="http://cdn.example/a.png 2x">',
        '<video poster="http://cdn.example/a.png"></video>',
        "<style>a{background:url(http://cdn.example/a.png)}</style>",
        '<style>@import "http://cdn.example/a.css"</style>',
        "<script>new Image().src='HTTP://cdn.example/a'</script>",
        '<script>var a = {"u":"http:\\/\\/cdn.example\\/a"}</script>',
        '<img src="http&#58;//cdn.example/a.png">',
        '<img src="http://localhost.example/a.png">',
    ],
)
def test_markup_that_loads_over_plain_http_is_not_secure(markup: str) -> None:
    assert not is_secure(creative(1, 1, html=markup + '<a href="${CLICK_URL}">x</a>'), TRACKER)


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="https://cdn.example/a.png">',
        '<img src="//cdn.example/a.png">',
        '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
        '<img src="http://127.0.0.1:8081/a.png"><img src="http://localhost/a"><img src="http://[::1]:9/a">',
    ],
)
def test_other_markup_is_secure(markup: str) -> None:
    assert is_secure(creative(1, 1, html=markup), TRACKER)
    assert not is_secure(creative(1, 1, html=markup), Tracker("http://track.example"))
    assert is_secure(creative(1, 1, html=markup), Tracker("http://127.0.0.1:8081"))


def test_a_landing_page_over_plain_http_does_not_make_the_ad_insecure() -> None:
    assert is_secure(creative(1, 1, landing_url="http://shop.example/"), TRACKER)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"image_url": "https://cdn.example/a.png"}, "exactly_one"),
        ({"html": ""}, "exactly_one"),
        ({"html": "<a href='https://shop.example'>x</a>"}, "no_click_macro"),
        ({"html": "${CLICK_URL}" + "x" * MAX_MARKUP_CHARS}, "too_long"),
        ({"html": "${CLICK_URL}" + TOKEN}, "reserved"),
        ({"alt_text": TOKEN}, "reserved"),
        ({"sample_url": "https://cdn.example/" + TOKEN}, "reserved"),
        ({"width": 0}, "no_size"),
        ({"landing_url": "javascript:alert(1)"}, "not_a_url"),
        ({"landing_url": "https://?shoes"}, "not_a_url"),
        ({"landing_url": "https://[shoes/"}, "not_a_url"),
        ({"landing_url": "https://shop.example/" + "ą" * 400}, "too_long"),
    ],
)
def test_faults_of_a_banner_are_named(changes: dict[str, object], code: str) -> None:
    assert [fault.code for fault in check_banner(msgspec.structs.replace(creative(1, 1), **changes))] == [code]


def test_a_sound_banner_has_no_faults() -> None:
    assert check_banner(creative(1, 1)) == []
    assert check_banner(IMAGE) == []


FRAME = creative(
    1, 1, html="", frame_url="https://cdn.example/ad.html?w=${WIDTH}&click=${CLICK_URL_ENC}&n=${CACHEBUSTER}"
)


def test_a_page_is_shown_in_a_frame_without_an_origin_and_told_where_clicks_are_counted() -> None:
    (tag, frame), _pixel = Elements(banner_markup(FRAME, TRACKER)).found
    assert tag == "iframe"
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(str(frame["src"])).query)
    assert query == {"w": ["300"], "click": [click_url(TRACKER, "https://shop1.example/")], "n": [TOKEN]}
    assert "allow-same-origin" not in str(frame["sandbox"])
    assert "allow-top-navigation" not in str(frame["sandbox"])
    assert check_banner(FRAME) == []
    blind = msgspec.structs.replace(FRAME, frame_url="https://cdn.example/ad.html")
    assert [fault.code for fault in check_banner(blind)] == ["no_click_macro"]
    assert FORMAT.render(FRAME, BANNER, TRACKER).types == {2, 4}


def test_the_privacy_page_is_linked_by_a_sign() -> None:
    url = 'https://shop1.example/ads?a=1&b="'
    elements = Elements(banner_markup(msgspec.structs.replace(IMAGE, privacy_url=url), TRACKER)).found
    assert [tag for tag, _ in elements] == ["a", "img", "a", "img"]
    assert elements[2][1]["href"] == url


def test_a_banner_is_measured_unless_scripts_are_blocked() -> None:
    measured = FORMAT.render(IMAGE, BANNER, TRACKER)
    assert event_url(TRACKER, "view", "viewable") in measured.markup
    assert measured.types == {2}, "the measuring is not the ad's own script"
    plain = Offer("banner", ((300, 250),), blocked_types=(3,))
    assert "<script" not in FORMAT.render(IMAGE, plain, TRACKER).markup
    assert FORMAT.variant(plain) != FORMAT.variant(BANNER)


def test_a_click_is_counted_by_the_exchange_first_where_it_has_a_macro() -> None:
    google = Tracker(TRACK, "", "%%CLICK_URL_UNESC%%", "%%CLICK_URL_ESC%%")
    elements = Elements(banner_markup(IMAGE, google)).found
    ours = click_url(TRACKER, "https://shop1.example/")
    macro, encoded = str(elements[0][1]["href"])[:19], str(elements[0][1]["href"])[19:]
    assert (macro, urllib.parse.unquote(encoded)) == ("%%CLICK_URL_UNESC%%", ours)
    source = str(Elements(banner_markup(FRAME, google)).found[0][1]["src"])
    handed = source.partition("click=")[2].partition("&n=")[0]
    assert handed.startswith("%%CLICK_URL_ESC%%")
    twice = handed.removeprefix("%%CLICK_URL_ESC%%")
    assert urllib.parse.unquote(urllib.parse.unquote(twice)) == ours


@pytest.mark.parametrize(
    "macro",
    [
        "%%CLICK_URL_UNESC%%",
        "%%CLICK_URL_ESC%%",
        "%%CLICK_URL_ESC_ESC%%",
        "%%CACHEBUSTER%%",
        "{clickurl}",
        "${CLICK_URL:URLENCODE}",
        "${AUCTION_PRICE}",
        "${AUCTION_PRICE:OXCRYPT}",
        "[timestamp]",
    ],
)
def test_macros_of_exchanges_in_own_markup_stay_for_the_exchange(macro: str) -> None:
    tag = creative(1, 1, html=f'<a href="{macro}${{CLICK_URL_ENC}}">x</a>')
    for tracker in (TRACKER, TRACKER._replace(click_macro="%%CLICK_URL_UNESC%%", click_macro_encoded="%%E%%")):
        markup = FORMAT.render(tag, BANNER, tracker).markup
        assert f'href="{macro}' in markup
        assert "${CLICK_URL_ENC}" not in markup
