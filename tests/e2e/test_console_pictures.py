"""The console looks as its documentation shows it: every page, both themes, wide and narrow."""

import asyncio
import base64
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from tests.kit.console_pictures import FOLDER, LOOKS, PAGES, launched, logged_in, looks_of, shown_console, take

pytestmark = [pytest.mark.needs_package("chromium"), pytest.mark.slow]

# Of the pixels of a picture; a channel that is off by less than a tenth is the same.
MOST_DIFFERENT = 0.005
MOST_BYTES = 5 * 1024 * 1024

COMPARE = """async ([was, is]) => {
  const pixels = async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height);
  };
  const [left, right] = await Promise.all([pixels(was), pixels(is)]);
  if (left.width !== right.width || left.height !== right.height) return 1;
  let different = 0;
  for (let at = 0; at < left.data.length; at += 4) {
    if ([0, 1, 2].some((channel) => Math.abs(left.data[at + channel] - right.data[at + channel]) > 25)) different += 1;
  }
  return different / (left.width * left.height);
}"""


def files() -> set[str]:
    return {f"{name}-{theme}-{width}.png" for name in PAGES for theme, width, _, _ in looks_of(name)}


def test_every_page_has_its_pictures_and_they_are_small() -> None:
    shown = {path.name: path.stat().st_size for path in FOLDER.glob("*.png")}
    assert shown.keys() == files()
    assert sum(shown.values()) <= MOST_BYTES
    text = (FOLDER.parent / "console.md").read_text()
    assert [name for name in PAGES if f"console/{name}-" not in text] == []


@pytest.mark.timeout(420)  # some hundred pictures are taken and compared
async def test_pages_look_as_they_are_shown(valkey: str, tmp_path: Path) -> None:
    """`python -m tests.kit.console_pictures` makes the pictures anew where a change is meant."""
    target = tmp_path / "pictures"
    target.mkdir()
    async with shown_console(valkey, tmp_path) as api, async_playwright() as playwright:
        browser = await launched(playwright)
        await take(browser, api, target)
        page = await browser.new_page()
        different = {}
        for name in sorted(files()):
            was, now = [await asyncio.to_thread((folder / name).read_bytes) for folder in (FOLDER, target)]
            share = await page.evaluate(COMPARE, [base64.b64encode(one).decode() for one in (was, now)])
            if share > MOST_DIFFERENT:
                different[name] = share
        await browser.close()
    assert different == {}


async def test_what_was_spent_today_is_seen_first_on_a_phone(valkey: str, tmp_path: Path) -> None:
    async with shown_console(valkey, tmp_path) as api, async_playwright() as playwright:
        browser = await launched(playwright)
        page = await logged_in(browser, api, LOOKS[2])
        heads = page.locator("main th.number")
        assert await heads.first.inner_text() == "Wydano"
        box = await heads.first.bounding_box()
        await browser.close()
    assert box is not None
    assert box["x"] + box["width"] <= LOOKS[2][1]


@pytest.mark.parametrize("language", ["en", "pl"])
async def test_what_line_items_spent_is_seen_at_1280_pixels(valkey: str, tmp_path: Path, language: str) -> None:
    async with shown_console(valkey, tmp_path) as api, async_playwright() as playwright:
        browser = await launched(playwright)
        page = await logged_in(browser, api, (*LOOKS[0][:3], language))
        await page.goto(str(api.client.make_url("/line-items")))
        hidden = await page.locator(".table").evaluate("(one) => one.scrollWidth - one.clientWidth")
        assert await page.locator("th.number").count() == 2
        await browser.close()
    assert hidden <= 0
