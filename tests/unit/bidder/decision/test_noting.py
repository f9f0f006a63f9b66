"""The journal's row of a bid says what the bid's own token, answer and price say."""

from pathlib import Path

import msgspec
import pytest

from bidder.decision.noting import BidNotes, _agents
from bidder.decision.pipeline import evaluate, respond
from core.clock import ManualClock
from core.model import AuctionType, Deal, Targeting
from core.reasons import NoBid
from core.telemetry.metrics import Telemetry
from journal.people import NOBODY, Pseudonyms
from journal.rows import ANSWER, BID, JournalKind
from journal.segment import Codec
from journal.writing import JournalWriter
from tests.kit.bidding import NOW_MS, Shopper, ShopState, TestBidder, bids_of, profile_batch
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

USER = "u" * 22
PEOPLE = Pseudonyms(b"k" * 32)


class Noting:
    """A bidder that keeps a journal."""

    def __init__(self, bidder: TestBidder, folder: Path) -> None:
        self.bidder, self.folder = bidder, folder
        self.clock = ManualClock(NOW_MS)
        self.writer = JournalWriter(folder, "p1", self.clock, Telemetry(), max_bytes=2**30)
        self.notes = BidNotes(self.writer, PEOPLE, self.clock.now_ms)

    def bid(self, raws: list[dict[str, object]], shoppers: list[Shopper | None], unsent: set[int]) -> dict[int, bytes]:
        auctions = [self.bidder.screened(raw) for raw in raws]
        profiles = profile_batch(shoppers)
        answers = respond(auctions, profiles, self.bidder.snapshot, self.bidder.signer, NOW_MS, self.notes)
        for number, auction in enumerate(auctions):
            if number not in answers:
                self.notes.silent(auction, auction.no_bid or NoBid.NOBODY_BIDS)
        self.notes.sent(unsent)
        return answers

    def rows(self, kind: JournalKind) -> list[dict[str, object]]:
        self.writer.flush()
        return [
            dict(zip(frame.columns, row, strict=True))
            for path in sorted(self.folder.iterdir())
            for frame in Codec().frames(path.read_bytes())
            if frame.kind == kind.name
            for row in frame.rows
        ]


@pytest.fixture
def noting(tmp_path: Path) -> Noting:
    return Noting(TestBidder(catalogue(line_item(1), line_item(2, advertiser=2))), tmp_path)


CART = ShopState(cart_micros=200_000_000, cart_stage=2, cart_age_s=7_200.0, visits=4.0, products_viewed=9.0)


def test_a_row_says_what_token_and_answer_say(noting: Noting) -> None:
    request = raw_request()
    (answer,) = noting.bid([request], [Shopper(segments=(5, 9), shops={1: CART})], set()).values()
    bids = bids_of(msgspec.json.decode(answer))
    rows = noting.rows(BID)
    assert len(rows) == len(bids) == 1
    claims, row = noting.bidder.claims(bids[0]), rows[0]
    for name in (
        "advertiser_id", "campaign_id", "line_item_id", "share", "creative_id", "exchange_id", "format", "bid_cpm",
        "reserved_micros", "currency", "shading", "model_version", "arm",
    ):  # fmt: skip
        assert row[name] == getattr(claims, name), name
    assert row["model_version"] == noting.bidder.snapshot.model.version > 0
    assert row["bid_id"] == claims.nonce
    assert AuctionType(int(str(row["auction_type"]))) is claims.auction_type
    assert row["floor_cpm"] == claims.floor_cpm
    assert (row["request_id"], row["impression_id"]) == (request["id"], bids[0]["impid"])
    assert row["person"] == PEOPLE.of(USER, NOW_MS) != NOBODY
    assert row["bid_ms"] == NOW_MS


@pytest.mark.parametrize(
    "shopper", [None, Shopper(), Shopper(shops={1: CART}), Shopper(shops={1: CART, 2: ShopState()})]
)
def test_what_the_price_was_made_of_is_what_pricing_says(noting: Noting, shopper: Shopper | None) -> None:
    bidder = noting.bidder
    noting.bid([raw_request()], [shopper], set())
    auction = bidder.screened(raw_request())
    memo = bidder.snapshot.prices
    bidder.snapshot.prices = None  # type: ignore[assignment]  # all pairs are priced one by one then
    try:
        found = evaluate([auction], profile_batch([shopper]), bidder.snapshot, NOW_MS)
    finally:
        bidder.snapshot.prices = memo
    assert found is not None
    assert found.scores is not None
    (row,) = noting.rows(BID)
    ids = [int(bidder.snapshot.index.lines.line_item[position]) for position in found.positions]
    pair = ids.index(int(str(row["line_item_id"])))
    assert row["p_click"] == pytest.approx(found.scores.click_rate[pair])
    assert row["p_conversion"] == pytest.approx(found.scores.conversion_rate[pair])
    if shopper is not None and int(str(row["advertiser_id"])) in shopper.shops:
        assert row["expected_micros"] == pytest.approx(found.scores.expected_value[pair])
    else:
        assert row["expected_micros"] is None
    carts = found.scores.cart_value
    assert row["cart_value_micros"] == pytest.approx(0.0 if carts is None else carts[pair])
    assert row["value_cpm"] == found.cpm[pair]
    state = (shopper.shops if shopper is not None else {}).get(int(str(row["advertiser_id"])))
    assert row["known"] is (state is not None)
    assert row["cart_micros"] == (state.cart_micros if state is not None else 0)
    assert row["visits"] == (state.visits if state is not None else 0)


def test_an_answer_that_was_not_sent_has_no_row(noting: Noting) -> None:
    answers = noting.bid([raw_request(), raw_request()], [None, Shopper(shops={1: CART})], {0})
    assert len(answers) == 2
    (row,) = noting.rows(BID)
    assert row["person"] == PEOPLE.of(USER, NOW_MS)


def test_every_answer_is_counted_with_its_reason(noting: Noting) -> None:
    nobody = raw_request()
    nobody["imp"] = [{"id": "1", "banner": {"w": 1, "h": 1}}]
    noting.bid([raw_request()], [None], set())
    auction = noting.bidder.screened(nobody)
    assert auction.no_bid is not None
    for _ in range(3):
        noting.notes.silent(auction, auction.no_bid)
    noting.notes.unread(None, NoBid.NO_SNAPSHOT)
    counts = {(row["reason"], row["exchange_id"]): row["requests"] for row in noting.rows(ANSWER)}
    assert counts == {("", 1): 1, (auction.no_bid.name.lower(), 1): 3, ("no_snapshot", 0): 1}


def test_a_request_with_two_bids_on_an_impression_is_counted_once(tmp_path: Path) -> None:
    made = catalogue(
        line_item(1, bid_micros=1_000_000, targeting=Targeting(deals=(1,))), line_item(2, bid_micros=3_000_000),
        deals=(Deal(id=1, exchange_id=1, deal_id="gold"),),
    )  # fmt: skip
    noting = Noting(TestBidder(made), tmp_path)
    pmp = {"deals": [{"id": "gold", "bidfloor": 0.5, "bidfloorcur": "PLN"}]}
    request = raw_request(imp=[{"id": "1", "banner": {"w": 300, "h": 250}, "pmp": pmp}])
    noting.bid([request | {"id": "a"}, request | {"id": "b"}], [None, None], set())
    bids = sorted((str(row["request_id"]), str(row["deal_id"])) for row in noting.rows(BID))
    assert bids == [("a", ""), ("a", "gold"), ("b", ""), ("b", "gold")]
    assert [row["requests"] for row in noting.rows(ANSWER)] == [2]


def test_what_is_remembered_of_agents_is_bounded_however_many_systems_are_named() -> None:
    for at in range(100_000):
        system, brand = divmod(at, 5_000)
        assert _agents[f"brand {brand}",][f"system {system}"] == (f"system {system}", f"brand {brand}")
    assert sum(map(len, _agents.values())) <= 4 * 16_384


def test_no_address_agent_page_or_id_of_a_person_is_written(noting: Noting) -> None:
    request = raw_request()
    request["site"] = {"page": "https://www.gazeta.example/a?mail=jan@example.com", "id": "1"}
    request["device"] = {"ip": "203.0.113.77", "ua": "Mozilla/5.0 (Windows NT 10.0) Secret/1.0", "ifa": "ifa-1234"}
    noting.bid([request], [Shopper(shops={1: CART})], set())
    noting.writer.flush()
    (row,) = noting.rows(BID)
    assert row["domain"] == "gazeta.example"
    text = repr(row)
    for secret in (USER, "203.0.113", "Secret", "ifa-1234", "jan@example", "?mail"):
        assert secret not in text
