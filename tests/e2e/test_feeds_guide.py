"""docs/feeds.md, docs/choosing.md and docs/recommendations.md do what they say: every command on them, in order."""

import functools
import http.server
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.guides import GROSZ, blocks, make_key
from tests.kit.processes import RunningGrosz, clean_environment

HEADER = "id,title,link,image_link,price,sale_price,availability,product_type,brand,custom_label_0"
PRODUCTS = (
    ("red-heels", "Red heels", "320.00 PLN", "Shoes > Heels", "high"),
    ("black-boots", "Black boots", "280.00 PLN", "Shoes > Boots", "low"),
    ("blue-heels", "Blue heels", "300.00 PLN", "Shoes > Heels", "high"),
    ("gold-heels", "Gold heels", "450.00 PLN", "Shoes > Heels", "high"),
    ("no-price", "No price", "", "Shoes", "low"),
)
SHOP = "https://szpilka.example"
FEED = HEADER + "".join(
    f"\n{name},{title},{SHOP}/{name},{SHOP}/{name}.jpg,{price},,in stock,{category},Acme,{margin}"
    for name, title, price, category, margin in PRODUCTS
)
FRESH_S = 240.0


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def feed_address(tmp_path: Path) -> Iterator[str]:
    """Where a shop's server has its feed."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "feed.csv").write_text(FEED)
    (tmp_path / "broken.csv").write_text(FEED[:200])
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/feed.csv"
        server.shutdown()


@pytest.mark.needs_package("curl")
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_guides_lead_a_newcomer_from_a_feed_to_recommendations(tmp_path: Path, feed_address: str) -> None:
    with RunningGrosz(tmp_path / "data", environ={"GROSZ_WORKER_PRIVATE_FEEDS": "true"}) as running:
        environ = clean_environment() | {
            "ADMIN": running.urls["admin"], "TRACK": running.urls["track"], "KEY": make_key(running, tmp_path / "data"),
            "FEED": feed_address, "PYTHON": sys.executable, "GROSZ_DATA_DIRECTORY": str(tmp_path / "data"),
            "COLUMNS": "200",
        }  # fmt: skip

        def run(*commands: str) -> str:
            done = subprocess.run(
                ["bash", "-c", GROSZ + "\n".join(commands)], cwd=tmp_path, env=environ, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr + running.log()[-3_000:]
            return done.stdout

        check, make, look, mapping, broken, change, match = blocks("feeds.md")
        printed = run(check)
        assert "can be loaded" in printed
        assert "is missing or empty" in printed
        assert "loaded" in run(make)
        assert "Red heels" in run(look)
        assert "loaded" in run(mapping)
        printed = run(broken)
        assert "refused, and the products stay" in printed
        assert "in_stock" in printed
        printed = run(change)
        assert '"changed":2' in printed
        assert "out_of_stock" in printed
        printed = run(match)
        assert re.search(r"view_item .* 50\.0%", printed), printed
        assert "wc_post_id_17" in printed
        first, why, dynamic = blocks("choosing.md")
        deadline = time.monotonic() + FRESH_S  # the model is fitted within seconds of the first feed
        while "Blue heels" not in (printed := run(first)):
            assert time.monotonic() < deadline, printed
        assert "is out of stock" in printed
        assert '"strategy"' in run(why)
        printed = run(dynamic)
        assert "Blue heels" in printed
        assert "has a margin below high" in printed
        page, origins, mails, file = blocks("recommendations.md")
        deadline = time.monotonic() + FRESH_S  # the tracker has the model a moment after it was asked first
        while '"id":"blue-heels"' not in (printed := run(page)):
            assert time.monotonic() < deadline, printed
        assert '"black-boots"' not in printed
        assert "1" in run(origins)
        assert '"reason":"bestsellers"' in run(mails)
        assert "bestsellers" in run(file)
