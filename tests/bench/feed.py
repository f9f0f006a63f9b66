"""Loading of a made feed in one process: seconds of CPU, peak memory, bytes a product in Valkey."""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import redis

from core.config import RedisSettings
from core.redis.embedded import EmbeddedServer
from creatives.feeds.child import run_once
from creatives.feeds.loading import FeedJob

WORDS = (
    "Buty", "Trampki", "Kozaki", "Sukienka", "Koszula", "Spodnie", "Kurtka", "Plecak", "Zegarek", "Lampa",
    "Garnek", "Fotel", "Stolik", "Rower", "Namiot", "sportowe", "damskie", "męskie", "dziecięce", "skórzane",
    "bawełniane", "zimowe", "letnie", "klasyczne", "wygodne", "lekkie", "ciepłe",
)  # fmt: skip


def words(number: int, count: int) -> str:
    return " ".join(WORDS[(number * 7919 + place * 104729) % len(WORDS)] for place in range(count))


def key(number: int) -> int:
    """A number without any order, as file names of image servers have."""
    return number * 0x9E3779B97F4A7C15 % 2**64


def xml_item(number: int) -> str:
    return (
        f"<item>\n<g:id>SKU-{number}</g:id>\n<title>{words(number, 4)} {number % 977}</title>\n"
        f"<description>{words(number, 60)}</description>\n"
        f"<link>https://www.szpilka.example/{words(number, 3).lower().replace(' ', '-')}-{number}.html</link>\n"
        f"<g:image_link>https://cdn.szpilka.example/img/{number % 100}/{key(number):016x}.jpg</g:image_link>\n"
        f"<g:mpn>{key(number + 1):016x}</g:mpn>\n"
        "<g:condition>new</g:condition>\n<g:availability>in stock</g:availability>\n"
        f"<g:price>{20 + number % 400}.99 PLN</g:price>\n<g:sale_price>{15 + number % 400}.49 PLN</g:sale_price>\n"
        "<g:sale_price_effective_date>2026-11-01T00:00+01:00/2026-12-24T23:59+01:00</g:sale_price_effective_date>\n"
        f"<g:brand>Marka {number % 300}</g:brand>\n<g:gtin>{5_900_000_000_000 + number}</g:gtin>\n"
        f"<g:product_type>{words(number % 500, 1)} &gt; {words(number % 500, 3)}</g:product_type>\n"
        f"<g:item_group_id>G{number // 4}</g:item_group_id>\n<g:color>czarny</g:color>\n"
        f"<g:size>{36 + number % 8}</g:size>\n"
        f"<g:custom_label_0>{('low', 'middle', 'high')[number % 3]}</g:custom_label_0>\n</item>\n"
    )


def csv_row(number: int) -> str:
    return (
        f'SKU-{number},{words(number, 4)} {number % 977},"{words(number, 60)}",in stock,{20 + number % 400}.99 PLN,'
        f"{15 + number % 400}.49 PLN,"
        f"https://www.szpilka.example/{words(number, 3).lower().replace(' ', '-')}-{number}.html,"
        f"https://cdn.szpilka.example/img/{number % 100}/{key(number):016x}.jpg,Marka {number % 300},"
        f"{words(number % 500, 1)} > {words(number % 500, 3)},G{number // 4},czarny,{36 + number % 8},high\n"
    )


def write_feed(file: IO[str], form: str, products: int) -> None:
    if form == "xml":
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n<rss xmlns:g="http://base.google.com/ns/1.0"><channel>\n')
        file.writelines(xml_item(number) for number in range(products))
        file.write("</channel></rss>\n")
    else:
        file.write("id,title,description,availability,price,sale_price,link,image_link,brand,product_type,")
        file.write("item_group_id,color,size,custom_label_0\n")
        file.writelines(csv_row(number) for number in range(products))


def load(url: str, path: str) -> None:
    """What is measured, in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    job = FeedJob(feed_id=1, advertiser_id=1, url="", force=True)
    run = asyncio.run(run_once(RedisSettings(url=url), job, path))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"  {run.outcome.value}: {run.products:,} products of {run.bytes / 1024**2:,.0f} MiB; {cpu:.1f} s CPU "
        f"({cpu / max(1, run.rows) * 1e6:.0f} us a product), {time.perf_counter() - started:.0f} s, "
        f"peak {after.ru_maxrss / 1024:.0f} MiB"
    )


def memory(server: EmbeddedServer) -> int:
    """Bytes of all keys, by the server's own account."""
    with redis.Redis.from_url(server.url) as client:
        return sum(client.memory_usage(name, samples=0) or 0 for name in client.scan_iter(count=1_000))


class Watch(threading.Thread):
    """Samples what a server holds: the most of it, in bytes of its own account, until stopped."""

    def __init__(self, server: EmbeddedServer) -> None:
        super().__init__(daemon=True)
        self._url = server.url
        self._over = threading.Event()
        self.most = 0

    def run(self) -> None:
        with redis.Redis.from_url(self._url) as client:
            while not self._over.wait(0.25):
                self.most = max(self.most, int(client.info("memory")["used_memory"]))

    def stop(self) -> int:
        self._over.set()
        self.join()
        return self.most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--form", choices=("xml", "csv"), action="append", help="default: both")
    parser.add_argument("--swap", action="store_true", help="load each feed twice: what two versions at once take")
    parser.add_argument("--load", nargs=2, metavar=("URL", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(*options.load)
        return
    with tempfile.TemporaryDirectory(prefix="grosz-bench-") as folder:
        server = EmbeddedServer(Path(folder) / "data")
        server.start()
        try:
            for form in options.form or ("xml", "csv"):
                path = Path(folder) / f"feed.{form}"
                with path.open("w", encoding="utf-8") as file:
                    write_feed(file, form, options.products)
                print(f"{form}: {path.stat().st_size / options.products:,.0f} bytes a product", flush=True)
                command = [sys.executable, "-m", "tests.bench.feed", "--load", server.url, str(path)]
                subprocess.run(command, check=True, env=dict(os.environ))
                if options.swap:
                    watch = Watch(server)
                    watch.start()
                    subprocess.run(command, check=True, env=dict(os.environ))
                    print(f"  at most {watch.stop() / 1024**2:,.0f} MiB in Valkey while a version replaced another")
                path.unlink()
                time.sleep(12)  # the version before goes away after its grace
                used = memory(server)
                print(
                    f"  in Valkey {used / 1024**2:,.1f} MiB, {used / options.products:.0f} bytes a product", flush=True
                )
        finally:
            server.stop()


if __name__ == "__main__":
    main()
