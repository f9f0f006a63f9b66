"""The exchange's side of an auction: floors, deals, the best competitor, and what the winner pays.

Settlement is written a second time here, on purpose: a bill that two implementations agree on is a bill.
Prices are whole groszes CPM (hundredths of the auction's currency) or micros CPM where floors may be finer.
"""

from typing import NamedTuple

GROSZ_MICROS = 10_000

LOST_INTERNAL = 1
LOST_INVALID = 3
LOST_BELOW_FLOOR = 100
LOST_BELOW_DEAL_FLOOR = 101
LOST_TO_HIGHER_BID = 102


class Rules(NamedTuple):
    """How one impression is sold. Amounts are CPM micros of the auction's currency."""

    floor: int
    first_price: bool
    fixed_price: bool = False  # a deal at a fixed price: the floor is the price


class Outcome(NamedTuple):
    """The fate of our bid. `price` is the clearing price when it won, the price that beat it otherwise (CPM micros)."""

    won: bool
    price: int
    loss_code: int = 0
    least: int = 0  # the least bid that would have won, CPM micros


def clearing_price(bid: int, second: int, rules: Rules) -> int:
    """What the winner pays, CPM micros: second price plus one grosz, the bid itself, or the deal's fixed price.

    The higher of runner-up and floor goes up to the next whole grosz, one grosz is added, and nobody pays above the
    bid.
    """
    if rules.fixed_price:
        return rules.floor
    if rules.first_price:
        return bid
    base = max(second, rules.floor)
    groszes = base // GROSZ_MICROS + (1 if base % GROSZ_MICROS else 0)
    return min(bid, (groszes + 1) * GROSZ_MICROS)


def hold(bid: int, competitor: int, rules: Rules, *, is_deal: bool = False) -> Outcome:
    """Run one auction: our bid against the best competitor (0: none), both CPM micros. A tie goes to the competitor."""
    if bid < rules.floor:
        return Outcome(False, rules.floor, LOST_BELOW_DEAL_FLOOR if is_deal else LOST_BELOW_FLOOR, rules.floor)
    above = competitor + GROSZ_MICROS
    if not rules.fixed_price and competitor >= max(bid, rules.floor) and competitor > 0:
        return Outcome(False, competitor, LOST_TO_HIGHER_BID, above)
    second = competitor if competitor >= rules.floor else 0
    least = above if second and not rules.fixed_price else rules.floor
    return Outcome(True, clearing_price(bid, second, rules), least=least)
