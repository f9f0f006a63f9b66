"""Conversions: which events of a shop count as success of an ad."""

from admin.api.resource import Resource
from admin.store.kinds import CONVERSIONS

RESOURCE = Resource(
    kind=CONVERSIONS,
    summary="Events that count as success of an ad, and for how long after it.",
    example={"advertiser_id": 1, "name": "Orders", "event": "purchase"},
)
