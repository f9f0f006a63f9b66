"""What a forecast costs beside the bids themselves, per request, and how soon its first answer is there.

`scripts/bench what_if [--line-items 1000] [--requests 4000]`. The same requests are decided by the bid path (decode,
screen, profiles, price, choose, answer) and priced for a forecast, turn by turn in one process; ratios of CPU time of
pairs that lie side by side, which others on the machine disturb alike.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from bidder.decision.model_file import load_model
from bidder.diagnosis.forecast import Forecaster
from bidder.diagnosis.replaying import RecordedRequest, without_checks
from bidder.diagnosis.trials import BATCH, TrialReader, studied
from bidder.diagnosis.win_curves import WinCurves
from bidder.targeting.compiled import Compiled
from core.config import ConsentSettings
from tests.bench.pipeline_steps import Bench
from tests.kit.bidding import TRACK, Shopper, ShopState, TestBidder
from tests.kit.catalogues import large_catalogue
from tests.kit.recording import RecordingBidder

ELIGIBLE = 60
# A forecast of a 5 % sample has to be there by then, at this many recorded requests (a day of one busy process).
FIRST_ANSWER_S, DAY_OF_REQUESTS = 5.0, 432_000


async def record(bench: Bench, line_items: int, count: int, folder: Path) -> list[RecordedRequest]:
    """The bench's own requests, decided and recorded."""
    bidder = TestBidder(large_catalogue(line_items, ELIGIBLE / line_items), now_ms=bench.now_ms)
    recording, chance = RecordingBidder(bidder, folder), random.Random(3)
    raws = [msgspec.json.decode(body) for body in bench.bodies]
    for at in range(0, count, BATCH):
        some = [raws[(at + number) % len(raws)] for number in range(min(BATCH, count - at))]
        for raw in some:
            user = raw.get("user", {}).get("buyeruid")
            if user is not None:
                state = ShopState(cart_micros=chance.randint(0, 3) * 10**8, cart_age_s=7_200.0, visits=3.0)
                recording.profiles.shoppers[user] = Shopper(shops={chance.randint(1, 50): state})
        await recording.decide(*some)
    return recording.recorded()


def main() -> int:
    parser = argparse.ArgumentParser(description="What a forecast costs beside the bids.")
    parser.add_argument("--line-items", type=int, default=1_000)
    parser.add_argument("--requests", type=int, default=4_000)
    given = parser.parse_args()
    bench = Bench(given.line_items, ELIGIBLE, BATCH, no_bid=False)
    with tempfile.TemporaryDirectory() as folder:
        requests = asyncio.run(record(bench, given.line_items, given.requests, Path(folder)))
    catalogue = large_catalogue(given.line_items, ELIGIBLE / given.line_items)
    item = next(each for each in catalogue.line_items if each.targeting.countries == ("POL",))
    compiled = Compiled(studied(without_checks(catalogue), [item]))
    reader = TrialReader(compiled, load_model(), ConsentSettings(), TRACK, [item.id])
    ratios, priced_s = [], 0.0
    for at in range(0, len(requests), BATCH):
        begun = time.process_time()
        bench.run()
        middle = time.process_time()
        reader.read(requests[at : at + BATCH])
        ended = time.process_time()
        priced_s += ended - middle
        ratios.append((ended - middle) / (middle - begun))
    trials = reader.read(requests)
    begun = time.process_time()
    Forecaster(trials, item, WinCurves([]), {}, "UTC", 1.0).run()
    run_s = time.process_time() - begun
    each_us = priced_s / len(requests) * 1e6
    first_s = 0.05 * DAY_OF_REQUESTS * each_us / 1e6
    ratio = statistics.median(ratios)
    print(f"{len(requests)} requests, {given.line_items} line items: a forecast costs {ratio:.2f} of the bids")
    print(f"{each_us:.0f} us a request; {len(trials)} trials run in {run_s:.3f} s")
    print(f"5 % of {DAY_OF_REQUESTS} requests: {first_s:.1f} s of one core (bar {FIRST_ANSWER_S} s, all cores)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
