"""The demo shops' ads: self-contained HTML and image banners in every common size, from a few colours and words; and
spots."""

import html
import urllib.parse
from collections.abc import Iterator
from typing import Any

import msgspec

from core.model import Creative, Format, NativeAssets, Picture, ProductChoice, TemplateUse
from core.spot import Companion, MediaFile, Spot
from creatives.templates.library import templates

SIZES = (
    (300, 250), (728, 90), (160, 600), (320, 50), (300, 600), (970, 250), (320, 100), (468, 60), (336, 280), (250, 250),
    (120, 600), (300, 50), (320, 480), (970, 90), (234, 60), (180, 150), (640, 480), (320, 250), (300, 300),
)  # fmt: skip
"""Width and height of the usual web and app banners, in pixels."""

TEMPLATES = ("grid", "single", "carousel", "text")
"""Which templates the shops use, in turns."""

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
    language: str = "pl"  # of prices


def creatives(advertiser_id: int, first_id: int, look: Look) -> tuple[Creative, ...]:
    """One ad a size, with ids from `first_id` in the order of SIZES."""
    return tuple(_creatives(advertiser_id, first_id, look))


def _creatives(advertiser_id: int, first_id: int, look: Look) -> Iterator[Creative]:
    for position, (width, height) in enumerate(SIZES):
        is_image = position % IMAGE_EVERY == IMAGE_EVERY - 1
        template = None if is_image else _template(look, position, width, height)
        yield Creative(
            id=first_id + position,
            advertiser_id=advertiser_id,
            name=f"{look.shop} {width}x{height}",
            width=width,
            height=height,
            html="" if is_image or template is not None else _html(look, width, height),
            image_url=drawn_ad(look, width, height) if is_image else "",
            alt_text=f"{look.shop}: {look.slogan}",
            landing_url=f"https://{look.domain}/?utm_source=grosz&utm_medium=banner&utm_content={width}x{height}",
            advertiser_domain=look.domain,
            categories=look.categories,
            language=look.language if template is not None else "",
            products=None if template is None else ProductChoice(),
            template=template,
        )


def _template(look: Look, position: int, width: int, height: int) -> TemplateUse | None:
    """How an ad shows the shop's products; None in sizes that no template has."""
    name = TEMPLATES[position % len(TEMPLATES)]
    if f"{width}x{height}" not in templates()[name].schema.sizes:
        return None
    parameters = {
        "shop": look.shop, "headline": look.slogan, "background": look.background, "accent": look.accent,
    }  # fmt: skip
    return TemplateUse(name=name, parameters=parameters)


VIDEO_AT, AUDIO_AT = 40, 41
"""Places of a shop's spots among its ids, behind its banners."""


def spots(advertiser_id: int, first_id: int, look: Look) -> tuple[Creative, ...]:
    """A video of 15 s and a sound of 20 s, in usual encodings; made-up shops have no films, so nothing is there."""
    cdn = f"https://cdn.{look.domain}"
    steps = ((1920, 1080, 4_500), (1280, 720, 2_200), (640, 360, 800))
    video = Spot(
        duration_ms=15_000,
        media=(
            *(
                MediaFile(url=f"{cdn}/spot-{h}.mp4", mime="video/mp4", width=w, height=h, bitrate_kbps=rate)
                for w, h, rate in steps
            ),
            MediaFile(url=f"{cdn}/spot.webm", mime="video/webm", width=1280, height=720, bitrate_kbps=1_800),
        ),
        skip_after_s=5,
        companions=(Companion(width=300, height=250, image_url=f"{cdn}/spot.png", alt_text=look.slogan),),
    )
    sound = Spot(
        duration_ms=20_000,
        media=(
            MediaFile(url=f"{cdn}/spot.mp3", mime="audio/mpeg", bitrate_kbps=128),
            MediaFile(url=f"{cdn}/spot.m4a", mime="audio/mp4", bitrate_kbps=96),
        ),
        companions=video.companions,
    )
    members: dict[str, Any] = {
        "advertiser_id": advertiser_id,
        "landing_url": f"https://{look.domain}/?utm_source=grosz&utm_medium=spot",
        "advertiser_domain": look.domain,
        "categories": look.categories,
    }
    return (
        Creative(id=first_id + VIDEO_AT, name=f"{look.shop} video 15 s", format=Format.VIDEO, video=video, **members),
        Creative(id=first_id + AUDIO_AT, name=f"{look.shop} audio 20 s", format=Format.AUDIO, audio=sound, **members),
    )


NATIVE_AT = 42
"""Place of a shop's native ad among its ids."""


def native_ad(advertiser_id: int, first_id: int, look: Look) -> Creative:
    """The shop's native ad: one of its products. Without one its pictures are drawn, and loaded from nowhere."""
    assets = NativeAssets(
        titles=(look.shop, f"{look.shop}: {look.slogan}"[:90]),
        texts=(look.slogan, f"{look.slogan}. {look.offer}"[:140]),
        images=tuple(Picture(drawn_ad(look, w, h), w, h, "image/svg+xml") for w, h in ((1200, 627), (600, 600))),
        icon=Picture(drawn_ad(look, 100, 100), 100, 100, "image/svg+xml"),
        sponsored=look.shop[:25],
        call_to_action="Shop now",
    )
    return Creative(
        id=first_id + NATIVE_AT, advertiser_id=advertiser_id, name=f"{look.shop} native", format=Format.NATIVE,
        landing_url=f"https://{look.domain}/?utm_source=grosz&utm_medium=native", advertiser_domain=look.domain,
        categories=look.categories, native=assets, language=look.language, products=ProductChoice(),
        template=TemplateUse(name="native", parameters={"shop": look.shop[:25], "headline": look.offer}),
    )  # fmt: skip


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


def drawn_ad(look: Look, width: int, height: int) -> str:
    """A picture of the shop's colours and words, as an address that nothing has to be loaded from."""
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
