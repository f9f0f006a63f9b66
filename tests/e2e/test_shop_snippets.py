"""The snippet for tag managers, as docs/shops.md prints it, in a real browser."""

import re

import pytest
from playwright.sync_api import sync_playwright

from tests.kit.console_browser import open_browser
from tests.kit.fixtures import REPOSITORY

pytestmark = pytest.mark.needs_package("chromium")

PUSHED = """() => {
  const order = {transaction_id: "A-1", value: 640, currency: "PLN", items: [{item_id: "a"}]};
  dataLayer.push({event: "purchase", ecommerce: order});
  dataLayer.push({event: "gtm.click", "gtm.element": document.body}, {ecommerce: null});
  return dataLayer.length;
}"""


def test_the_data_layer_of_a_container_is_sent_on() -> None:
    """What was pushed before and after the snippet, and nothing that is no event of ours."""
    text = (REPOSITORY / "docs" / "shops.md").read_text()
    snippet = re.findall(r"```html\n(.*?)```", text, re.DOTALL)[0]
    before = (
        '<script>dataLayer = [{event: "gtm.js"}, {event: "view_item", ecommerce: {items: [{item_id: "a"}]}}];</script>'
    )
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        page = browser.new_page()
        page.route("**/*", lambda route: route.abort())
        page.set_content(f"<html><head>{before}</head><body>{snippet}</body></html>")
        assert page.evaluate(PUSHED) == 5
        sent = page.evaluate("window.grosz")
        tag = page.locator("script[data-advertiser=SHOP]").get_attribute("src")
        browser.close()
    assert [event["event"] for event in sent] == ["page_view", "view_item", "purchase"]
    assert sent[1]["items"] == [{"item_id": "a"}]
    assert (sent[2]["transaction_id"], sent[2]["value"]) == ("A-1", 640)
    assert tag == "https://TRACK/tag.js"
