"""Banners of a template: with their products in the bid, or as a frame that loads them when it is shown.

Which of the two a bid has follows from the creative, the exchange and the offer (decision 20 in docs/decisions).
"""

import html
import json
from typing import Final

from core.model import AdDelivery, Creative
from creatives.macros import TOKEN, Tracker, wrapped_click
from creatives.templates.filling import AdFiller, in_attribute
from creatives.templates.library import AdTemplate, template_of
from creatives.templates.page import FRAME_PERMISSIONS, SHOWN, AdColours
from creatives.templates.wording import language_of, words_of

FILLING: Final = "@FILLED@"
"""Stands in markup for the page of an ad that is filled when the bid is made."""

CONSENT: Final = (
    "gdpr=${GDPR}&gdpr_consent=${GDPR_CONSENT_1}&gpp=${GPP_STRING_1}&gpp_sid=${GPP_SID}&us_privacy=${US_PRIVACY}"
)
"""Macros for the consent at the time of the bid; what the user wants now, the browser's own headers say."""

# Uncovers the frame once the page in it says that it is there: until then, or for ever, people see the static ad.
_UNCOVER: Final = (
    '<script>(function(f){addEventListener("message",function(e){if(e.source===f.contentWindow&&e.data==="'
    + SHOWN
    + '")f.style.opacity=1})})(document.currentScript.previousElementSibling)</script>'
)


def is_filled_in_bid(creative: Creative, tracker: Tracker, *, takes_scripts: bool) -> bool:
    """Whether the bid carries the products.

    An exchange that counts clicks by a macro fills it in where the markup is, and not in a page of the tracker; and a
    place without scripts could not uncover the frame.
    """
    use = creative.template
    if use is None or use.delivery is AdDelivery.IMPRESSION:
        return False
    return use.delivery is AdDelivery.INLINE or bool(tracker.click_macro) or not takes_scripts


def filler_for(creative: Creative, tracker: Tracker, campaign_id: int) -> AdFiller | None:
    """What fills the ad when the bid is made, escaped by `in_bid`; None for one without a template of its size."""
    template = _template(creative)
    layout = template.layout(creative.width, creative.height) if template is not None else None
    if template is None or layout is None:
        return None
    return AdFiller(creative, template, layout, tracker, campaign_id, in_bid)


def in_bid(markup: str) -> str:
    """A page escaped twice, as the JSON of a bid holds it: for an HTML attribute, and that for a JSON string."""
    return json.dumps(in_attribute(markup), ensure_ascii=False)[1:-1]


def inline_markup(creative: Creative) -> str:
    """The frame around an ad that is filled in the bid."""
    return f'<iframe srcdoc="{FILLING}" {_frame(creative)} style="border:0;display:block"></iframe>'


def loaded_markup(creative: Creative, tracker: Tracker, *, takes_scripts: bool) -> str:
    """The static ad, and above it the frame that loads the ad with products."""
    click, _encoded = wrapped_click(tracker, creative.landing_url)
    source = html.escape(f"{tracker.url}/a/{TOKEN}?{CONSENT}")
    cover = "opacity:0;" if takes_scripts else ""
    frame = (
        f'<iframe src="{source}" {_frame(creative)} style="position:absolute;left:0;top:0;border:0;{cover}"></iframe>'
    )
    size = f"width:{creative.width}px;height:{creative.height}px"
    return (
        f'<div style="position:relative;{size};overflow:hidden">{static_link(creative, click)}{frame}'
        f"{_UNCOVER if takes_scripts else ''}</div>"
    )


def static_link(creative: Creative, click: str) -> str:
    """The shop's name or logo and a button: what is seen while the ad is loaded, and if it cannot be."""
    use, template = creative.template, _template(creative)
    values = template.values(use.parameters) if template is not None and use is not None else {}
    colours = AdColours.of(values)
    text = str(values.get("call") or "") or words_of(language_of(creative.language)).call
    name = html.escape(str(values.get("shop") or "") or creative.advertiser_domain or creative.name)
    logo = str(values.get("logo") or "")
    sign = f"<b>{name}</b>"
    if logo:
        sign = f'<img src="{html.escape(logo)}" alt="{name}" style="max-width:60%;max-height:50%">'
    is_low = creative.height <= 100
    font = 13 if creative.width * creative.height < 40_000 else 18
    button = (
        f"background:{colours.accent};color:{colours.on_accent};padding:.5em 1em;border-radius:.4em;font-weight:700"
    )
    return (
        f'<a href="{html.escape(click)}" target="_blank" rel="noopener" style="display:flex;width:100%;height:100%;'
        f"flex-direction:{'row' if is_low else 'column'};align-items:center;justify-content:space-evenly;"
        f"box-sizing:border-box;overflow:hidden;background:{colours.background};color:{colours.text};"
        f'font:{font}px/1.25 system-ui,sans-serif;text-decoration:none">{sign}'
        f'<span style="{button}">{html.escape(text)}</span></a>'
    )


def _frame(creative: Creative) -> str:
    title = html.escape(creative.alt_text or creative.name)
    size = f'width="{creative.width}" height="{creative.height}"'
    return f'{size} sandbox="{FRAME_PERMISSIONS}" scrolling="no" title="{title}"'


def _template(creative: Creative) -> AdTemplate | None:
    return template_of(creative.template.name) if creative.template is not None else None
