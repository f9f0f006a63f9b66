"""Feeds: where product lists come from."""

from admin.api.resource import Resource
from admin.store.kinds import FEEDS

RESOURCE = Resource(
    kind=FEEDS,
    summary="Product feeds.",
    example={"advertiser_id": 1, "name": "All shoes", "url": "https://szpilka.example/feed.xml"},
)
