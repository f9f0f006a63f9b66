import urllib.parse

import pytest

from bidder.targeting import normalise
from core.model import Radius


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("News.Example", "news.example"),
        ("https://www.news.example:8080/a?b#c", "news.example"),
        ("//news.example/a", "news.example"),
        ("news.example.", "news.example"),
        (" news.example?x=http://other.example", "news.example"),
        ("www.www.example", "www.example"),
        (".news.example", "news.example"),
        ("*.news.example", "news.example"),
        ("https://*.News.example/", "news.example"),
        ("*", "*"),
        ("", ""),
        ("https://", ""),
    ],
)
def test_domains_have_one_form(raw: str, name: str) -> None:
    assert normalise.normal_domain(raw) == name


def test_a_domain_is_under_each_of_its_parents() -> None:
    assert list(normalise.domain_suffixes("www.a.b.example")) == ["a.b.example", "b.example", "example"]
    assert list(normalise.domain_suffixes(None)) == []


def test_postcodes_are_known_by_all_their_prefixes() -> None:
    assert list(normalise.postcode_prefixes("00-95 0")) == ["0", "00", "009", "0095", "00950"]
    assert list(normalise.postcode_prefixes(None)) == []


@pytest.mark.parametrize(
    ("key", "found"),
    [(("POL", "MZ"), ("POL/MZ",)), (("POL", "pl-mz"), ("POL/MZ",)), ((None, "MZ"), ()), (("POL", None), ())],
)
def test_regions_are_named_with_their_country(key: tuple[str | None, str | None], found: tuple[str, ...]) -> None:
    assert normalise.region_of(*key) == found


@pytest.mark.parametrize("tag", ["pl", "PL", "pl-PL", "pl_PL", " pl "])
def test_of_a_language_the_primary_tag_counts(tag: str) -> None:
    assert normalise.primary_language(tag, "en") == ("pl",)
    assert normalise.primary_language(None, tag) == ("pl",)
    assert normalise.primary_language(None, None) == ()


IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 "
    "Mobile/15E148 Safari/604.1"
)


def test_a_named_system_wins_over_the_agent_s() -> None:
    assert normalise.operating_system("Android", IPHONE) == ("android",)
    assert normalise.operating_system(None, IPHONE) == ("ios",)
    assert normalise.operating_system("OS X", None) == ("macos",)
    assert normalise.operating_system(None, None) == ()


def test_mobile_browsers_are_of_their_family() -> None:
    assert normalise.browser(IPHONE) == ("safari",)
    assert normalise.browser(None) == ()


@pytest.mark.parametrize(
    ("brands", "family"),
    [
        (("Not(A:Brand", "Google Chrome", "Chromium"), "chrome"),
        (("Chromium", "Microsoft Edge", " Not A;Brand"), "edge"),
        (("Opera", "Not/A)Brand", "Chromium"), "opera"),
        (("Samsung Internet", "Chromium"), "samsung internet"),
        (("Chromium", "Not_A Brand"), "chromium"),
    ],
)
def test_of_a_structured_agent_the_brand_counts_that_is_no_engine(brands: tuple[str, ...], family: str) -> None:
    assert normalise.browser(brands) == (family,)
    assert normalise.browser(tuple(reversed(brands))) == (family,)


def test_a_structured_agent_that_names_nobody_is_no_browser() -> None:
    assert normalise.browser(()) == normalise.browser(("Not A;Brand",)) == ()


def test_a_publisher_is_known_by_its_id_and_by_its_exchange_s() -> None:
    assert normalise.publisher_of("demo", "815") == ("815", "demo/815")
    assert normalise.publisher_of("demo", None) == ()


@pytest.mark.parametrize(
    ("url", "app"),
    [
        ("https://play.google.example/store/apps/details?hl=pl&id=com.game.one", "com.game.one"),
        ("https://apps.apple.example/pl/app/some-name/id123456?mt=8", "123456"),
        ("https://apps.apple.example/pl/app/some-name/id12-b", None),
        ("https://store.example/?grid=7", None),
        ("", None),
        (None, None),
    ],
)
def test_an_app_is_known_by_its_address_in_the_store(url: str | None, app: str | None) -> None:
    assert normalise.store_id(url) == app


@pytest.mark.parametrize(
    ("gpid", "names"),
    [
        ("/1234/news/top#2", ["/1234/news/top#2", "/1234/news/top", "/1234/news", "/1234"]),
        ("/1234/news", ["/1234/news", "/1234"]),
        ("home", ["home"]),
        ("/", []),
        (None, []),
    ],
)
def test_a_global_placement_id_is_in_the_ones_above_it(gpid: str | None, names: list[str]) -> None:
    assert list(normalise.gpid_and_parents(gpid)) == names


def test_venues_have_levels_by_name_and_by_number() -> None:
    assert list(normalise.venue_and_parents(("Transit.Airports", "10101"))) == [
        "transit.airports", "transit", "10101", "101", "1",
    ]  # fmt: skip


def test_a_flag_that_is_absent_is_not_set() -> None:
    assert [normalise.flag(value) for value in (None, 0, False, 1, True)] == [(0,), (0,), (0,), (1,), (1,)]


def test_keywords_are_whole_words_and_runs_of_them() -> None:
    found = set(normalise.phrases("Czerwone SZPILKI_damskie, 38"))
    assert {"szpilki", "czerwone szpilki", "szpilki damskie 38"} <= found
    assert "szpil" not in found
    assert normalise.normal_phrase("  Czerwone   Szpilki! ") == "czerwone szpilki"


def test_no_phrase_goes_from_one_text_to_the_next() -> None:
    text = normalise.TEXT_BREAK.join(("moda na buty", "damskie"))
    assert "buty damskie" not in set(normalise.phrases(text))
    assert "moda na buty" in set(normalise.phrases(text))


def test_percent_encoded_addresses_are_read() -> None:
    found = set(normalise.phrases("https://x.example/%C5%9Blubne-szpilki?q=buty+na%20obcasie&r=50%"))
    assert {"ślubne szpilki", "buty na obcasie"} <= found


def test_the_words_of_a_page_are_bounded() -> None:
    text = " ".join(f"w{number}" for number in range(2 * normalise.MAX_PAGE_WORDS))
    found = set(normalise.phrases(text + normalise.TEXT_BREAK + "last"))
    assert f"w{normalise.MAX_PAGE_WORDS - 1}" in found
    assert not {f"w{normalise.MAX_PAGE_WORDS}", "last"} & found
    assert max(phrase.count(" ") for phrase in found) == normalise.MAX_PHRASE_WORDS - 1


@pytest.mark.parametrize(
    ("page", "path"),
    [
        ("https://x.example/buty/a%20b?c=/d", "/buty/a b"),
        ("https://x.example", "/"),
        (None, "/"),
        ("http://[broken", "/"),
        ("/only/path", "/only/path"),
    ],
)
def test_the_path_of_a_page(page: str | None, path: str) -> None:
    assert normalise.page_path(page) == path


def test_path_patterns_match_case_and_whole_paths() -> None:
    assert normalise.path_matches("/buty/*", "https://x.example/buty/38/czerwone")
    assert not normalise.path_matches("/buty/*", "https://x.example/BUTY/38")
    assert not normalise.path_matches("/buty", "https://x.example/buty/38")


def test_of_a_very_long_page_the_beginning_counts() -> None:
    long = f"https://x.example/buty/{'%61' * 60_000}/end"
    assert len(normalise.page_path(long)) < normalise.MAX_PAGE_CHARS
    assert normalise.path_matches("/buty/*", long)
    assert not normalise.path_matches("/buty/*/end", long)


def test_a_page_is_read_once_however_many_patterns_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    unquote = urllib.parse.unquote

    def noted(text: str) -> str:
        reads.append(text)
        return unquote(text)

    monkeypatch.setattr(urllib.parse, "unquote", noted)
    page = "https://x.example/read/once"
    assert not any(normalise.path_matches(f"/buty/{number}/*", page) for number in range(1_000))
    assert reads == ["/read/once"]


def test_a_circle_goes_over_the_date_line_and_the_pole() -> None:
    assert normalise.in_circle(Radius(0.0, 179.9, 30.0), (0.0, -179.9), None)
    assert normalise.in_circle(Radius(89.9, 0.0, 30.0), (89.9, 180.0), None)
    assert not normalise.in_circle(Radius(52.23, 21.01, 200.0), (50.06, 19.94), None)
    assert not normalise.in_circle(Radius(0.0, 0.0, 20_000.0), None, None)
    assert normalise.in_circle(Radius(0.0, 0.0, 20_040.0), (0.0, 180.0), None)


def test_members_are_unpacked_from_little_endian_numbers() -> None:
    assert normalise.members(b"\x01\0\0\0\xff\xff\xff\xff") == (1, 2**32 - 1)
    assert normalise.members(b"") == normalise.members(None) == ()


def test_a_point_is_in_no_circle_that_is_smaller_than_its_error() -> None:
    warsaw, point = Radius(52.23, 21.01, 10.0), (52.23, 21.01)
    assert normalise.in_circle(warsaw, point, 10.0)
    assert not normalise.in_circle(warsaw, point, 50.0)
    assert normalise.point_shown(point, 50.0) == "52.23, 21.01, exact to 50 km"
    assert normalise.point_shown(point, None) == "52.23, 21.01"
    assert normalise.point_shown(None, None) == ""


def test_circle_of_a_bid_modifier_is_three_numbers() -> None:
    assert normalise.circle_of("52.23,21.01,10") == Radius(52.23, 21.01, 10.0)
    for text in ("", "52.23,21.01", "52.23,21.01,10,3", "52.23,21.01,far"):
        with pytest.raises(ValueError, match=r"unpack|convert"):
            normalise.circle_of(text)


def test_of_texts_that_senders_make_long_only_so_much_is_looked_up() -> None:
    assert len(list(normalise.domain_suffixes("a." * 50_000 + "news.example"))) <= 130
    assert "news.example" in normalise.domain_suffixes("a." * 50_000 + "news.example")
    assert len(list(normalise.postcode_prefixes("0" * 100_000))) == 16
    assert len(list(normalise.gpid_and_parents("/a" * 50_000))) <= 257
    assert "/a/a" in normalise.gpid_and_parents("/a" * 50_000)
    assert len(list(normalise.venue_and_parents(("a." * 50_000,)))) <= 257


def test_the_place_that_is_sold_in_a_pod() -> None:
    assert list(normalise.pod_slots(1, None, None, None)) == [1]
    assert list(normalise.pod_slots(-1, 0, 1, None)) == [-1, 1]
    assert list(normalise.pod_slots(2, None, None, None)) == [2], "which of the two is not for us to say"
    assert list(normalise.pod_slots(None, 60, None, None)) == [], (
        "nobody is promised the first place of this dynamic pod"
    )
    assert list(normalise.pod_slots(1, 60, None, None)) == [1]
    assert list(normalise.pod_slots(2, -60, None, None)) == [2]
    assert list(normalise.pod_slots(2, 60, -1, 60)) == [1, -1, 2, -1], "a bid may ask for either"
    assert list(normalise.said(None, 0)) == [0]
