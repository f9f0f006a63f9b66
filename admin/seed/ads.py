"""The demo shops' ads: self-contained HTML and image banners in every common size, from a few colours and words."""

import html
import urllib.parse
from collections.abc import Iterator

import msgspec

from core.model import Creative

SIZES = (
    (300, 250), (728, 90), (160, 600), (320, 50), (300, 600), (970, 250), (320, 100), (468, 60), (336, 280), (250, 250),
    (120, 600), (300, 50), (320, 480), (970, 90), (234, 60), (180, 150), (640, 480), (320, 250), (300, 300),
)  # fmt: skip
"""Width and height of the usual web and app banners, in pixels."""

# Every fourth size is an image instead of HTML, so that both kinds are seen in each demo.
IMAGE_EVERY = 4


class Look(msgspec.Struct, frozen=True):
    """What a shop's ads look like and say."""

    shop: str
    slogan: str
    offer: str
    emblem: str
    background: str
    accent: str
    domain: str
    categories: tuple[str, ...]


def creatives(advertiser_id: int, first_id: int, look: Look) -> tuple[Creative, ...]:
    """One ad a size, with ids from `first_id` in the order of SIZES."""
    return tuple(_creatives(advertiser_id, first_id, look))


def _creatives(advertiser_id: int, first_id: int, look: Look) -> Iterator[Creative]:
    for position, (width, height) in enumerate(SIZES):
        is_image = position % IMAGE_EVERY == IMAGE_EVERY - 1
        yield Creative(
            id=first_id + position,
            advertiser_id=advertiser_id,
            name=f"{look.shop} {width}x{height}",
            width=width,
            height=height,
            html="" if is_image else _html(look, width, height),
            image_url=_image(look, width, height) if is_image else "",
            alt_text=f"{look.shop}: {look.slogan}",
            landing_url=f"https://{look.domain}/?utm_source=grosz&utm_medium=banner&utm_content={width}x{height}",
            advertiser_domain=look.domain,
            categories=look.categories,
        )


def _html(look: Look, width: int, height: int) -> str:
    """A link that fills the frame. Low banners are one line, tall ones a column, small ones leave words out."""
    is_low = height <= 100
    emblem_px = max(16, min(height // 2, width // 4, 96))
    text_px = max(11, min(height // 8 if not is_low else height // 4, width // 14, 30))
    words = html.escape(look.shop if width * height < 20_000 else look.slogan)
    button = ""
    if width * height >= 15_000:
        style = f"background:{look.accent};color:#fff;padding:.4em .9em;border-radius:2em;white-space:nowrap"
        button = f'<b style="{style}">{html.escape(look.offer)}</b>'
    return (
        f'<a href="${{CLICK_URL}}" target="_blank" rel="noopener" style="display:flex;'
        f"flex-direction:{'row' if is_low else 'column'};align-items:center;justify-content:space-evenly;"
        f"gap:.4em;box-sizing:border-box;width:{width}px;height:{height}px;"
        f"padding:4px;overflow:hidden;background:{look.background};color:#222;text-decoration:none;"
        f'font:600 {text_px}px/1.25 system-ui,sans-serif;text-align:center">'
        f'<span style="font-size:{emblem_px}px;line-height:1">{look.emblem}</span><span>{words}</span>{button}</a>'
    )


def _image(look: Look, width: int, height: int) -> str:
    size = max(12, min(height // 5, width // 12))
    shop, offer = html.escape(look.shop), html.escape(look.offer)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<rect width="100%" height="100%" fill="{look.background}"/>'
        f'<rect width="100%" height="6" fill="{look.accent}"/>'
        f'<text x="50%" y="46%" font-family="sans-serif" font-size="{size}" text-anchor="middle">{shop}</text>'
        f'<text x="50%" y="78%" font-family="sans-serif" font-size="{size * 2 // 3}" text-anchor="middle" '
        f'fill="{look.accent}">{offer}</text></svg>'
    )
    return "data:image/svg+xml," + urllib.parse.quote(svg, safe="/:=,;")
