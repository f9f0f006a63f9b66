"""Prebid.js in Chromium as the caller of a real `grosz up`: it makes the requests, judges the bids, asks for consent
and enforces it, and starts the cookie sync. Its rules and ours must agree on all of that.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gpp_strings import core_bits, header, section
from tests.kit.peers import ask_peer
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.tc_strings import TcFields, tc_string

# The first of them waits for all visits of all pages in a browser.
pytestmark = [pytest.mark.needs_package("chromium"), pytest.mark.slow, pytest.mark.timeout(360)]

Visit = dict[str, Any]

VENDOR = 755
PURPOSES = (1, 2, 3, 4, 7)
OPEN, RETARGETING = 1, 2
"""Campaigns: for everybody, and dearer for those who have been at the shop."""
CDN = "https://cdn.shop.example"
USNAT = 7
NOTICES = ("SHARING_NOTICE", "SALE_OPT_OUT_NOTICE", "SHARING_OPT_OUT_NOTICE", "TARGETED_ADVERTISING_OPT_OUT_NOTICE")
OPT_OUTS = ("SALE_OPT_OUT", "SHARING_OPT_OUT", "TARGETED_ADVERTISING_OPT_OUT")
SPOT = {"duration_ms": 15_000}
NATIVE_ASSETS = [
    {"id": 1, "required": 1, "title": {"len": 90}},
    {"id": 2, "required": 1, "img": {"type": 3, "wmin": 200, "hmin": 200}},
    {"id": 3, "data": {"type": 1}},
]
UNITS: dict[str, dict[str, Any]] = {
    "banner": {"sizes": [[300, 250], [728, 90]]},
    "native": {"ortb": {"ver": "1.2", "assets": NATIVE_ASSETS, "eventtrackers": [{"event": 1, "methods": [1]}]}},
    "video": {
        "context": "instream", "playerSize": [640, 360], "mimes": ["video/mp4"], "protocols": [3, 6, 7], "plcmt": 1,
        "minduration": 5, "maxduration": 30,
    },
    "audio": {
        "context": "instream", "mimes": ["audio/mpeg"], "protocols": [3, 6, 7], "minduration": 5, "maxduration": 30
    },
}  # fmt: skip


def catalogue() -> dict[str, Any]:
    """One shop with an ad of each format, which bids for everybody and more for its visitors."""
    own = {"advertiser_id": 1, "landing_url": "https://shop.example/", "advertiser_domain": "shop.example"}
    looks = {"name": "Ad", "categories": ["IAB18"], **own}
    files = {
        kind: [{"url": f"{CDN}/spot.{end}", "mime": mime, "bitrate_kbps": 128, **size}]
        for kind, end, mime, size in (
            ("video", "mp4", "video/mp4", {"width": 640, "height": 360}), ("audio", "mp3", "audio/mpeg", {})
        )
    }  # fmt: skip
    creatives = [
        {"id": 1, "width": 300, "height": 250, "html": '<a href="${CLICK_URL}">buy</a>', **looks},
        {"id": 2, "format": "native", "native": {
            "titles": ["Buty"], "images": [{"url": f"{CDN}/a.jpg", "width": 600, "height": 600}], "sponsored": "Shop",
        }, **looks},
        {"id": 3, "format": "video", "video": {**SPOT, "media": files["video"]}, **looks},
        {"id": 4, "format": "audio", "audio": {**SPOT, "media": files["audio"]}, **looks},
    ]  # fmt: skip
    line_items = [
        {
            "id": number, "advertiser_id": 1, "campaign_id": number, "name": f"line {number}", "goal": "cpm",
            "bid": {"amount": cpm}, "max_cpm": {"amount": cpm}, "creative_ids": [1, 2, 3, 4], "targeting": targeting,
            "several_per_request": True,
        }
        for number, cpm, targeting in ((OPEN, "4.00", {}), (RETARGETING, "8.00", {"segments_any": [1]}))
    ]  # fmt: skip
    return {
        "format": "grosz-catalogue/1",
        "fx_rates": {"USD": "3.64"},
        "exchanges": [{"id": 1, "key": "ssp", "seat": "grosz", "default_currency": "USD"}],
        "advertisers": [{"id": 1, "name": "shop", "domain": "shop.example", "dsa_behalf": "Shop", "dsa_paid": "Shop"}],
        "campaigns": [{"id": number, "advertiser_id": 1, "name": f"c{number}"} for number in (OPEN, RETARGETING)],
        "segments": [{"id": 1, "advertiser_id": 1, "name": "visitors", "rule": "visits.count >= 1"}],
        "creatives": creatives,
        "line_items": line_items,
    }


def unit(media_type: str, **imp: object) -> Visit:
    """An ad unit of the publisher."""
    return {
        "code": media_type, "mediaTypes": {media_type: UNITS[media_type]}, "ortb2Imp": imp,
        "bids": [{"bidder": "grosz", "params": {}}],
    }  # fmt: skip


def gdpr(*purposes: int) -> Visit:
    """What a CMP says of somebody in the EU who permits our vendor these purposes."""
    text = tc_string(TcFields(purpose_consents=purposes, vendor_consents=(VENDOR,), disclosed_vendors=(VENDOR,)))
    consents = {str(number): number in purposes for number in range(1, 11)}
    return {
        "tcString": text,
        "purpose": {"consents": consents, "legitimateInterests": {}},
        "vendor": {"consents": {str(VENDOR): True}, "legitimateInterests": {}},
        "publisher": {"restrictions": {}},
    }


def gpp(layout: Visit, *, opted_out: bool) -> Visit:
    """What a CMP says of somebody in the United States who was asked, and has opted out of everything or of nothing."""
    values = {"VERSION": [2], "MSPA_COVERED_TRANSACTION": [2]}
    values |= {name: [1] for name in NOTICES} | {name: [1 if opted_out else 2] for name in OPT_OUTS}
    text = f"{header([USNAT])}~{section(core_bits(layout['fields'], values), gpc=False)}"
    parsed = {
        name.title().replace("_", ""): (found if times > 1 else found[0])
        for name, _bits, times in layout["fields"]
        for found in [values.get(name, [0] * times)]
    }
    return {
        "gppString": text, "applicableSections": [USNAT],
        "parsedSections": {"usnat": [parsed, {"SubsectionType": 1, "Gpc": False}]},
    }  # fmt: skip


def visit(*media_types: str, **members: object) -> Visit:
    """A visit to a page with these ad units, of whom the page's exchange calls visitor-7."""
    return {"units": [unit(each) for each in media_types or ("banner",)], "user": "visitor-7", **members}


def planned(corpus: Path, events_url: str) -> dict[str, Visit]:
    """All visits, in their order: what one of them does lasts."""
    layout = json.loads((corpus / "consent" / "gpp_layouts.json").read_text())[str(USNAT)]
    everything = gdpr(*PURPOSES)
    dsa = {"regs": {"ext": {"dsa": {"dsarequired": 3, "pubrender": 2, "datatopub": 2}}}}
    event = {"url": events_url, "body": {"event": "page_view", "gdpr": 0}}
    return {
        "without storage": visit(gdpr=gdpr(2, 3, 4, 7)),
        "opted out": visit(gpp=gpp(layout, opted_out=True)),
        "stranger": visit(*UNITS, gdpr=everything),
        "visitor": visit(*UNITS, gdpr=everything, events=[event], until=str(RETARGETING)),
        "without profiling": visit(gdpr=gdpr(1, 2, 3, 7)),
        "without ads": visit(gdpr=gdpr(1, 3, 4, 7)),
        "in the United States": visit(gpp=gpp(layout, opted_out=False)),
        "opted out later": visit(gpp=gpp(layout, opted_out=True)),
        "blocked": visit(gdpr=everything, ortb2={"badv": ["shop.example"]}),
        "blocked category": visit(gdpr=everything, ortb2={"bcat": ["IAB18"]}),
        "transparent": visit(gdpr=everything, ortb2=dsa),
    }


@pytest.fixture(scope="module")
def visits(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Visit]]:
    """What became of each visit."""
    home = tmp_path_factory.mktemp("prebid")
    file = home / "catalogue.json"
    file.write_text(json.dumps(catalogue()))
    imported = grosz("catalogue", "import", str(file), "--data", str(home / "data"))
    assert imported.returncode == 0, imported.stderr + imported.stdout
    with RunningGrosz(home / "data", "--workers", "1", environ={"GROSZ_CONSENT_VENDOR_ID": str(VENDOR)}) as up:
        asked = planned(corpus, f"{up.urls['track']}/e/1")
        addresses = {"bid": f"{up.urls['bid']}/openrtb2/ssp", "sync": f"{up.urls['track']}/sync/ssp"}
        answers = ask_peer("prebid", "bid.mjs", {**addresses, "visits": list(asked.values())}, timeout_s=240)
        assert isinstance(answers, list)
        yield dict(zip(asked, answers, strict=True))


def test_ads_of_every_format_pass_its_judgement(visits: dict[str, Visit]) -> None:
    seen = visits["stranger"]
    assert (seen["status"], seen["rejected"]) == ([200], [])
    taken = {each["mediaType"]: each for each in seen["accepted"]}
    assert sorted(taken) == sorted(UNITS)
    assert {(each["cpm"], each["currency"], *each["domains"]) for each in taken.values()} == {
        (1.09, "USD", "shop.example")
    }
    assert taken["banner"]["size"] == "300x250"
    assert "https%3A%2F%2Fshop.example%2F" in taken["banner"]["ad"]
    assert [each["id"] for each in taken["native"]["native"]["assets"]] == [1, 2, 3]
    assert all("<MediaFile" in taken[name]["vast"] for name in ("video", "audio"))
    assert (taken["video"]["size"], taken["video"]["creative"]) == ("640x360", "3-1")


@pytest.mark.parametrize(
    ("name", "campaign"),
    [
        ("without storage", OPEN), ("opted out", OPEN), ("stranger", OPEN), ("visitor", RETARGETING),
        ("without profiling", OPEN), ("in the United States", RETARGETING), ("opted out later", OPEN),
    ],
)  # fmt: skip
def test_a_visitor_of_the_shop_is_known_again_where_it_is_permitted(
    visits: dict[str, Visit], name: str, campaign: int
) -> None:
    seen = visits[name]
    assert {each["cid"] for each in seen["bids"]} == {str(campaign)}
    assert len(seen["accepted"]) == len(seen["bids"])
    assert (seen["rejected"], seen["faults"]) == ([], [])


def test_where_ads_are_refused_nobody_is_asked(visits: dict[str, Visit]) -> None:
    assert visits["without ads"]["asked"] == []


@pytest.mark.parametrize(
    ("name", "permitted"),
    [
        ("without storage", False), ("opted out", False), ("stranger", True), ("without profiling", True),
        ("in the United States", True), ("opted out later", False),
    ],
)  # fmt: skip
def test_it_starts_a_cookie_sync_where_we_take_it(visits: dict[str, Visit], name: str, permitted: bool) -> None:
    assert [status for _url, status in visits[name]["synced"]] == ([200] if permitted else [])


@pytest.mark.parametrize("name", ["blocked", "blocked category"])
def test_what_the_publisher_blocks_does_not_come(visits: dict[str, Visit], name: str) -> None:
    assert (visits[name]["status"], visits[name]["rejected"]) == ([204], [])


def test_an_ad_says_who_pays_as_its_rules_want(visits: dict[str, Visit]) -> None:
    seen = visits["transparent"]
    assert (len(seen["accepted"]), seen["rejected"]) == (1, [])
    assert seen["bids"][0]["ext"]["dsa"]["paid"] == "Shop"
