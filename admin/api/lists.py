"""Reusable lists of domains, apps, publishers, sellers and words. One without advertiser is everybody's."""

from admin.api.resource import Resource
from admin.store.kinds import LISTS

RESOURCE = Resource(
    kind=LISTS,
    summary="Domains, apps, publishers, sellers or words that line items share.",
    example={"name": "Made for advertising", "kind": "domains", "values": ["mfa.example"]},
)
