"""What `grosz creative preview` writes: the page of a creative, its picture, and the markup for a bid request."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from admin.products.documents import ProductView
from bidder.openrtb.codec import Malformed, decode_request
from bidder.openrtb.formats.table import CODECS
from bidder.openrtb.tolerance import Tolerances
from core.errors import Fault, InputError
from core.model import Creative, Format
from creatives.card import DEFAULT_SIZE, MAX_PIXELS, card_png
from creatives.formats.offer import Offer, Size, fits
from creatives.formats.table import FORMATS
from creatives.macros import TOKEN, Tracker
from creatives.preview.browser import PreviewBrowser, find_program
from creatives.preview.page import ad_page, preview_size
from creatives.product import FeedProduct
from creatives.templates.library import template_of
from creatives.templates.samples import filled

_SUFFIX: Final = {Format.BANNER: "html", Format.NATIVE: "json", Format.VIDEO: "xml", Format.AUDIO: "xml"}


class Written(msgspec.Struct):
    """The files that were written. `markup` is "" without a request; `is_drawn` where no browser made the picture."""

    page: str
    picture: str
    markup: str
    is_drawn: bool


def size_of(text: str) -> Size:
    """A size such as 300x250. Raises InputError."""
    width, _, height = text.lower().partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise InputError(f"'{text}' is no size", hint="for example 300x250")
    return int(width), int(height)


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


def page_with(creative: Creative, products: Sequence[ProductView], now_s: int) -> str:
    """The page of an ad of a template with some products. Raises InputError."""
    use = creative.template
    template = template_of(use.name) if use is not None else None
    if template is None:
        raise InputError(f"creative {creative.id} shows the same to everybody", hint="leave --user out")
    return filled(creative, template, [_product(each) for each in products], now_s)


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
    creative: Creative,
    folder: Path,
    track_url: str,
    *,
    size: Size | None = None,
    request: bytes | None = None,
    shown_page: str = "",
) -> Written:
    """Write the files into a folder, named by the creative's id; `shown_page` is the page where it was made already."""
    markup_path, markup = "", ""
    if request is not None:
        ad = FORMATS[creative.format].render(creative, offer_of(creative, request), Tracker(track_url))
        markup = ad.markup.replace(TOKEN, "preview")
        path = folder / f"{creative.id}-markup.{_SUFFIX[creative.format]}"
        path.write_text(markup, encoding="utf-8")
        markup_path = str(path)
    page = folder / f"{creative.id}.html"
    page.write_text(shown_page or ad_page(creative), encoding="utf-8")
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
