"""What happens to an answer: it is judged, its bids meet the competitors, and the outcome goes to the notices."""

import random
from collections.abc import Sequence

import msgspec

from loadtest.exchange.auction import LOST_TO_HIGHER_BID, Outcome, Rules, hold
from loadtest.exchange.landscape import Landscape
from loadtest.exchange.notices import NoticeDesk
from loadtest.judging.checks import Checker, OfferedBid
from loadtest.measure.tally import Tally
from loadtest.traffic.facts import FIRST_PRICE, FIXED_PRICE, RequestFacts
from loadtest.traffic.templates import Template

_GROSZ_MICROS = 10_000

# The longest example that is kept: people read them, and a whole request of the largest kind fits.
_EXAMPLE_CHARS = 8_000


class Sent(msgspec.Struct, frozen=True, gc=False):
    """One bid request on its way: when it was due and when it was sent (monotonic seconds), and what it says."""

    intended: float
    sent: float
    template: Template
    request_id: bytes
    user: bytes


class Market:
    """Judges answers and sells impressions. With `notices` None no notices are sent."""

    def __init__(
        self,
        checker: Checker,
        prices: Landscape,
        tally: Tally,
        chance: random.Random,
        *,
        check_share: float,
        empty_answers: bool = True,
    ) -> None:
        self._empty_answers = empty_answers
        self._checker = checker
        self._landscape = prices
        self._tally = tally
        self._chance = chance
        self._check_share = check_share
        self.notices: NoticeDesk | None = None

    def violate(self, kind: str, detail: str, sent: Sent, body: bytes) -> None:
        """Count a violation with the request that shows it."""
        request = sent.template.body(sent.request_id, sent.user).decode("utf-8", "replace")
        self._tally.violate(kind, detail, request[:_EXAMPLE_CHARS], body[:_EXAMPLE_CHARS].decode("utf-8", "replace"))

    def judge(self, sent: Sent, body: bytes, in_time: bool) -> None:
        """Judge an answer 200; hold its auctions when it came in time."""
        tally = self._tally
        if self._check_share < 1.0 and self._chance.random() >= self._check_share:
            tally.counts["unchecked"] += 1
            return
        facts = sent.template.facts
        answer = self._checker.check(sent.request_id.decode(), facts, body)
        tally.checked += 1
        for violation in answer.violations:
            self.violate(violation.kind, violation.detail, sent, body)
        if answer.bids:
            tally.bid_answers += 1
            tally.bids += len(answer.bids)
            if in_time:
                self._hold_auctions(sent, facts, answer.bids)
            else:
                tally.counts["late_bids"] += len(answer.bids)
            return
        if not self._empty_answers:
            self.violate("empty-answer", "no bid is told by 204 alone", sent, body)
        if answer.violations:
            tally.counts["invalid_answers"] += 1
        else:
            tally.no_bid += 1
        if answer.no_bid_code is not None:
            tally.counts[f"nbr.{answer.no_bid_code}"] += 1

    def _hold_auctions(self, sent: Sent, facts: RequestFacts, bids: Sequence[OfferedBid]) -> None:
        best: dict[str, OfferedBid] = {}
        for bid in bids if len(bids) == 1 else sorted(bids, key=lambda bid: bid.price, reverse=True):
            if bid.impression in best:
                self._lose(sent, bid, Outcome(False, best[bid.impression].price, LOST_TO_HIGHER_BID))
            else:
                best[bid.impression] = bid
        for bid in best.values():
            rules = self._rules_of(facts, bid)
            outcome = hold(bid.price, self._landscape.best_competitor() * _GROSZ_MICROS, rules, is_deal=bool(bid.deal))
            if not outcome.won:
                self._lose(sent, bid, outcome)
                continue
            self._tally.won += 1
            self._tally.won_micros += outcome.price // 1000
            if self.notices is not None:
                self.notices.won(sent.request_id.decode(), bid, outcome, rules, sent.user, facts.is_test)

    def _lose(self, sent: Sent, bid: OfferedBid, outcome: Outcome) -> None:
        self._tally.lost += 1
        if self.notices is not None:
            self.notices.lost(sent.request_id.decode(), bid, outcome)

    def _rules_of(self, facts: RequestFacts, bid: OfferedBid) -> Rules:
        imp = facts.impressions[bid.impression]
        deal = imp.deals.get(bid.deal)
        kind = (
            deal.auction_type if deal is not None and deal.auction_type else (FIRST_PRICE if facts.first_price else 2)
        )
        floor = self._checker.floor_micros(deal or imp, bid.currency) or 0
        return Rules(floor, first_price=kind == FIRST_PRICE, fixed_price=kind == FIXED_PRICE)
