"""Creatives: the ads."""

from admin.api.resource import Resource
from admin.store.kinds import CREATIVES

RESOURCE = Resource(
    kind=CREATIVES,
    summary="Ads. HTML links to ${CLICK_URL} so that clicks are counted. `products` says which products of "
    "the feeds an ad shows (docs/choosing.md).",
    example={
        "advertiser_id": 1,
        "name": "Banner 300x250",
        "width": 300,
        "height": 250,
        "html": '<a href="${CLICK_URL}">Szpilki</a>',
        "landing_url": "https://szpilka.example/",
        "advertiser_domain": "szpilka.example",
    },
)
