"""What `grosz creative preview` writes: the page of a creative, its picture, and the markup for a bid request."""

import asyncio
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from admin.products.documents import ProductView
from bidder.decision.filling import filling_of
from bidder.openrtb.codec import Malformed, decode_request
from bidder.openrtb.formats.table import CODECS
from bidder.openrtb.tolerance import Tolerances
from core.errors import Fault, InputError
from core.model import Creative, Format, NativeAssets, Picture
from creatives.card import DEFAULT_SIZE, MAX_PIXELS, card_png
from creatives.formats.native import NativeRequest
from creatives.formats.native_filling import NativeFiller
from creatives.formats.offer import Offer, Size, fits
from creatives.formats.table import FORMATS
from creatives.macros import TOKEN, Tracker
from creatives.preview.browser import PreviewBrowser, find_program
from creatives.preview.page import ad_page, preview_size
from creatives.product import FeedProduct
from creatives.products.on_bid import BidProducts
from creatives.templates.library import AdTemplate, template_of
from creatives.templates.native_samples import CALL, IMAGE, PLACES, PRICE, SALE, SPONSORED, TEXT, TITLE
from creatives.templates.samples import LANDING, Unsigned, filled

_SUFFIX: Final = {Format.BANNER: "html", Format.NATIVE: "json", Format.VIDEO: "xml", Format.AUDIO: "xml"}

# A little more than a 4K screen: on larger ones Chromium works for minutes.
MAX_SIDE: Final = 4_096

_SIZE: Final = re.compile(r"([0-9]{1,5})x([0-9]{1,5})", re.IGNORECASE)
_SHOWN_CHARS: Final = 40


class Written(msgspec.Struct):
    """The files that were written. `markup` is "" without a request; `is_drawn` where no browser made the picture."""

    page: str
    picture: str
    markup: str
    is_drawn: bool


def size_of(text: str) -> Size:
    """A size such as 300x250. Raises InputError."""
    found = _SIZE.fullmatch(text)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if min(size) < 1 or max(size) > MAX_SIDE:
        hint = f"for example 300x250, at most {MAX_SIDE} a side"
        raise InputError(f"'{text[:_SHOWN_CHARS]}' is no size of an ad", hint=hint)
    return size


def offer_of(creative: Creative, body: bytes) -> Offer:
    """The offer of the first impression of a request that the creative fits into. Raises InputError."""
    try:
        request = decode_request(body, Tolerances())
    except Malformed as error:
        raise InputError(f"the file is no bid request: {error}") from None
    codec, shapes = CODECS[creative.format], tuple(FORMATS[creative.format].shapes(creative))
    for imp in request.imp:
        offer = codec.read(imp) if getattr(imp, codec.member, None) is not None else None
        if isinstance(offer, Offer) and any(fits(own, shape) for own in shapes for shape in offer.shapes):
            return offer
    fault = Fault("/imp", "no_fit", f"no impression takes this {creative.format.value} of its size", "see its shapes")
    raise InputError("the creative does not fit", faults=[fault])


def in_size(creative: Creative, size: Size | None) -> Creative:
    """A banner as it would be with another size, which is how it is looked at. Raises InputError."""
    if size is None or creative.format is not Format.BANNER or size == (creative.width, creative.height):
        return creative
    use = creative.template
    template = template_of(use.name) if use is not None else None
    if template is not None and template.layout(*size) is None:
        sizes = ", ".join(template.schema.sizes)
        raise InputError(f"the template {template.name} has no {size[0]}x{size[1]}", hint=f"there are {sizes}")
    return msgspec.structs.replace(creative, width=size[0], height=size[1])


def products_of(views: Sequence[ProductView]) -> tuple[FeedProduct, ...]:
    """Products as ads take them."""
    return tuple(_product(each) for each in views)


def page_with(creative: Creative, products: Sequence[FeedProduct], now_s: int) -> str:
    """The page of an ad of a template with some products. Raises InputError."""
    use = creative.template
    template = template_of(use.name) if use is not None else None
    if template is None:
        raise InputError(f"creative {creative.id} shows the same to everybody", hint="leave --user out")
    if creative.format is Format.NATIVE:
        return ad_page(_with_product(creative, template, products[0], now_s) if products else creative)
    return filled(creative, template, products, now_s)


def _with_product(creative: Creative, template: AdTemplate, product: FeedProduct, now_s: int) -> Creative:
    """A native creative whose own assets are those that an article among articles would get of a product."""
    filler = NativeFiller(creative, template, NativeRequest(PLACES["feed"].assets), Tracker(LANDING.rstrip("/")), 1)
    found = {each["id"]: each for each in json.loads(filler.fill((product,), now_s, Unsigned(), 1))["assets"]}

    def text(number: int) -> str:
        return str(found.get(number, {}).get("data", {}).get("value", ""))

    picture = str(found.get(IMAGE, {}).get("img", {}).get("url", "")).removeprefix(f"{LANDING}i/")
    title = str(found.get(TITLE, {}).get("title", {}).get("text", ""))
    shown = NativeAssets(
        titles=(title,), texts=(text(TEXT),) if text(TEXT) else (), sponsored=text(SPONSORED), price=text(PRICE),
        sale_price=text(SALE), call_to_action=text(CALL), images=(Picture(picture, 0, 0),) if picture else (),
    )  # fmt: skip
    return msgspec.structs.replace(creative, native=shown)


def markup_for(
    creative: Creative, request: bytes, track_url: str, products: tuple[FeedProduct, ...] = (), now_s: int = 1
) -> str:
    """The markup that a bid request would get, with signatures that no tracker takes. Raises InputError."""
    known, offer = FORMATS[creative.format], offer_of(creative, request)
    ad = known.render(creative, offer, Tracker(track_url))
    if not ad.markup or not known.admits(ad, offer):
        hint = "compare its mimes, protocols, api, battr, btype and required assets"
        fault = Fault(
            "/imp", "not_admitted", f"the impression that fits takes no {creative.format.value} such as this", hint
        )
        raise InputError("the creative does not fit", faults=[fault])
    filling = filling_of(ad, 1, json.dumps({"adm": ad.markup}).encode())
    if filling is None:
        return ad.markup.replace(TOKEN, "preview")
    shown = BidProducts(products[: filling.most], (), 0, is_full=True)
    parts = filling.around(shown, Unsigned(), 1, None, now_s)
    markup: str = json.loads(b"{" + b"preview".join(parts)[1:])["adm"]
    return markup


def _product(view: ProductView) -> FeedProduct:
    price, sale = view.price, view.sale_price if view.on_sale else None
    return FeedProduct(
        view.id, view.title, view.link, view.image, _micros(price.amount), price.currency or "",
        sale_micros=0 if sale is None else _micros(sale.amount), category=view.category, brand=view.brand,
        group=view.group, size=view.size, color=view.color, margin=view.margin, shipping=view.shipping,
        loyalty=view.loyalty, labels=tuple(view.labels),
    )  # fmt: skip


def _micros(amount: str) -> int:
    return int(Decimal(amount) * 1_000_000)


async def write_preview(
    creative: Creative, folder: Path, shown_page: str, *, size: Size | None = None, markup: str = ""
) -> Written:
    """Write the page, its picture, and the markup where there is one, into a folder, named by the creative's id."""
    markup_path = ""
    if markup:
        path = folder / f"{creative.id}-markup.{_SUFFIX[creative.format]}"
        path.write_text(markup, encoding="utf-8")
        markup_path = str(path)
    page = folder / f"{creative.id}.html"
    page.write_text(shown_page, encoding="utf-8")
    shown = size or preview_size(creative)
    picture = await _picture(page, shown)
    is_drawn = picture is None
    if picture is None:
        small = shown if max(shown) <= MAX_PIXELS else DEFAULT_SIZE
        picture = card_png(*small)
    target = folder / f"{creative.id}.png"
    target.write_bytes(picture)
    return Written(str(page), str(target), markup_path, is_drawn)


async def _picture(page: Path, size: Size) -> bytes | None:
    """The page as the browser of this machine shows it; None without one."""
    program = find_program()
    if program is None:
        return None
    with tempfile.TemporaryDirectory(prefix="grosz-page-") as folder:
        copied = Path(folder) / "ad.html"
        await asyncio.to_thread(shutil.copyfile, page, copied)
        return await PreviewBrowser(program, ("", 0)).picture(copied.as_uri(), size)
