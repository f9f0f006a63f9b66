"""Campaigns: dates, a total budget and caps for a group of line items."""

from admin.api.resource import Resource
from admin.store.kinds import CAMPAIGNS

RESOURCE = Resource(
    kind=CAMPAIGNS,
    summary="Groups of line items with a common budget and dates. Archiving one archives its line items.",
    example={"advertiser_id": 1, "name": "Bring them back", "total_budget": {"spend": {"amount": "50000.00"}}},
)
