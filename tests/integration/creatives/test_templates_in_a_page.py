"""Every template in every size with the products that ads fail with, in Chromium: what a person would object to."""

import html
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from core.model import Format
from creatives.formats.dynamic import loaded_markup
from creatives.macros import Tracker
from creatives.product import FeedProduct
from creatives.templates.library import AdTemplate, templates
from creatives.templates.native_samples import PLACES, native_creative_of, native_preview
from creatives.templates.samples import UGLY, filled, preview, sample_creative
from tests.kit.console_browser import open_browser

pytestmark = [pytest.mark.needs_package("chromium"), pytest.mark.slow]

LOOK = {"shop": "Szpilka & Co", "headline": "Darmowy zwrot przez 30 dni", "accent": "#c9184a"}
BANNERS = {name: each for name, each in templates().items() if each.schema.format is Format.BANNER}
DEAR: tuple[tuple[str, dict[str, str], tuple[FeedProduct, ...]], ...] = tuple(
    (language, {"shop": shop, "headline": headline, "call": call}, tuple(
        FeedProduct(
            f"p{number}", title, "https://shop.example/p", "https://shop.example/boots.png", price, currency,
            sale_micros=price - 1_110_000, loyalty_micros=price - 2_220_000, shipping="free",
        )
        for number, (title, price) in enumerate(products)
    ))
    for language, shop, headline, call, currency, products in (
        ("de", "Müller & Söhne GmbH", "Gratis Rückversand innerhalb von 30 Tagen", "", "EUR",
         (("Kinderstiefel wasserdicht, Größe 34", 1_299_500_000), ("Ä" * 40, 12_345_670_000), ("i l", 10_000_000),
          ("x", 99_999_990_000), ("👟" * 20, 4_999_000_000))),
        ("pl", "WWWWWWWWWWWWWWWWWWWWWWWW", "Najlepsze ceny w całej Polsce tylko dziś i tylko u nas!!!!!!",
         "Kup teraz i odbierz jutr", "PLN",
         (("Donaudampfschifffahrtselektrizitätenhauptbetriebswerk", 899_999_990_000), ("W" * 150, 999_999_990_000),
          ("高級本革メンズ" * 6, 123_456_780_000), ("👟" * 20, 10_000_000), ("Lampa", 5_000_000))),
        ("ar", "متجر الأناقة الفاخر", "توصيل مجاني لجميع الطلبات داخل المملكة", "", "SAR",
         (("حذاء جلدي فاخر للرجال باللون البني", 12_345_670_000), ("iPhone 17 Pro Max", 99_999_500_000),
          ("A", 10_000_000), ("B", 20_000_000), ("C", 30_000_000))),
    )
)  # fmt: skip
"""Names of shops, headlines and calls as long as the form takes them, and products that cost a lot."""
SIZES = [(name, size) for name, template in BANNERS.items() for size in template.schema.sizes]

# What is wrong with the page of an ad. Texts are clipped where they do not fit into their own box or the ad's; colours
# are compared as WCAG does, with the nearest background that is not transparent.
LOOK_AT = """async ([width, height, products]) => {
  const faults = [];
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (c) => { const p = c.map((v) => linear(v / 255));
    return .2126 * p[0] + .7152 * p[1] + .0722 * p[2] };
  const rgb = (t) => (t.match(/[\\d.]+/g) || []).map(Number);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c.slice(0, 3) } return [255, 255, 255] };
  const rows = (e) => { const r = document.createRange(); r.selectNodeContents(e);
    return new Set([...r.getClientRects()].map((b) => Math.round(b.top))).size };
  const root = document.scrollingElement;
  const [wide, high] = [root.scrollWidth, root.scrollHeight];
  if (wide > width || high > height) faults.push(`overflows: ${wide}x${high}`);
  const links = [...document.querySelectorAll('a.product')];
  if (links.length !== products) faults.push(`${links.length} products instead of ${products}`);
  const track = document.querySelector('[data-carousel]');
  for (const [at, link] of links.entries()) {
    if (track) { track.scrollTo({left: link.offsetLeft - links[0].offsetLeft, behavior: 'instant'});
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))); }
    const box = link.getBoundingClientRect();
    const hit = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    if (!hit || hit.closest('a') !== link) faults.push(`product ${at} cannot be clicked`);
    for (const e of link.querySelectorAll('*')) check(e, `product ${at}`, track ? track.getBoundingClientRect() : null);
    const price = link.querySelector('.price');
    if (!price || !price.getClientRects().length) faults.push(`product ${at} has no price`);
    else if (rows(price) > 1) faults.push(`price ${at} is broken`);
  }
  for (const e of document.querySelectorAll('.ad *')) if (!e.closest('a.product')) check(e, 'frame', null);
  function check(e, where, clip) {
    const own = [...e.childNodes].filter((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own.length || !e.getClientRects().length) return;
    const style = getComputedStyle(e), text = e.textContent.trim().slice(0, 20);
    if (style.visibility === 'hidden') return;
    if (parseFloat(style.fontSize) < 11) faults.push(`${where}: ${style.fontSize} "${text}"`);
    const range = document.createRange(); range.selectNodeContents(e);
    // What is too long for its lines ends in an ellipsis there: its own box is what is seen.
    const seen = style.webkitLineClamp === 'none' ? range.getClientRects() : [e.getBoundingClientRect()];
    for (const box of seen) {
      const edge = clip || {left: 0, top: 0, right: width, bottom: height};
      if (box.left < edge.left - 1 || box.top < edge.top - 1
        || box.right > edge.right + 1 || box.bottom > edge.bottom + 1)
        faults.push(`${where}: clipped "${text}"`);
      for (let p = e; p && p.classList && !p.classList.contains('ad'); p = p.parentElement) {
        if (getComputedStyle(p).overflow === 'visible') continue;
        const b = p.getBoundingClientRect();
        if (box.bottom > b.bottom + 2 || box.right > b.right + 2 || box.left < b.left - 2 || box.top < b.top - 2)
          { faults.push(`${where}: cut off "${text}"`); break }
      }
      const meets = (b) => box.left < b.right - 1 && box.right > b.left + 1
        && box.top < b.bottom - 2 && box.bottom > b.top + 2;
      const other = [...document.querySelectorAll('a.call, span.call, a.head')].find((o) => !o.contains(e)
        && !e.contains(o) && o.getClientRects().length && meets(o.getBoundingClientRect()));
      if (other) faults.push(`${where}: "${text}" lies on ${other.className}`);
    }
    const one = light(rgb(style.color)), two = light(behind(e));
    const contrast = (Math.max(one, two) + .05) / (Math.min(one, two) + .05);
    if (contrast < 4.5) faults.push(`${where}: contrast ${contrast.toFixed(1)} "${text}"`);
  }
  const shift = await new Promise((done) => { let sum = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((s) => { sum += s.value }))
      .observe({type: 'layout-shift', buffered: true});
    setTimeout(() => done(sum), 30) });
  if (shift) faults.push(`layout shift ${shift}`);
  return faults;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = open_browser(playwright)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(reduced_motion="reduce")
    yield opened
    opened.close()


def faults_in(page: Page, text: str, template: AdTemplate, size: str) -> list[str]:
    """What is wrong with an ad, what it failed to load or was not allowed to among it."""
    width, height = map(int, size.split("x"))
    layout = template.layout(width, height)
    assert layout is not None
    return faults_of(page, text, (width, height), layout.products)


def faults_of(page: Page, text: str, measures: tuple[int, int], products: int) -> list[str]:
    """The same of a page of any kind."""
    width, height = measures
    found: list[str] = []
    page.on("requestfailed", lambda request: found.append(f"failed: {request.url[:80]}"))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.set_viewport_size({"width": width, "height": height})
    page.set_content(text)
    answer: list[str] = page.evaluate(LOOK_AT, [width, height, products])
    return found + answer


@pytest.mark.parametrize(("name", "size"), SIZES, ids=[f"{name}-{size}" for name, size in SIZES])
def test_the_ugliest_products_look_right(name: str, size: str, page: Page) -> None:
    template = BANNERS[name]
    faults = []
    # As many ads as it takes to show all five, and one from right to left.
    starts = range(0, len(UGLY), template.schema.sizes[size].products)
    for language, start in (*(("pl", start) for start in starts), ("ar", 0)):
        creative = sample_creative(template, size, LOOK, language)
        text = preview(creative, template, (*UGLY[start:], *UGLY[:start]))
        assert len(text) < 40 * 1024
        faults += [f"{language} {start}: {fault}" for fault in faults_in(page, text, template, size)]
    assert faults == []


@pytest.mark.parametrize(("name", "size"), SIZES, ids=[f"{name}-{size}" for name, size in SIZES])
def test_long_names_and_dear_products_look_right(name: str, size: str, page: Page) -> None:
    template = BANNERS[name]
    faults = []
    for language, look, products in DEAR:
        text = preview(sample_creative(template, size, look, language), template, products)
        faults += [f"{language}: {fault}" for fault in faults_in(page, text, template, size)]
    assert faults == []


# How far the middle of what the static ad shows is from the middle of the ad, in pixels from top to bottom.
OFF_CENTRE = """() => {
  const all = [...document.querySelectorAll('.empty > *')];
  const boxes = all.map((e) => e.getBoundingClientRect()).filter((b) => b.height);
  const [top, bottom] = [Math.min(...boxes.map((b) => b.top)), Math.max(...boxes.map((b) => b.bottom))];
  return Math.abs((top + bottom - document.body.clientHeight) / 2);
}"""


@pytest.mark.parametrize(("name", "size"), SIZES, ids=[f"{name}-{size}" for name, size in SIZES])
def test_the_ad_without_products_is_whole_and_in_the_middle(name: str, size: str, page: Page) -> None:
    width, height = map(int, size.split("x"))
    faults = []
    for language, look in (("pl", LOOK), *((language, look) for language, look, _ in DEAR)):
        text = filled(sample_creative(BANNERS[name], size, look, language), BANNERS[name], ())
        faults += [f"{language}: {fault}" for fault in faults_of(page, text, (width, height), 0)]
        if (off := page.evaluate(OFF_CENTRE)) > 3:
            faults.append(f"{language}: {off} pixels off the middle")
        button = page.evaluate("document.querySelector('.empty .call').getBoundingClientRect().width")
        if button > 0.85 * width:
            faults.append(f"{language}: the button is {button} pixels wide")
    assert faults == []


@pytest.mark.parametrize("name", [name for name in BANNERS if name != "text"])
def test_a_picture_that_cannot_be_loaded_gives_way_to_a_letter(name: str, page: Page) -> None:
    page.route("https://shop.example/**", lambda route: route.fulfill(status=404, body="gone"))
    broken = tuple(msgspec.structs.replace(product, image="https://shop.example/gone.jpg") for product in UGLY)
    template = BANNERS[name]
    page.set_content(preview(sample_creative(template, "300x250", LOOK), template, broken))
    page.wait_for_function("!document.images.length && document.querySelector('.picture.letters')")
    assert page.locator(".letter").first.is_visible()
    assert page.locator(".letter").first.inner_text() == "W"


@pytest.mark.parametrize("place", PLACES)
def test_a_publishers_page_has_room_for_the_parts_of_a_native_ad(place: str, page: Page) -> None:
    template = templates()["native"]
    measures = (PLACES[place].width, PLACES[place].height)
    faults = []
    for language in ("pl", "de", "ar"):
        creative = native_creative_of(template, {"shop": "Szpilka & Co", "headline": LOOK["headline"]}, language)
        for product in UGLY:
            text = native_preview(creative, template, place, product)
            faults += [f"{language} {product.id}: {fault}" for fault in faults_of(page, text, measures, 1)]
    assert faults == []


def test_what_is_wrong_with_an_ad_is_found(page: Page) -> None:
    template = BANNERS["grid"]
    good = preview(sample_creative(template, "300x250", LOOK), template, UGLY)
    for style, fault in (
        (".title{font-size:9px}", "9px"),
        (".title{white-space:nowrap}", "clipped|cut off"),
        (".old{color:#bbb}", "contrast"),
        (".call{position:absolute;inset:0}", "cannot be clicked"),
        (".price{word-break:break-all;white-space:normal!important;width:20px}", "broken"),
        (".ad{height:300px}body,html{height:300px}", "overflows"),
        (".picture img{content:url(https://cdn.example/a)}", "failed"),
    ):  # fmt: skip
        found = faults_in(page, good.replace("</style>", f"{style}</style>"), template, "300x250")
        assert any(re.search(fault, each) for each in found), (style, found)


def test_a_carousel_turns_by_its_buttons(page: Page) -> None:
    template = BANNERS["carousel"]
    page.set_viewport_size({"width": 300, "height": 250})
    page.set_content(preview(sample_creative(template, "300x250", LOOK), template, UGLY))
    seen = "document.querySelector('[data-carousel]').scrollLeft"
    assert page.evaluate(seen) == 0
    page.click(".on")
    page.wait_for_function(f"{seen} > 100")
    page.click(".back")
    page.wait_for_function(f"{seen} === 0")


def test_the_static_ad_is_seen_until_the_other_one_is_there(browser: Browser) -> None:
    template = BANNERS["grid"]
    creative = sample_creative(template, "300x250", LOOK)
    markup = loaded_markup(creative, Tracker("https://track.example"), takes_scripts=True)
    answers: dict[str, Any] = {"works": True}

    def serve(route: Route) -> None:
        if not answers["works"]:
            route.abort()
        elif "/a/" in route.request.url:
            route.fulfill(body=preview(creative, template), content_type="text/html")
        else:
            route.fulfill(body=f"<body style='margin:0'>{markup}", content_type="text/html")

    page = browser.new_page(viewport={"width": 300, "height": 250})
    page.route("**/*", serve)
    page.goto("https://news.example/")
    page.wait_for_function("document.querySelector('iframe').style.opacity === '1'")
    gone = browser.new_page(viewport={"width": 300, "height": 250})
    gone.route("https://track.example/**", lambda route: route.abort())
    gone.set_content(f"<body style='margin:0'>{markup}")
    gone.wait_for_timeout(300)
    assert gone.evaluate("document.querySelector('iframe').style.opacity") == "0"
    box = gone.locator("a", has_text=html.unescape("Szpilka & Co")).bounding_box()
    assert box is not None
    assert re.fullmatch("300.0x250.0", f"{float(box['width'])}x{float(box['height'])}")
    page.close()
    gone.close()
