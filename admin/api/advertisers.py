"""Advertisers: the shops. Only callers without restriction create them; the balance needs the finance scope for all."""

from admin.api.resource import Resource
from admin.store.kinds import ADVERTISERS

RESOURCE = Resource(
    kind=ADVERTISERS,
    summary="Shops that advertise.",
    create_everywhere=True,
    finance_fields=("balance",),
    example={"name": "Szpilka", "currency": "PLN", "timezone": "Europe/Warsaw", "domain": "szpilka.example"},
)
