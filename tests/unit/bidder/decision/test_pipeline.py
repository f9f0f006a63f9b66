"""The stages in order, over the recorded requests: what is answered is valid and keeps to the request."""

import gc
import json
import re
from pathlib import Path
from typing import Any

import pytest

from admin.seed.catalogue import demo_catalogue
from bidder.decision.pipeline import respond
from core.config import ConsentSettings
from core.reasons import NoBid
from tests.kit.bidding import Shopper, ShopState, TestBidder, bids_of, profile_batch
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import USER_ID, corpus_lines, raw_request
from tests.kit.schemas import schema_faults

BANNER = 1  # `mtype`
SCHEMA = "openrtb-2.6-202606-bid-response"
URL = re.compile(r"""https?://[^\s"'<>]+""")
# What is common among browsers, proxies and exchanges (OpenRTB 2.6 section 4.4); access logs show notices.
MAX_URL_CHARS, MAX_NOTICE_CHARS = 2_048, 512


@pytest.fixture(scope="module")
def demo() -> TestBidder:
    return TestBidder(demo_catalogue(), consent=ConsentSettings(trust_purposes_alone=True, vendor_id=7))


def answered(demo: TestBidder, corpus: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(request, response) of every recorded request that gets bids."""
    pairs = [(line["request"], demo.answer(line["request"])) for line in corpus_lines(corpus / "requests.jsonl")]
    return [(request, response) for request, response in pairs if response is not None]


def test_recorded_requests_get_valid_responses(demo: TestBidder, corpus: Path) -> None:
    pairs = answered(demo, corpus)
    assert len(pairs) > 100, "a good part of the banner requests gets bids"
    for request, response in pairs:
        assert schema_faults(corpus, SCHEMA, response) == []
        assert response["id"] == str(request["id"])
        offered = {str(imp["id"]): imp for imp in request["imp"]}
        for bid in bids_of(response):
            imp = offered[str(bid["impid"])]
            assert "e" not in str(bid["price"]).lower()
            if bid["mtype"] == BANNER:
                assert_fits_the_banner(bid, imp["banner"])
            assert_urls(bid, secure=imp.get("secure") in (1, True, "1"))


def assert_fits_the_banner(bid: dict[str, object], banner: Any) -> None:  # noqa: ANN401 - JSON
    if isinstance(banner, dict) and banner.get("format"):
        sizes = [(each.get("w"), each.get("h")) for each in banner["format"]]
        if all(isinstance(side, int) and side > 0 for size in sizes for side in size):
            assert (bid["w"], bid["h"]) in sizes


def assert_urls(bid: dict[str, object], *, secure: bool) -> None:
    token = re.escape(str(bid["lurl"]).split("/n/loss/")[1].split("?")[0])
    least = r"&m=\$\{AUCTION_MIN_TO_WIN\}"
    priced = rf"{token}\?p=\$\{{AUCTION_PRICE\}}&c=\$\{{AUCTION_CURRENCY\}}"
    assert re.fullmatch(rf"https://track\.example/n/win/{priced}{least}", str(bid["nurl"]))
    assert str(bid["burl"]) == str(bid["nurl"]).replace("/n/win/", "/n/bill/")
    assert str(bid["lurl"]).endswith("?r=${AUCTION_LOSS}&m=${AUCTION_MIN_TO_WIN}")
    assert all(len(str(bid[name])) <= MAX_NOTICE_CHARS for name in ("nurl", "burl", "lurl"))
    markup = str(bid["adm"])
    assert len(re.findall(rf"/t/imp/{token}(?![\w-])", markup)) == 1
    assert re.search(rf"/t/click/{token}\?to=", markup)
    assert "@TOKEN@" not in json.dumps(bid)
    assert "${CLICK" not in markup
    for url in URL.findall(json.dumps(bid)):
        assert len(url) <= MAX_URL_CHARS
        assert not secure or url.startswith("https://") or "www.w3.org" in url or "www.iab.com/VAST" in url


async def test_no_recorded_request_rests_on_the_user_once_permission_is_gone(corpus: Path) -> None:
    catalogue_of_demo = demo_catalogue()
    shopper = Shopper(
        tuple(segment.id for segment in catalogue_of_demo.segments),
        {shop.id: ShopState(cart_micros=900_000_000, cart_age_s=20_000.0) for shop in catalogue_of_demo.advertisers},
    )
    known, stranger = TestBidder(catalogue_of_demo, shoppers={USER_ID: shopper}), TestBidder(catalogue_of_demo)
    differs = 0
    for line in list(corpus_lines(corpus / "requests.jsonl"))[::5]:
        permitted = {**line["request"], "user": {"buyeruid": USER_ID}, "regs": {"gdpr": 0}, "device": {}}
        refused = {**permitted, "regs": {"gdpr": 0, "coppa": 1}}
        assert await known.answer_known(refused) == await stranger.answer_known(refused)
        differs += await known.answer_known(permitted) != await stranger.answer_known(permitted)
    assert differs > 10, "with permission it would have made a difference"


def test_the_user_s_segments_and_state_are_dropped_where_only_ids_are_permitted() -> None:
    batch = profile_batch([Shopper((10,), {1: ShopState()}, ((1, 5),)), Shopper((20,), {2: ShopState()})])
    batch.keep_only_ring(0)
    assert batch.segments == [None, (20).to_bytes(4, "little")]
    assert batch.state_request.tolist() == [1]
    assert batch.rings[0]


async def test_a_batch_whose_catalogue_was_replaced_meanwhile_is_not_bid_on() -> None:
    """Positions of one catalogue name other leases in the book of the next."""
    bidder = TestBidder(catalogue(line_item(1), line_item(2, advertiser=2)))
    auction = bidder.screened(raw_request(regs={"gdpr": 0}))
    other = TestBidder(catalogue(line_item(2, advertiser=2), line_item(3)))
    before = bidder.book.remaining.copy()
    bidder.book.bind(other.snapshot.index.pools)
    assert respond([auction], profile_batch([None]), bidder.snapshot, bidder.signer, 0) == {}
    assert auction.no_bid is NoBid.NO_SNAPSHOT
    assert bidder.book.remaining.sum() == before[1], "what stays is what the kept line item had"


def test_a_request_that_nobody_targets_and_one_that_nobody_can_pay_have_their_reasons() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    strange = bidder.screened(raw_request(imp=[{"id": "1", "banner": {"w": 1, "h": 1}}], regs={"gdpr": 0}))
    assert strange.no_bid is NoBid.NOT_TARGETED
    imps = [{"id": "1", "bidfloor": 99, "bidfloorcur": "PLN", "banner": {"w": 300, "h": 250}}]
    dear = bidder.screened(raw_request(imp=imps, regs={"gdpr": 0}))
    assert respond([dear], profile_batch([None]), bidder.snapshot, bidder.signer, bidder.clock.now_ms()) == {}
    assert dear.no_bid is NoBid.NOBODY_BIDS


def test_what_a_batch_made_is_freed_without_the_garbage_collector(demo: TestBidder, corpus: Path) -> None:
    raws = [line["request"] for line in corpus_lines(corpus / "requests.jsonl")][:200]
    for raw in raws:
        demo.answer(raw)  # what is remembered of a request is made at its first time
    gc.collect()
    gc.disable()
    try:
        for raw in raws:
            auction = demo.screened(raw)
            if auction.no_bid is None:
                respond([auction], profile_batch([None]), demo.snapshot, demo.signer, demo.clock.now_ms())
        # At 100,000 line items a batch has megabytes of arrays: in a cycle they would wait for the collector.
        assert gc.collect() == 0
    finally:
        gc.enable()
