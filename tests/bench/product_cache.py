"""Products of a bid from the process's memory: microseconds from a profile's eight references to the ad's products."""

import argparse
import random
import statistics
import time

from core.ids import product_reference
from core.model import ProductChoice, ProductStrategy
from core.telemetry.metrics import Telemetry
from creatives.product import FeedProduct
from creatives.products.cache import ProductCache
from creatives.products.choosing import Plan
from creatives.products.on_bid import choose

SHOPS, PRODUCTS, REFERENCES, OF_CART = 3, 50_000, 8, 3
PLAN = Plan(ProductChoice(strategies=(ProductStrategy.CART, ProductStrategy.REDUCED, ProductStrategy.LAST_VISIT)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bids", type=int, default=20_000)
    parser.add_argument("--hits", type=int, default=95, help="percent of the references that are in the cache")
    options = parser.parse_args()
    chance = random.Random(1)
    cache = ProductCache(Telemetry(), size=2 * SHOPS * PRODUCTS)
    ids = [f"SKU-{number}" for number in range(PRODUCTS)]
    references = [product_reference(one) for one in ids]
    for shop in range(1, SHOPS + 1):
        for one, reference in zip(ids, references, strict=True):
            if chance.random() * 100 < options.hits:
                product = FeedProduct(
                    one, f"Product {one}", image="https://shop.example/i.png", price_micros=10_000_000, group=f"G{one}"
                )
                cache.put((shop, reference), product)
    asked = [(chance.randint(1, SHOPS), chance.sample(references, k=REFERENCES)) for _ in range(options.bids)]
    times = []
    known = shown = 0
    for shop, wanted in asked:
        start = time.perf_counter_ns()
        rows, unknown = cache.get(shop, wanted)
        chosen = choose(PLAN, rows, OF_CART, unknown, 1_790_000_000)
        times.append(time.perf_counter_ns() - start)
        known += REFERENCES - unknown
        shown += len(chosen.products)
        cache.waiting()
    print(
        f"{options.bids:,} bids of {REFERENCES} references, {100 * known / (REFERENCES * options.bids):.1f} % known, "
        f"{shown / options.bids:.1f} products shown: median {statistics.median(times) / 1000:.1f} us, "
        f"mean {statistics.fmean(times) / 1000:.1f} us a bid (bar 40)"
    )


if __name__ == "__main__":
    main()
