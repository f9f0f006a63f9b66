"""Segments: groups of an advertiser's visitors, defined by rules."""

from admin.api.resource import Resource
from admin.store.kinds import SEGMENTS

RESOURCE = Resource(
    kind=SEGMENTS,
    summary="Groups of visitors, defined by a rule over what they did (docs/segments.md).",
    filters=("webhooks",),
    example={
        "advertiser_id": 1,
        "name": "High carts",
        "rule": "cart.value >= 500 PLN and cart.age in 1h..14d and not purchased since cart",
    },
)
