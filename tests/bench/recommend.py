"""Quality and speed of next-product recommendation: every prefix of a session log, and a made catalogue."""

import argparse
import gzip
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from creatives.product import FeedProduct
from creatives.products.blend import Blend
from creatives.products.content import fit_content
from creatives.products.learning import fit_blend
from creatives.products.sessions import make_sessions
from tests.bench.feed import words

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("GROSZ_DATA") or REPOSITORY.parent / "shared" / "data") / "sessions"
LIST = 20  # HR@20, MRR@20
BEST_OF = 5  # a query's time is the smallest of so many, in passes far apart: the machine has other work


def read_log(path: Path) -> list[tuple[float, list[str]]]:
    """(end, products in order) of each session of a tab-separated log with a header: SessionId ItemId Time."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    sessions: dict[str, list[tuple[float, str]]] = {}
    for line in data.decode().splitlines()[1:]:
        session, item, moment = line.split("\t")[:3]
        sessions.setdefault(session, []).append((float(moment), item))
    found = []
    for clicks in sessions.values():
        clicks.sort(key=lambda click: click[0])
        found.append((clicks[-1][0], [item for _, item in clicks]))
    return sorted(found, key=lambda session: session[0])


def split(log: list[tuple[float, list[str]]], newest: float = 0.15) -> tuple[list, list]:  # type: ignore[type-arg]
    """A single log in training and test sessions, by time."""
    at = int(len(log) * (1 - newest))
    return log[:at], log[at:]


def fit(train: list[tuple[float, list[str]]]) -> tuple[Blend, dict[str, int]]:
    numbers: dict[str, int] = {}
    sequences = [[numbers.setdefault(item, len(numbers)) for item in items] for _, items in train]
    views = make_sessions(sequences, [end for end, _ in train])
    return fit_blend(views, make_sessions([], []), len(numbers)), numbers


def prefixes(test: list[tuple[float, list[str]]], numbers: dict[str, int]) -> Iterator[tuple[list[int], int]]:
    """What was seen, and the product that came next; products that training does not know are left out."""
    for _, items in test:
        known = [numbers[item] for item in items if item in numbers]
        for at in range(1, len(known)):
            yield known[:at], known[at]


def quality(blend: Blend, asked: list[tuple[list[int], int]]) -> tuple[float, float]:
    """HR@20 and MRR@20 among all products; equal scores count as their mean rank."""
    hits, reciprocal = 0, 0.0
    for seen, target in asked:
        ranking = blend.rank(seen, 10_000)
        at = np.flatnonzero(ranking.numbers == target)
        if not len(at):
            continue
        score = ranking.scores[at[0]]
        better, equal = int((ranking.scores > score).sum()), int((ranking.scores == score).sum())
        rank = better + (equal + 1) / 2
        if rank <= LIST:
            hits += 1
            reciprocal += 1 / rank
    return hits / len(asked), reciprocal / len(asked)


def query_us(blend: Blend, asked: list[tuple[list[int], int]]) -> tuple[float, float]:
    """Median over the queries, and the mean, of the best of several passes; microseconds."""
    best = np.full(len(asked), np.inf)
    for _ in range(BEST_OF):
        for number, (seen, _) in enumerate(asked):
            start = time.perf_counter()
            blend.rank(seen, LIST)
            best[number] = min(best[number], time.perf_counter() - start)
    return float(np.median(best) * 1e6), float(best.mean() * 1e6)


def made_log(products: int, sessions: int, seed: int = 7) -> list[tuple[float, list[str]]]:
    """Sessions of a made shop: products of 500 categories, popular ones by a power law, returns to what was seen."""
    chance = np.random.default_rng(seed)
    size = products // 500
    ranks = np.minimum((chance.pareto(1.2, 6 * sessions) * 3).astype(np.int64), size - 1)
    categories = np.minimum((chance.pareto(1.0, 6 * sessions) * 20).astype(np.int64), 499)
    lengths = np.minimum(1 + chance.geometric(0.3, sessions), 30)
    log, at = [], 0
    for number in range(sessions):
        category = int(categories[number])
        items: list[int] = []
        for _ in range(int(lengths[number])):
            at = (at + 1) % len(ranks)
            if items and ranks[at] % 4 == 0:
                items.append(items[int(ranks[at]) % len(items)])
            else:
                items.append(category * size + (int(ranks[at]) * 7 + number) % size)
            if ranks[at] % 10 == 9:
                category = int(categories[at])
        log.append((float(number), [str(item) for item in items]))
    return log


def made_products(count: int) -> list[FeedProduct]:
    """A feed's products, for the table of those that nobody has looked at."""
    return [
        FeedProduct(
            str(number),
            f"{words(number, 4)} {number % 977}",
            price_micros=(20 + number % 400) * 1_000_000,
            category=words(number % 500, 3),
            brand=f"Brand {number % 300}",
        )
        for number in range(count)
    ]


def report_log(train: list, test: list) -> None:  # type: ignore[type-arg]
    started = time.process_time()
    blend, numbers = fit(train)
    fitted = time.process_time() - started
    asked = list(prefixes(test, numbers))
    hits, reciprocal = quality(blend, asked)
    median, mean = query_us(blend, asked)
    print(f"{len(train):,} sessions, {len(numbers):,} products; fit {fitted:.1f} s CPU")
    print(f"{len(asked):,} prefixes: HR@20 {hits:.3f}  MRR@20 {reciprocal:.3f}  {mean:.0f} us, median {median:.0f}")


def report_made(products: int, sessions: int) -> None:
    log = made_log(products, sessions)
    clicks = sum(len(items) for _, items in log)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.process_time()
    numbers = {str(product): product for product in range(products)}
    views = make_sessions([[numbers[item] for item in items] for _, items in log], [end for end, _ in log])
    blend = fit_blend(views, make_sessions([], []), products)
    fitted = time.process_time() - started
    started = time.process_time()
    fit_content(made_products(products))
    content = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    median, mean = query_us(blend, list(prefixes(log[-2_000:], numbers)))
    print(f"made: {products:,} products, {len(log):,} sessions, {clicks:,} clicks")
    print(
        f"fit {fitted:.1f} s CPU, content {content:.1f} s, peak {peak:.0f} MiB ({before:.0f} before); "
        f"{mean:.0f} us a query, median {median:.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=Path, help="a log: SessionId, ItemId, Time; its newest 15 %% are predicted")
    parser.add_argument("--test", type=Path, help="predict this log instead of the newest part")
    parser.add_argument("--made", type=int, default=50_000, help="products of the made catalogue; 0 leaves it out")
    parser.add_argument("--made-sessions", type=int, default=200_000)
    options = parser.parse_args()
    if options.sessions:
        log = read_log(options.sessions)
        train, test = (log, read_log(options.test)) if options.test else split(log)
        report_log(train, test)
    elif DATA.is_dir():
        report_log(read_log(DATA / "yoochoose-100k-train.tsv.gz"), read_log(DATA / "yoochoose-100k-test.tsv.gz"))
    else:
        print(f"no session log in {DATA}: name one with --sessions, or set GROSZ_DATA")
    if options.made:
        report_made(options.made, options.made_sessions)


if __name__ == "__main__":
    main()
