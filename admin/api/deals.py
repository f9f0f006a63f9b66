"""Deals: agreements with sellers. A deal without advertiser may be targeted by all, and written by the unrestricted."""

from admin.api.resource import Resource
from admin.store.kinds import DEALS

RESOURCE = Resource(
    kind=DEALS,
    summary="Agreements with sellers, by the exchange's deal id.",
    filters=("exchanges",),
    example={"exchange_id": 1, "deal_id": "PMP-4711", "name": "Fashion weekly", "advertiser_id": 1},
)
