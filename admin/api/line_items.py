"""Line items: what bids. The funnel (`GET /v1/line-items/{id}/funnel`) belongs beside this module."""

from admin.api.resource import Resource
from admin.store.kinds import LINE_ITEMS

RESOURCE = Resource(
    kind=LINE_ITEMS,
    summary="What bids: a price, a targeting, creatives, budgets and caps.",
    filters=("creatives", "segments", "deals", "lists", "exchanges"),
    example={
        "advertiser_id": 1,
        "campaign_id": 1,
        "name": "Abandoned carts",
        "goal": "cpa",
        "bid": {"amount": "24.00"},
        "max_cpm": {"amount": "40.00"},
        "targeting": {"countries": ["POL"], "segments_any": [1]},
        "creative_ids": [1],
        "daily_budget": {"spend": {"amount": "500.00"}},
        "caps": [{"impressions": 12, "window_s": 86400}],
    },
)
