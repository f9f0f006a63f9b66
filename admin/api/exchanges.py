"""Exchanges: who sends bid requests, and how each is answered and paid."""

from admin.api.resource import Resource
from admin.store.kinds import EXCHANGES
from admin.store.model import Scope

RESOURCE = Resource(
    kind=EXCHANGES,
    summary="Who sends bid requests to /openrtb2/{key}, and how each is answered and paid.",
    write_scope=Scope.ADMIN,
    everywhere=True,
    example={"key": "demo", "name": "Demo exchange", "default_currency": "USD"},
)
