"""`grosz tag check` opens a page with the snippet of docs/events.md and says what became of each of its events."""

import functools
import http.server
import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admin.tags.watching import Watched, watch
from creatives.preview.browser import find_program
from tests.kit.fixtures import REPOSITORY
from tests.kit.guides import make_key
from tests.kit.processes import RunningGrosz, grosz

pytestmark = pytest.mark.needs_package("chromium")

FEED = """id,title,link,image_link,price,availability,item_group_id
red-heels-37,Red heels,https://buty.example/7,https://buty.example/7.jpg,320.00 PLN,in stock,red-heels
belt,Belt,https://buty.example/8,https://buty.example/8.jpg,80.00 PLN,in stock,
"""
EVENTS = """<script>
  grosz.push({set: {gdpr: 0}});
  grosz.push({event: "view_item", items: [{item_id: "red-heels", price: 320}]});
  grosz.push({event: "add_to_cart", currency: "PLN", items: [{item_id: "belt", price: 80}, {item_id: "scarf"}]});
  grosz.push({event: "purchse", value: 80, currency: "PLN"});
  grosz.push({event: "view_item"});
  grosz.push({event: "search", value: 3, currency: "XAU"});
</script>"""
POLICY = '<meta http-equiv="Content-Security-Policy" content="connect-src \'none\'">'
# Of the check, after the page has loaded: what is sent is sent 50 ms later.
WAIT_S = 4


class Shop:
    """A running Grosz with a shop and its feed, and the shop's pages."""

    def __init__(self, running: RunningGrosz, data: Path, pages: Path, url: str) -> None:
        self.data, self.pages, self.url = data, pages, url
        self.urls = running.urls
        self.key = make_key(running, data)

    def api(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.urls['admin']}/v1/{path}", body, headers, method=method)
        with urllib.request.urlopen(asked) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def page(self, name: str, *, head: str = "", advertiser: str = "1") -> str:
        """The address of a page with the tag as the documentation prints it."""
        text = (REPOSITORY / "docs" / "events.md").read_text(encoding="utf-8")
        snippet = re.findall(r"```html\n(.*?)```", text, re.DOTALL)[0]
        tag = snippet.replace("https://TRACK", self.urls["track"]).replace(
            'advertiser="1"', f'advertiser="{advertiser}"'
        )
        (self.pages / name).write_text(f"<!doctype html>{head}{tag}{EVENTS}", encoding="utf-8")
        return f"{self.url}/{name}"

    async def watch(self, page: str) -> Watched:
        program = find_program()
        assert program is not None
        return await watch(page, program, wait_s=WAIT_S, allow_private=True)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files without its log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("tag")
    pages, data = folder / "pages", folder / "data"
    pages.mkdir()
    shops = [{"id": 1, "name": "buty", "domain": "127.0.0.1"}, {"id": 2, "name": "kapcie", "domain": "kapcie.example"}]
    (folder / "catalogue.json").write_text(json.dumps({"format": "grosz-catalogue/1", "advertisers": shops}))
    imported = grosz("catalogue", "import", str(folder / "catalogue.json"), "--data", str(data))
    assert imported.returncode == 0, imported.stderr
    handler = functools.partial(Quiet, directory=str(pages))
    with RunningGrosz(data) as running, http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = Shop(running, data, pages, f"http://127.0.0.1:{server.server_address[1]}")
        feed = made.api("POST", "feeds", json.dumps({"advertiser_id": 1, "name": "all"}).encode())
        assert made.api("PUT", f"feeds/{feed['id']}/content", FEED.encode())["products"] == 2
        yield made
        server.shutdown()


def test_each_event_is_told_with_its_faults_and_its_products(shop: Shop) -> None:
    done = grosz(
        "tag", "check", shop.page("7.html"), "--advertiser", "1", "--private", "--wait", str(WAIT_S), "--json",
        "--url", shop.urls["admin"], "--key", shop.key,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert (said["ok"], said["check"]["status"], said["check"]["problems"]) == (False, 200, [])
    events = {(one["event"], len(one["product_ids"])): one for one in said["check"]["events"]}
    assert {(name, one["fate"]) for (name, _), one in events.items()} == {
        ("page_view", "accepted"), ("search", "invalid"), ("view_item", "accepted"), ("view_item", "invalid"),
        ("add_to_cart", "accepted"), ("purchse", "accepted"),
    }  # fmt: skip
    assert {one["status"] for one in events.values()} == {200}
    assert {one["consent"]["said"] for one in events.values()} == {"gdpr 0"}
    assert [fault["pointer"] for fault in events["view_item", 1]["warnings"]] == ["/currency"]
    assert [fault["pointer"] for fault in events["view_item", 0]["errors"]] == ["/items"]
    assert [fault["pointer"] for fault in events["purchse", 0]["warnings"]] == ["/event"]
    (unknown,) = events["search", 0]["errors"]
    assert unknown["message"] == "no exchange rate for XAU", "which only the tracker knows"
    products = {one["id"]: one["found"] for one in said["check"]["products"]}
    assert products == {"red-heels": "group", "belt": "id", "scarf": "none"}


async def test_a_request_that_the_page_may_not_make_or_read_is_seen(shop: Shop) -> None:
    refused = await shop.watch(shop.page("other.html", advertiser="2"))
    assert {one.status for one in refused.events} == {403}, "although the page may not see the answer"
    assert (refused.state.ready, refused.complaints) == (True, [])
    blocked = await shop.watch(shop.page("policy.html", head=POLICY))
    assert blocked.events == [], "a policy lets no request be made"
    assert any("connect-src" in text for text in blocked.complaints), blocked.complaints


def test_without_chromium_the_package_is_named() -> None:
    done = grosz("tag", "check", "https://buty.example/", environ={"PATH": "/nowhere"})
    assert done.returncode == 2
    assert "install the package `chromium`" in done.stderr
