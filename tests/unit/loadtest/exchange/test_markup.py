import pytest

from loadtest.exchange.markup import Links, links_of

OURS = "https://t.example/"


HTML = """<a href="https://t.example/c?a=1&amp;b=2"><img src="https://cdn.example/x.png"></a>
<img width="1" src="https://t.example/i">"""
NATIVE_1_0 = '{"native":{"link":{"url":"https://t.example/c?a=1&b=2"},"imptrackers":["https://t.example/i"]}}'
NATIVE_1_2 = '{"link":{"url":"https://t.example/c?a=1&b=2"},"eventtrackers":[{"event":1,"url":"https://t.example/i"}]}'
VAST = """<?xml version="1.0"?><VAST version="4.0"><Impression><![CDATA[https://t.example/i]]></Impression>
<ClickThrough>https://t.example/c?a=1&b=2</ClickThrough></VAST>"""


@pytest.mark.parametrize(
    "adm",
    [HTML, NATIVE_1_0, NATIVE_1_2, VAST],
    ids=["html", "native 1.0", "native 1.2", "vast"],
)
def test_tracking_urls_are_found_in_every_kind_of_markup(adm: str) -> None:
    found = links_of(adm, lambda url: url.startswith(OURS))
    assert found == Links(("https://t.example/i",), "https://t.example/c?a=1&b=2")


@pytest.mark.parametrize("adm", ["", "plain", "{not json", '<img src="https://other.example/i">'])
def test_markup_without_urls_of_ours_has_none(adm: str) -> None:
    assert links_of(adm, lambda url: url.startswith(OURS)) == Links((), "")
