"""The bid path without a network: a compiled catalogue, leases that never end, users that a test makes up."""

import itertools
import struct
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from bidder.decision.model_file import Model, load_model
from bidder.decision.pipeline import look_up, respond, screen
from bidder.decision.snapshot import Snapshot
from bidder.dialects.table import speaker_of
from bidder.door.checking import AnswerCheck
from bidder.door.metrics import BidMetrics
from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction
from bidder.request.consent import ConsentPolicy
from bidder.targeting.compiled import Compiled
from core.clock import ManualClock
from core.config import ConsentSettings
from core.ids import product_reference
from core.model import Catalogue
from core.ring import pack_record
from core.telemetry.metrics import Telemetry
from creatives.products.cache import ProductCache
from pacing.budgets.leases import LeaseBook
from pacing.notices.claims import Claims
from pacing.notices.tokens import TokenSigner
from segments.facts.layout import HEADER_BYTES, HOT_VERSION, cycle_class
from segments.profiles.reading import ProfileBatch, ProfileReader, UserLookup
from tests.kit.openrtb import body_of

NOW_MS = 1_790_000_000_000  # Monday 2026-09-21 13:33:20 UTC
TRACK = "https://track.example"
KEYS = {1: b"k" * 32}
NEVER_ENDS_MS = 2**62


class ShopState(msgspec.Struct, frozen=True):
    """What one shop knows of a user."""

    cart_micros: int = 0
    cart_stage: int = 0
    cart_age_s: float = np.inf
    last_visit_age_s: float = 3_600.0
    last_purchase_age_s: float = np.inf
    purchase_cycle_s: int = 0  # in seconds; 0: unknown
    visits: float = 1.0
    products_viewed: float = 1.0
    cart: tuple[str, ...] = ()  # ids of products in the cart, the dearest first
    seen: tuple[str, ...] = ()  # ... that were looked at, the newest first

    @property
    def hot_field(self) -> bytes:
        """A field of the hot profile with these products; the test's batch has the rest of the state in its arrays."""
        ids = [*self.cart, *self.seen]
        references = struct.pack(f"<{len(ids)}QB", *map(product_reference, ids), len(self.cart)) if ids else b""
        return bytes([HOT_VERSION]) + bytes(HEADER_BYTES - 1) + references


class Shopper(msgspec.Struct, frozen=True):
    """A user's profile: active segments, states by advertiser, impressions as records of the ring (core.ring).

    `lost` are bids that were lost a moment ago, as (line item id, unix seconds of the bid).
    """

    segments: tuple[int, ...] = ()
    shops: Mapping[int, ShopState] = {}
    shown: tuple[tuple[int, int], ...] = ()
    lost: tuple[tuple[int, int], ...] = ()


NOBODY = Shopper()


def profile_batch(shoppers: Sequence[Shopper | None]) -> ProfileBatch:
    """A batch as the profile store would answer it; None is an unknown user."""
    batch = ProfileBatch(["u" * 22 if shopper is not None else None for shopper in shoppers])
    rows: list[tuple[int, int, ShopState]] = []
    for number, shopper in enumerate(shoppers):
        if shopper is None:
            continue
        batch.found[number] = True
        batch.segments[number] = np.array(sorted(shopper.segments), dtype="<u4").tobytes()
        batch.rings[number] = b"".join(pack_record(*shown) for shown in sorted(shopper.shown, key=lambda pair: pair[1]))
        batch.lost[number] = b"".join(pack_record(*lost) for lost in shopper.lost)
        rows += [(number, advertiser, state) for advertiser, state in shopper.shops.items()]
    batch.state_fields = [state.hot_field for _, _, state in rows]
    if rows:
        batch.state_request = np.array([number for number, _, _ in rows], dtype=np.int64)
        batch.state_advertiser = np.array([advertiser for _, advertiser, _ in rows], dtype=np.int64)
        batch.cart_micros = np.array([state.cart_micros for _, _, state in rows], dtype=np.int64)
        batch.has_carts = bool(batch.cart_micros.any())
        batch.cart_stage = np.array([state.cart_stage for _, _, state in rows], dtype=np.int64)
        batch.score = np.zeros(len(rows))
        batch.purchase_cycle = np.array([cycle_class(state.purchase_cycle_s) for _, _, state in rows], dtype=np.uint8)
        names = ("visits", "products_viewed", "last_visit_age_s", "last_purchase_age_s", "cart_age_s")
        batch.set_facts(np.array([[getattr(state, name) for name in names] for _, _, state in rows], dtype=np.float64))
    return batch


class KnownProfiles(ProfileReader):
    """A profile store in memory: user id -> shopper."""

    __slots__ = ("_shoppers", "asked")

    def __init__(self, shoppers: Mapping[str, Shopper] | None = None) -> None:
        self._shoppers = dict(shoppers or {})
        self.asked: list[UserLookup] = []

    async def fetch(self, users: Sequence[UserLookup], now_ms: int, deadline: float) -> ProfileBatch:
        self.asked += users
        batch = profile_batch([self._shoppers.get(user[0]) if user[0] is not None else None for user in users])
        batch.user_ids = [user[0] for user in users]
        return batch


def generous(book: LeaseBook) -> None:
    """Put a lease that never runs out on every pool of a bound book."""
    for position in range(len(book.pools)):
        book.grant(position, position + 1, 10**15, 10**9, NEVER_ENDS_MS)


class TestBidder:
    """A bidder process's bid path, called directly. Tests may look at its parts, `snapshot` and `book`."""

    __test__ = False

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        now_ms: int = NOW_MS,
        model: Model | None = None,
        leases: bool = True,
        consent: ConsentSettings | None = None,
        shoppers: Mapping[str, Shopper] | None = None,
        compiled: Compiled | None = None,
        products: ProductCache | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.clock = ManualClock(now_ms)
        self.policy = ConsentPolicy(consent or ConsentSettings())
        self.signer = TokenSigner(KEYS)
        self.signer.nonces = itertools.repeat(0)  # equal bids are equal bytes
        self.book = LeaseBook()
        compiled = compiled or Compiled(catalogue)
        self.book.bind(compiled.index.pools)
        if leases:
            generous(self.book)
        self.snapshot = Snapshot(compiled, model or load_model(), self.book, TRACK, products=products)
        self.profiles = KnownProfiles(shoppers)
        self.check = AnswerCheck(self.signer, self.clock, BidMetrics(Telemetry()), 1.0)
        self.refresh()

    def refresh(self) -> None:
        """Look at the clock and the leases again."""
        self.snapshot.live.refresh(self.clock.now_ms(), self.book)

    def auction(self, raw: object, exchange: str = "demo") -> Auction:
        """A request as it comes from an exchange."""
        request = decode_request(body_of(raw), Tolerances())
        offered_by = self.snapshot.index.exchanges[exchange]
        return Auction(request, offered_by, deadline=1e9, speaker=speaker_of(offered_by))

    def screened(self, raw: object, exchange: str = "demo") -> Auction:
        """An auction after the stages that need nothing but the request."""
        auction = self.auction(raw, exchange)
        screen(auction, self.snapshot, self.policy)
        return auction

    def matched(
        self, raw: object, shopper: Shopper | None = None, exchange: str = "demo"
    ) -> list[set[tuple[int, int]]]:
        """For each biddable impression the (line item, share) pairs that may bid."""
        auction = self.screened(raw, exchange)
        profiles = profile_batch([shopper])
        self.snapshot.matcher.match_user(
            [auction], profiles, self.snapshot.caps, self.snapshot.counts, self.clock.now_ms() // 1000
        )
        return [self.pairs_of(impression.eligible) for impression in auction.impressions]

    def pairs_of(self, bits: int) -> set[tuple[int, int]]:
        """The (line item, share) pairs of a set of positions."""
        lines = self.snapshot.index.lines
        return {
            (int(lines.line_item[position]), int(lines.share[position]))
            for position in range(self.snapshot.index.count)
            if bits >> position & 1
        }

    def answer(self, raw: object, shopper: Shopper | None = None, exchange: str = "demo") -> dict[str, object] | None:
        """The decoded response to one request, None for a no-bid."""
        auction = self.screened(raw, exchange)
        if auction.no_bid is not None:
            return None
        profiles = profile_batch([shopper])
        found = respond([auction], profiles, self.snapshot, self.signer, self.clock.now_ms())
        if found:
            assert self.check.passed(auction, found[0], self.snapshot) is found[0], "a bid breaks a rule of its request"
        decoded: dict[str, object] | None = msgspec.json.decode(found[0]) if found else None
        return decoded

    async def answer_known(self, raw: object, exchange: str = "demo") -> bytes | None:
        """The response with the profile of whoever the request names."""
        auction = self.screened(raw, exchange)
        if auction.no_bid is not None:
            return None
        batch = await look_up([auction], self.profiles, self.clock.now_ms(), 1e9)
        return respond([auction], batch, self.snapshot, self.signer, self.clock.now_ms()).get(0)

    def claims(self, bid: Mapping[str, object]) -> Claims:
        """The claims in the token of a bid."""
        return self.signer.verify(str(bid["lurl"]).split("/n/loss/")[1].split("?")[0], self.clock.now_ms() // 1000)


def bids_of(response: Mapping[str, object] | None) -> list[dict[str, object]]:
    """All bids of a decoded response."""
    if response is None:
        return []
    seats = response["seatbid"]
    assert isinstance(seats, list)
    return [bid for seat in seats for bid in seat["bid"]]


def price_of(response: Mapping[str, object] | None) -> float:
    """The price of a response's only bid; 0 for a no-bid."""
    bids = bids_of(response)
    if not bids:
        return 0.0
    (bid,) = bids
    return float(str(bid["price"]))
