#!/usr/bin/env python3
"""Writes docs/creatives.png: the demo's creatives as a contact sheet, rendered by the Chromium of this machine.

Made-up shops have no films: the player's page records one from a shop's colours and words, and a sound is silent. Both
are played by what our VAST says, with the companion that it names beside the player. The emblems of shops need a font
that has them, such as that of Debian's package fonts-noto-color-emoji.

Run by the environment: `.venv/bin/python scripts/make-contact-sheet.py`.
"""

import asyncio
import base64
import io
import sys
import urllib.parse
import wave
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from PIL import Image  # noqa: E402 - by the path above
from playwright.async_api import Browser, Route, async_playwright  # noqa: E402

from admin.seed.ads import Look, drawn_ad  # noqa: E402
from admin.seed.catalogue import demo_catalogue  # noqa: E402
from admin.seed.shops import SHOPS as SEEDED  # noqa: E402
from core.model import Creative, Format  # noqa: E402
from creatives.formats.offer import DurationRange  # noqa: E402
from creatives.formats.spots import SpotOffer, render  # noqa: E402
from creatives.macros import Tracker  # noqa: E402
from creatives.preview.browser import find_program  # noqa: E402
from creatives.preview.page import ad_page, preview_size  # noqa: E402

# Shops, and banners and native ads of each; videos and sounds come besides.
SHOPS, ADS = 2, 5
WIDTH, GAP = 1_200, 16
SCALE = 0.5
COLOURS = 64
CLIP, COMPANION, BAR = (640, 360), (300, 250), 54
SOUND_S, SAMPLES_A_SECOND = 20, 8_000
WAIT_MS = 20_000
FLAGS = ("--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required")

RECORD = """
async ([width, height, look]) => {
  const canvas = Object.assign(document.createElement("canvas"), {width, height});
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(15), {mimeType: "video/webm;codecs=vp8"});
  const parts = [], ended = new Promise((done) => { recorder.onstop = done; });
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.start();
  for (let frame = 0; frame < 30; frame += 1) {
    context.fillStyle = look.background;
    context.fillRect(0, 0, width, height);
    context.fillStyle = look.accent;
    context.fillRect(0, height - 12, width * frame / 30, 12);
    context.textAlign = "center";
    context.font = "bold 64px sans-serif";
    context.fillText(look.shop, width / 2, 140);
    context.fillStyle = "#222";
    context.font = "30px sans-serif";
    context.fillText(look.slogan, width / 2, 205);
    context.fillText(look.offer, width / 2, 260);
    await new Promise((next) => setTimeout(next, 1000 / 15));
  }
  recorder.stop();
  await ended;
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return btoa(Array.from(bytes, (each) => String.fromCharCode(each)).join(""));
}"""

PLAY = """
async ([vast, kind]) => {
  const ad = new DOMParser().parseFromString(vast, "text/xml");
  const player = document.querySelector(kind), beside = document.querySelector("img");
  const text = (element) => element.textContent.trim();
  const file = [...ad.querySelectorAll("MediaFile")].find((each) => player.canPlayType(each.getAttribute("type"))
    && (kind === "audio" || each.getAttribute("type") === "video/webm"));
  [beside.width, beside.height] = ["width", "height"].map((name) => ad.querySelector("Companion").getAttribute(name));
  beside.src = text(ad.querySelector("Companion StaticResource"));
  player.src = text(file);
  await beside.decode();
  await player.play();
  await new Promise((done) => { player.ontimeupdate = () => player.currentTime > 1 && done(); });
  player.pause();
}"""


def halved(png: bytes) -> Image.Image:
    """A picture in half its size."""
    shown = Image.open(io.BytesIO(png)).convert("RGB")
    return shown.resize((int(shown.width * SCALE), int(shown.height * SCALE)), Image.Resampling.LANCZOS)


async def shown(browser: Browser, creative: Creative) -> Image.Image:
    """An ad as its preview shows it."""
    width, height = preview_size(creative)
    page = await browser.new_page(viewport={"width": width, "height": height})
    await page.set_content(ad_page(creative))
    png = await page.screenshot()
    await page.close()
    return halved(png)


def silence() -> bytes:
    """A sound as a file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(1)
        written.setframerate(SAMPLES_A_SECOND)
        written.writeframes(b"\x80" * SOUND_S * SAMPLES_A_SECOND)
    return file.getvalue()


async def played(browser: Browser, creative: Creative, look: Look) -> Image.Image:
    """A frame of a spot, or the bar of a sound, with its companion, in half its size."""
    kind, is_video = str(creative.format), creative.format is Format.VIDEO
    width, height = (CLIP[0] + GAP + COMPANION[0], CLIP[1]) if is_video else (COMPANION[0], BAR + COMPANION[1])
    page = await browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(WAIT_MS)
    words = {"shop": look.shop, "slogan": look.slogan, "offer": look.offer}
    words |= {"background": look.background, "accent": look.accent}
    clip = base64.b64decode(await page.evaluate(RECORD, [*CLIP, words])) if is_video else silence()

    companion = urllib.parse.unquote(drawn_ad(look, *COMPANION).partition(",")[2])

    async def answer(route: Route) -> None:
        if route.request.url.endswith(".png"):
            await route.fulfill(body=companion, content_type="image/svg+xml")
        else:
            await route.fulfill(body=clip, content_type="video/webm" if is_video else "audio/wav")

    await page.route(f"https://cdn.{look.domain}/**", answer)
    size = f"width:{CLIP[0]}px;height:{CLIP[1]}px;margin-right:{GAP}px" if is_video else f"width:100%;height:{BAR}px"
    await page.set_content(
        "<!doctype html><style>body{margin:0;background:#e8e8e8;display:flex;flex-wrap:wrap}</style>"
        f'<{kind} muted {"" if is_video else "controls"} style="{size}"></{kind}><img>'
    )
    offer = SpotOffer(
        kind, (DurationRange(kind, 0, 600_000),), (CLIP,) if is_video else (), protocols=(13,),
        mimes=("video/webm", "audio/mpeg"), companion_sizes=(COMPANION,),
    )  # fmt: skip
    vast = render(creative, offer, Tracker("https://track.example", "")).markup
    await page.evaluate(PLAY, [vast, kind])
    png = await page.screenshot()
    await page.close()
    return halved(png)


def sheet(pictures: list[Image.Image]) -> Image.Image:
    """All of them in rows, the highest first."""
    places, x, y, row = [], GAP, GAP, 0
    for each in sorted(pictures, key=lambda each: -each.height):
        if x + each.width + GAP > WIDTH:
            x, y, row = GAP, y + row + GAP, 0
        places.append((each, x, y))
        x, row = x + each.width + GAP, max(row, each.height)
    whole = Image.new("RGB", (WIDTH, y + row + GAP), "#e8e8e8")
    for each, left, top in places:
        whole.paste(each, (left, top))
    return whole.quantize(COLOURS)


def ads_of(shop: int, ads: tuple[Creative, ...]) -> list[Creative]:
    """Those of a shop that are shown."""
    own = sorted((each for each in ads if each.advertiser_id == shop), key=lambda one: one.format.value)
    stills = [each for each in own if each.format in (Format.BANNER, Format.NATIVE)]
    return [*stills[-ADS:], *(each for each in own if each.format in (Format.VIDEO, Format.AUDIO))]


async def main() -> None:
    """Render and write."""
    program = find_program()
    if program is None:
        sys.exit("needs a program that is not installed: chromium")
    ads = demo_catalogue().creatives
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        pictures = [
            await (played(browser, each, look) if each.format in (Format.VIDEO, Format.AUDIO) else shown(browser, each))
            for shop, look in enumerate((each.look for each in SEEDED[:SHOPS]), start=1)
            for each in ads_of(shop, ads)
        ]
        await browser.close()
    sheet(pictures).save(REPOSITORY / "docs" / "creatives.png", optimize=True)


if __name__ == "__main__":
    asyncio.run(main())
