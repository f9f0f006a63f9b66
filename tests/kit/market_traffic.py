"""A day of traffic through the bid path and the simulator's auction, recorded as bidders, trackers and worker do it."""

import itertools
import random
from pathlib import Path

import msgspec

from core.clock import ManualClock
from core.model import Catalogue
from core.ring import pack_record
from journal.rows import BILL, CONVERSION, NOTICE
from loadtest.exchange.auction import LOST_TO_HIGHER_BID, Rules, hold
from loadtest.exchange.landscape import log_normal
from tests.kit.bidding import Shopper, TestBidder, bids_of
from tests.kit.journal_rows import JournalFolder, a_row
from tests.kit.openrtb import raw_request
from tests.kit.recording import RecordingBidder

DAY_MS = 86_400_000
GROSZ_MICROS = 10_000
FLOORS = (0.0, 0.3, 1.0)


class MarketDay:
    """One day: what each line item bid, won and paid, and the journal of it."""

    def __init__(
        self, catalogue: Catalogue, folder: Path, *, begins_ms: int, requests: int, people: int, seed: int
    ) -> None:
        self.journal = JournalFolder(folder, ManualClock(begins_ms + DAY_MS))
        self._bidder = TestBidder(catalogue, now_ms=begins_ms)
        self._bidder.signer.nonces = itertools.count(seed * 10**9)
        self._recording = RecordingBidder(self._bidder, self.journal.segments, seed)
        self._chance, self._requests = random.Random(seed), requests
        self._landscape = log_normal(1.6, 0.6, 2, 0.3, seed)
        # Which people are in a part of them goes by their ids, so these are the same for a seed.
        self._users = [f"{number:03}u{self._chance.getrandbits(72):018x}" for number in range(people)]
        self._rings = dict.fromkeys(self._users, b"")
        self.spent: dict[int, float] = {}
        self.won: dict[int, int] = {}
        self.reached: dict[int, set[str]] = {}

    async def play(self, batch: int = 8) -> "MarketDay":
        """Decide all requests, hold their auctions, and bring the journal to its files."""
        for _ in range(self._requests // batch):
            self._bidder.clock.advance(86_400 / (self._requests / batch))
            self._bidder.refresh()
            raws = [self._request() for _ in range(batch)]
            for number, answer in (await self._recording.decide(*raws)).items():
                self._sell(raws[number], answer)
        await self.journal.writer.close()
        await self._recording.writer.close()
        self.journal.convert()
        return self

    def _request(self) -> dict[str, object]:
        user = self._chance.choice(self._users) if self._chance.random() < 0.8 else None
        if user is not None:
            shown = tuple((line, at) for line, at in _records(self._rings[user]))
            self._recording.profiles.shoppers[user] = Shopper(shown=shown)
        imp = {"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": self._chance.choice(FLOORS), "bidfloorcur": "PLN"}
        country = self._chance.choice(("POL", "POL", "DEU"))
        return raw_request(
            id=f"{self._chance.getrandbits(64):x}", imp=[imp], user={"buyeruid": user} if user else None,
            regs={"gdpr": 0}, cur=["PLN"], at=2, device={"devicetype": 2, "geo": {"country": country}},
        )  # fmt: skip

    def _sell(self, raw: dict[str, object], answer: bytes) -> None:
        (bid,) = bids_of(msgspec.json.decode(answer))
        claims = self._bidder.claims(bid)
        floor = round(float(raw["imp"][0]["bidfloor"]) * 1e6)  # type: ignore[index]
        outcome = hold(
            claims.bid_cpm, self._landscape.best_competitor() * GROSZ_MICROS, Rules(floor, first_price=False)
        )
        now_ms, line_item = self._bidder.clock.now_ms(), claims.line_item_id
        common = {"bid_id": claims.nonce, "bid_ms": now_ms, "advertiser_id": claims.advertiser_id,
                  "campaign_id": claims.campaign_id, "line_item_id": line_item}  # fmt: skip
        if not outcome.won:
            told = outcome.loss_code == LOST_TO_HIGHER_BID and self._chance.random() < 0.5
            if self._chance.random() < 0.7:  # the exchange tells nothing of the other losses
                self.journal.writer.append(
                    NOTICE,
                    a_row(NOTICE, **common, event="loss", loss_code=str(outcome.loss_code), price_cpm=None,
                          minimum_to_win_cpm=outcome.price + GROSZ_MICROS if told else None),
                )  # fmt: skip
            return
        self.spent[line_item] = self.spent.get(line_item, 0.0) + outcome.price / 1000
        self.won[line_item] = self.won.get(line_item, 0) + 1
        user = raw.get("user")
        if isinstance(user, dict):
            name = str(user["buyeruid"])
            number = self._bidder.snapshot.caps.record_number(line_item, claims.format)
            self._rings[name] = (self._rings[name] + pack_record(number, now_ms // 1000))[-512:]
            self.reached.setdefault(line_item, set()).add(name)
        bill = a_row(
            BILL, **common, entry="bill", price_cpm=outcome.price, charge_micros=outcome.price // 1000, impressions=1
        )
        self.journal.writer.append(BILL, bill)
        if self._chance.random() < 0.1:
            order = f"{claims.nonce:x}"
            row = a_row(CONVERSION, **common, at_ms=now_ms, order_id=order, credit="click", value_micros=100_000_000)
            self.journal.writer.append(CONVERSION, row)


def _records(ring: bytes) -> list[tuple[int, int]]:
    return [
        (int.from_bytes(ring[at : at + 4], "little"), int.from_bytes(ring[at + 4 : at + 8], "little"))
        for at in range(0, len(ring), 8)
    ]
