"""Webhooks: where an advertiser is told that a user entered a segment."""

from admin.api.resource import Resource
from admin.store.kinds import WEBHOOKS

RESOURCE = Resource(
    kind=WEBHOOKS,
    summary="Addresses that are told when a user enters a segment: by signed calls, or by one mail an hour.",
    example={"advertiser_id": 1, "name": "Mail system", "url": "https://szpilka.example/hooks/grosz"},
)
