"""Where a visit came from."""

import pytest

from segments.events.source import host_of, path_of, source_of
from segments.facts.event import Source

SHOP = "buty.example"


@pytest.mark.parametrize(
    ("url", "referrer", "expected"),
    [
        ("https://buty.example/?utm_source=Facebook&utm_medium=cpc&utm_campaign=autumn&utm_term=Red+Heels", "",
         Source("facebook", "cpc", "autumn", "red heels", explicit=True)),
        ("https://buty.example/?gclid=x", "https://www.google.com/", Source("google", "cpc", explicit=True)),
        ("https://buty.example/", "https://google.pl/search?q=szpilki", Source("google", "organic", phrase="szpilki")),
        ("https://buty.example/", "https://l.facebook.com/", Source("facebook", "social")),
        ("https://buty.example/", "https://t.co/x", Source("x", "social")),
        ("https://buty.example/", "https://blog.example/post", Source("blog.example", "referral")),
        ("https://buty.example/", "https://www.buty.example/a", None),
        ("https://buty.example/", "https://sklep.buty.example/a", None),
        ("https://buty.example/", "https://notbuty.example/a", Source("notbuty.example", "referral")),
        ("https://buty.example/", "", None),
        ("http://[", "http://[", None),
    ],
)  # fmt: skip
def test_the_source_of_a_visit(url: str, referrer: str, expected: Source | None) -> None:
    assert source_of(url, referrer, SHOP) == expected


def test_without_a_domain_the_pages_own_host_stands_for_the_shop() -> None:
    assert source_of("https://a.example/x", "https://a.example/y", "") is None


def test_paths_are_decoded_and_bounded() -> None:
    assert path_of("https://buty.example/buty/%C5%9Bniegowce?x=1#y") == "/buty/śniegowce"
    assert len(path_of("https://buty.example/" + "a" * 500)) == 120
    assert path_of("http://[") == ""
    assert host_of("https://WWW.Buty.example:8080/") == "buty.example"
