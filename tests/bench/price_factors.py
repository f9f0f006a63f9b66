"""Pictures of what carts, purchases and impressions do to a bid over time, for docs/pricing.md.

`scripts/bench price_factors --out docs`. Every point is a bid of the bid path.
"""

import argparse
from pathlib import Path

from core.model import CartValue, Goal
from tests.kit.bidding import Shopper, ShopState, TestBidder, price_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.line_chart import line_chart
from tests.kit.openrtb import raw_request

MILLION = 1_000_000
HOUR_S, DAY_S = 3_600.0, 86_400.0
REQUEST = raw_request(regs={"gdpr": 0})


def bidder() -> TestBidder:
    """A line item of 30 PLN a conversion that may bid whatever that is worth; in millionths, to see past the grosz."""
    line = line_item(1, goal=Goal.CPA, bid_micros=30 * MILLION, max_cpm_micros=10**15, cart=CartValue())
    return TestBidder(catalogue(line))


def times(state: ShopState, plain: float, who: TestBidder, shown: int = 0) -> float:
    """The bid as a multiple of `plain`."""
    now_s = who.clock.now_ms() // 1000
    shopper = Shopper(shops={1: state}, shown=((1, now_s - 60),) * shown)
    return price_of(who.answer(REQUEST, shopper)) / plain


def cart_chart() -> str:
    """Times the bid without a cart, by the cart's age in hours, the visit being as old."""
    who = bidder()
    lines: dict[str, list[float | None]] = {}
    for value in (100, 500, 3_000):
        name = f"cart of {value:,} PLN"
        lines[name] = []
        for step in range(336):
            age_s = (step + 0.5) * HOUR_S
            plain = price_of(who.answer(REQUEST, Shopper(shops={1: ShopState(last_visit_age_s=age_s)})))
            cart = ShopState(cart_micros=value * MILLION, cart_age_s=age_s, last_visit_age_s=age_s)
            lines[name].append(times(cart, plain, who))
    return line_chart("Bid by the age of the cart", 336, "times the bid without a cart", lines, axis="hours")


def purchase_chart() -> str:
    who = bidder()
    plain = price_of(who.answer(REQUEST, Shopper(shops={1: ShopState()})))
    values = [times(ShopState(last_purchase_age_s=(step + 0.5) / 4 * DAY_S), plain, who) for step in range(160)]
    return line_chart(
        "Bid by the time since a purchase", 40, "of the bid without it", {"CPC, CPA": values}, axis="days", spacing=0.25
    )


def frequency_chart() -> str:
    who = bidder()
    plain = price_of(who.answer(REQUEST, Shopper(shops={1: ShopState()})))
    values = [times(ShopState(), plain, who, shown) for shown in range(16)]
    return line_chart(
        "Bid by impressions of the last 24 hours",
        16,
        "of the bid without any",
        {"CPC, CPA": values},
        axis="impressions",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Pictures of what facts do to a bid.")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the pictures")
    folder: Path = parser.parse_args().out
    for name, chart in (("cart", cart_chart), ("purchase", purchase_chart), ("frequency", frequency_chart)):
        (folder / f"pricing-{name}.svg").write_text(chart(), encoding="utf-8")
        print(folder / f"pricing-{name}.svg")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
