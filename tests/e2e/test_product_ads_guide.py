"""docs/product-ads.md does what it says: every command on it, in order."""

import functools
import http.server
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from creatives.templates.library import OWN
from tests.kit.guides import GROSZ, blocks, make_key
from tests.kit.processes import RunningGrosz, clean_environment
from tests.kit.waiting import wait_until

SHOP = "https://szpilka.example"
FEED = "id,title,link,image_link,price,availability,product_type" + "".join(
    f"\n{name},{title},{SHOP}/{name},{SHOP}/{name}.jpg,{price} PLN,in stock,Shoes"
    for name, title, price in (("red-heels", "Red heels", 320), ("black-boots", "Black boots", 280))
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def feed_address(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "feed.csv").write_text(FEED)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/feed.csv"
        server.shutdown()


def knows_the_exchange(bid_url: str) -> bool:
    """Whether the bidder has installed the exchange: of an unknown one it answers 404, whatever is sent."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{bid_url}/openrtb2/demo", b"{}")):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code != 404


@pytest.mark.needs_package("curl")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_guide_leads_from_a_feed_to_a_banner_that_is_bid_with(tmp_path: Path, feed_address: str) -> None:
    with RunningGrosz(tmp_path / "data", environ={"GROSZ_WORKER_PRIVATE_FEEDS": "true"}) as running:
        environ = clean_environment() | {
            "ADMIN": running.urls["admin"], "TRACK": running.urls["track"], "BID": running.urls["bid"],
            "KEY": make_key(running, tmp_path / "data"), "FEED": feed_address, "PYTHON": sys.executable,
            "GROSZ_DATA_DIRECTORY": str(tmp_path / "data"), "COLUMNS": "200", "TEMPLATES": str(OWN),
        }  # fmt: skip

        def run(script: str) -> str:
            done = subprocess.run(
                ["bash", "-c", GROSZ + script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr + running.log()[-3_000:]
            return done.stdout

        feed, look, make, leave, show, native, own = blocks("product-ads.md")
        assert "loaded" in run(feed)
        assert "grid.html: grid in 9 sizes" in run(look)
        assert "srcdoc" in (tmp_path / "grid.html").read_text()
        run(make)
        run(leave)
        # Who follows the guide by hand takes longer than a bidder needs to hear of the new exchange.
        wait_until(lambda: knows_the_exchange(running.urls["bid"]))
        assert int(run(show)) >= 1
        assert "320,00" in (tmp_path / "ad.html").read_text()
        run(native)
        printed = run(own)
        assert "autumn can be used" in printed
        assert "style.css:" in printed
        assert "told, with the line" in printed
