"""What goes into a shop's pages: complete pieces of markup, ready to be copied."""

from typing import Final, NamedTuple

from admin.console.fields import N_
from core.model import Advertiser

_CALL: Final = "<script>\nwindow.grosz = window.grosz || [];\ngrosz.push({});\n</script>"

NO_CONSENT_NEEDED: Final = "<script>window.grosz = window.grosz || []; grosz.push({set: {gdpr: 0}});</script>"
OWN_STRING: Final = (
    "<script>window.grosz = window.grosz || []; "
    'grosz.push({set: {gdpr: 1, consent: "the TC string of the consent platform"}});</script>'
)


class Snippet(NamedTuple):
    """One piece: where it belongs, and its markup."""

    title: str
    markup: str


def snippets_of(advertiser: Advertiser, tracker: str) -> tuple[Snippet, ...]:
    """The pieces of a shop's pages, with examples where the shop puts in its own values; `tracker` is its address."""
    item = 'item_id: "42", item_category: "shoes", price: 320'
    currency = f'currency: "{advertiser.currency}"'
    every = (
        '<script>window.grosz = window.grosz || []; grosz.push({event: "page_view"});</script>\n'
        f'<script async src="{tracker}/tag.js" data-advertiser="{advertiser.id}"></script>'
    )
    view = _call('event: "view_item"', currency, f"items: [{{{item}}}]")
    cart = _call('event: "view_cart"', currency, "value: 640", f"items: [{{{item}, quantity: 2}}]")
    added = _call('event: "add_to_cart"', currency, f"items: [{{{item}, quantity: 1}}]")
    order = _call(
        'event: "purchase"', 'transaction_id: "A-1001"', currency, "value: 640", f"items: [{{{item}, quantity: 2}}]"
    )
    return (
        Snippet(N_("Every page, before all others"), every),
        Snippet(N_("The page of a product"), view),
        Snippet(N_("The page of the cart, and each step of the checkout"), cart),
        Snippet(N_("When something is put into the cart without a page of its own"), added),
        Snippet(N_("The page that thanks for an order"), order),
    )


def _call(*members: str) -> str:
    inner = "".join(f"\n  {member}," for member in members)
    return _CALL.replace("{}", f"{{{inner}\n}}")
