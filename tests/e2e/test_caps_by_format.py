"""A cap of one format over HTTP and a real server: what was billed as a native ad is a banner from then on."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.ids import new_user_id
from tests.e2e.test_cart_retargeting import SHOP, catalogue, post, running_with
from tests.kit.openrtb import native_imp
from tests.kit.processes import RunningGrosz, grosz

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

BANNER_AD, NATIVE_AD = 1, 3
MTYPE_BANNER, MTYPE_NATIVE = 1, 4
OFFERS = {"banner": {"w": 300, "h": 250}, "native": native_imp()}


def with_a_native_ad() -> dict[str, Any]:
    """The first shop's line item shows banners and native ads, of these at most two a day to one person."""
    published = catalogue()
    published["exchanges"][0]["time_to_notice_ms"] = 0  # no bid counts: what is billed does
    published["creatives"].append(
        {
            "id": NATIVE_AD, "advertiser_id": SHOP, "name": "shoes", "format": "native",
            "landing_url": "https://shop1.example/", "advertiser_domain": "shop1.example",
            "native": {
                "titles": ["Winter shoes"], "sponsored": "Shoes",
                "images": [{"url": "https://shop1.example/i.png", "width": 1200, "height": 627, "mime": "image/png"}],
            },
        }
    )  # fmt: skip
    published["line_items"][0] |= {
        "creative_ids": [BANNER_AD, NATIVE_AD], "targeting": {},
        "caps": [{"impressions": 2, "window_s": 86_400, "format": "native"}],
    }  # fmt: skip
    return published


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningGrosz]:
    with running_with(with_a_native_ad(), tmp_path) as up:
        yield up


def request_of(user_id: str, *formats: str) -> dict[str, Any]:
    imp = {"id": "1", "bidfloor": 0.01, "bidfloorcur": "PLN", **{name: OFFERS[name] for name in formats}}
    return {
        "id": f"{time.monotonic_ns()}", "at": 2, "tmax": 1000, "cur": ["PLN"], "imp": [imp],
        "site": {"domain": "news.example"}, "user": {"buyeruid": user_id}, "regs": {"gdpr": 0},
    }  # fmt: skip


def bid_on(running: RunningGrosz, user_id: str, *formats: str) -> dict[str, Any] | None:
    status, body, _cookie = post(f"{running.urls['bid']}/openrtb2/demo", request_of(user_id, *formats))
    return None if status == 204 else json.loads(body)["seatbid"][0]["bid"][0]


def bill(bid: dict[str, Any]) -> None:
    with urllib.request.urlopen(bid["burl"].replace("${AUCTION_PRICE}", f"{bid['price']}")) as answer:
        assert answer.status == 204


def test_two_native_ads_were_seen_and_banners_go_on(running: RunningGrosz, tmp_path: Path) -> None:
    user_id = new_user_id()
    while bid_on(running, new_user_id(), "native") is None:
        time.sleep(0.05)  # the first lease is on its way; the test's timeout is the bound
    for _ in range(2):
        bid = bid_on(running, user_id, "native")
        assert bid is not None
        assert bid["mtype"] == MTYPE_NATIVE
        bill(bid)
        banner = bid_on(running, user_id, "banner")
        assert banner is not None
        bill(banner)  # counts for no cap
    assert bid_on(running, user_id, "native") is None
    left = bid_on(running, user_id, "native", "banner")
    assert left is not None
    assert left["mtype"] == MTYPE_BANNER
    other = bid_on(running, new_user_id(), "native")
    assert other is not None, "another person has seen none"

    asked = tmp_path / "request.json"
    asked.write_text(json.dumps(request_of(user_id, "native", "banner")))
    told = grosz("explain", str(asked), "--exchange", "demo", "--json", "--data", str(tmp_path / "data"))
    assert told.returncode == 0, told.stderr
    details = {
        each["format"]: [reason["detail"] for reason in each["line_items"][0]["reasons"]]
        for each in json.loads(told.stdout)["impressions"]
    }
    assert details["banner"] == []
    (detail,) = details["native"]
    assert detail.startswith("line item cap 2 of 2 native impressions in 24 h, free again at ")
