"""A creative as people see it, as a page that counts nothing; what its picture is called."""

import hashlib
import html
from typing import Final

import msgspec

from core.model import Creative, Format, NativeAssets
from creatives.formats.banner import preview_markup
from creatives.formats.offer import Size
from creatives.formats.spots import spot_of

NATIVE_SIZE: Final[Size] = (400, 440)
PLAYER_SIZE: Final[Size] = (640, 360)
SOUND_SIZE: Final[Size] = (640, 120)

# Pixels. Wider or higher ads are shown cut to this, which is what screens have.
MAX_SIDE: Final = 1_920

_STYLE: Final = (
    "body{margin:0;overflow:hidden;background:#fff;font:15px/1.4 sans-serif;color:#222}"
    ".native{box-sizing:border-box;width:100%;padding:12px;border:1px solid #ddd}"
    ".native img{display:block;max-width:100%;margin:0 0 8px}.native .icon{float:right;width:40px;height:40px}"
    ".native h1{font-size:18px;margin:0 0 4px}.native p{margin:0 0 8px}.native s{color:#888}"
    ".native .go{display:inline-block;padding:6px 14px;background:#222;color:#fff}"
    "video{display:block;width:100%;height:100vh;background:#000}audio{width:100%}.sound{padding:12px}"
)


def preview_name(creative: Creative) -> str:
    """What the page and the picture of a version of a creative are called; only someone who saw a bid knows it."""
    seen = (
        str(creative.format), creative.html, creative.frame_url, creative.image_url, creative.native, creative.video,
        creative.audio, creative.landing_url, *(() if creative.template is None else (creative.template,)),
    )  # fmt: skip
    digest = hashlib.sha256(msgspec.json.encode(seen)).hexdigest()
    return f"{creative.id}-{creative.version}-{digest[:24]}"


def preview_path(creative: Creative) -> str:
    """Where the tracker has the picture."""
    return f"/preview/{preview_name(creative)}.png"


def preview_size(creative: Creative) -> Size:
    """Width and height of the picture, in pixels."""
    match creative.format:
        case Format.BANNER:
            return min(creative.width, MAX_SIDE) or PLAYER_SIZE[0], min(creative.height, MAX_SIDE) or PLAYER_SIZE[1]
        case Format.NATIVE:
            return NATIVE_SIZE
        case Format.AUDIO:
            return SOUND_SIZE
        case Format.VIDEO:
            return PLAYER_SIZE


def ad_page(creative: Creative, markup: str = "") -> str:
    """The whole page; `markup` is a banner's where it was made otherwise than for a preview."""
    match creative.format:
        case Format.BANNER:
            body = markup or preview_markup(creative)
        case Format.NATIVE:
            body = _native(creative.native or NativeAssets())
        case _:
            body = _spot(creative)
    title = html.escape(f"{creative.id}-{creative.version}")
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>{body}'


def framed(name: str, size: Size) -> str:
    """A page with the ad in a frame that has no origin, and so reaches nothing of ours."""
    width, height = size
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(name)}</title>'
        "<style>body{margin:0;overflow:hidden}iframe{border:0;display:block}</style>"
        f'<iframe src="{html.escape(name)}/ad" width="{width}" height="{height}" sandbox="allow-scripts" '
        'title="ad"></iframe>'
    )


def _native(own: NativeAssets) -> str:
    parts = []
    if own.icon is not None:
        parts.append(f'<img class="icon" src="{html.escape(own.icon.url)}" alt="">')
    if own.sponsored:
        parts.append(f"<small>{html.escape(own.sponsored)}</small>")
    parts += [f'<img src="{html.escape(picture.url)}" alt="">' for picture in own.images[:1]]
    parts += [f"<h1>{html.escape(text)}</h1>" for text in own.titles[-1:]]
    parts += [f"<p>{html.escape(text)}</p>" for text in own.texts[-1:]]
    if own.price or own.sale_price:
        old = f"<s>{html.escape(own.price)}</s> " if own.sale_price and own.price else ""
        parts.append(f"<p>{old}<b>{html.escape(own.sale_price or own.price)}</b></p>")
    if own.call_to_action:
        parts.append(f'<span class="go">{html.escape(own.call_to_action)}</span>')
    return f'<div class="native">{"".join(parts)}</div>'


def _spot(creative: Creative) -> str:
    spot = spot_of(creative)
    media = spot.media if spot is not None else ()
    sources = "".join(f'<source src="{html.escape(each.url)}" type="{html.escape(each.mime)}">' for each in media)
    if creative.format is Format.AUDIO:
        name = html.escape(creative.name)
        return f'<div class="sound"><p>{name}</p><audio controls preload="metadata">{sources}</audio></div>'
    return f'<video controls muted preload="auto">{sources}</video>'
