"""The page that an ad of a template is: around its markup the style, the colours and the one script that it runs.

Nothing in it comes from elsewhere but images. It is shown in a sandboxed frame only: as the `srcdoc` of one where the
bid carries it, as the page of one where it is loaded from the tracker.
"""

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from core.model import Creative
from creatives.templates.colours import COLOUR, legible, readable_on
from creatives.templates.fitting import bold_em
from creatives.templates.library import SizeLayout
from creatives.templates.wording import direction_of

FRAME_PERMISSIONS: Final = "allow-scripts allow-popups allow-popups-to-escape-sandbox"
"""As of any banner by URL (creatives.formats.banner)."""

SHOWN: Final = "grosz-ad"
"""What the page tells the frame around it once it is there, so that the static ad below may be covered."""

# Puts the letter in the place of a picture that cannot be loaded.
# Turns a carousel twice, unless somebody touches it or wants less motion; its buttons turn it by hand.
SCRIPT: Final = (
    "(function(){if(parent!==window)parent.postMessage('grosz-ad','*');"
    "function drop(e){var p=e.parentElement;if(p&&p.className==='picture'){p.className+=' letters';e.remove()}}"
    "addEventListener('error',function(e){drop(e.target)},true);"
    "document.querySelectorAll('.picture img').forEach(function(e){if(e.complete&&!e.naturalWidth)drop(e)});"
    "var c=document.querySelector('[data-carousel]');if(!c)return;"
    "var n=c.children.length,i=0,left=2*n,t=0;"
    "function go(k){i=(k+n)%n;c.scrollTo({left:c.children[i].offsetLeft-c.children[0].offsetLeft,behavior:'smooth'})}"
    "function stop(){clearInterval(t);t=0}"
    "document.querySelectorAll('[data-step]').forEach(function(b){b.addEventListener('click',"
    "function(){stop();go(i+Number(b.dataset.step))})});"
    "c.addEventListener('pointerdown',stop);c.addEventListener('focusin',stop);"
    "if(n>1&&!matchMedia('(prefers-reduced-motion:reduce)').matches)"
    "t=setInterval(function(){if(left--)go(i+1);else stop()},3000)})()"
)
SCRIPT_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()


class AdColours(NamedTuple):
    """Colours of an ad, of which every text is legible on what lies behind it."""

    background: str
    text: str
    muted: str
    accent: str
    on_accent: str
    price: str

    @classmethod
    def of(cls, values: Mapping[str, object]) -> "AdColours":
        background, text, accent = (
            value if isinstance(value := values.get(name), str) and COLOUR.fullmatch(value) else default
            for name, default in (("background", "#ffffff"), ("text", "#1c1c1c"), ("accent", "#0b57d0"))
        )
        return cls(
            background,
            text,
            legible("#767676", background),
            accent,
            readable_on(accent),
            legible(accent, background),
        )


_RULE: Final = re.compile(r"([^{}]+)\{([^{}]*)\}\n?")
_SIZE: Final = re.compile(r'\[data-size="([^"]*)"\]')


def for_size(css: str, size: str) -> str:
    """The rules of a style but those for other sizes, `[data-size="..."]`; what is nested stays as it is."""

    def kept(rule: re.Match[str]) -> str:
        selectors = [each for each in rule[1].split(",") if (found := _SIZE.search(each)) is None or found[1] == size]
        return f"{','.join(selectors)}{{{rule[2]}}}" if selectors else ""

    return css if "@" in css else _RULE.sub(kept, css)


def page_around(
    body: str,
    css: str,
    creative: Creative,
    layout: SizeLayout,
    colours: AdColours,
    language: str,
    count: int,
    shop: str = "",
) -> str:
    """A whole page; `shop` is the name that stands in its head."""
    picture = layout.picture or (0, 0)
    points = {
        "width": creative.width, "height": creative.height, "font": layout.font, "title-width": layout.title_width,
        "picture-width": picture[0], "picture-height": picture[1],
    }  # fmt: skip
    own = "".join(f"--{name}:{value}px;" for name, value in points.items())
    own += f"--title-lines:{layout.title_lines};--count:{count};--shop-em:{bold_em(shop):.2f};"
    own += f"--shop-word:{max(map(bold_em, shop.split()), default=1.0):.2f};"
    own += "".join(f"--{name.replace('_', '-')}:{value};" for name, value in colours._asdict().items())
    style = for_size(css, f"{creative.width}x{creative.height}")
    title = html.escape(creative.alt_text or creative.name)
    return (
        f'<!doctype html><html lang="{language}" dir="{direction_of(language)}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width={creative.width}"><title>{title}</title>'
        f"<style>:root{{{own}}}{style}</style></head><body>{body}<script>{SCRIPT}</script></body></html>"
    )
