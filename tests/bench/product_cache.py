"""Products of a bid from the cache: microseconds for a profile's eight references, three shops of 50,000 products."""

import argparse
import random
import statistics
import time

from core.ids import product_reference
from core.telemetry.metrics import Telemetry
from creatives.feeds.product import FeedProduct
from creatives.products.cache import ProductCache

SHOPS, PRODUCTS, REFERENCES = 3, 50_000, 8


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
                cache.put((shop, reference), FeedProduct(one, f"Product {one}", price_micros=10_000_000))
    asked = [(chance.randint(1, SHOPS), chance.choices(references, k=REFERENCES)) for _ in range(options.bids)]
    times = []
    found = 0
    for shop, wanted in asked:
        start = time.perf_counter_ns()
        products = cache.get(shop, wanted)
        times.append(time.perf_counter_ns() - start)
        found += len(products)
        cache.waiting()
    print(
        f"{options.bids:,} bids of {REFERENCES} references, {100 * found / (REFERENCES * options.bids):.1f} % found: "
        f"median {statistics.median(times) / 1000:.1f} us, mean {statistics.fmean(times) / 1000:.1f} us a bid"
    )


if __name__ == "__main__":
    main()
