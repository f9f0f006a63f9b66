"""`/v1/fx-rates`: the exchange rates in force, set by hand, or read anew from a source."""

import datetime
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from admin.api import requests
from admin.api.reading import moment_text
from admin.rates.reference import ReferenceRates
from admin.rates.refresh import RateDesk
from admin.rates.store import BASE, MANUAL, STALE_DAYS, RatesInForce
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.validation.fields import END
from core.errors import Fault, InputError
from core.money import MoneyError, format_micros, parse_decimal

MAX_RATES = 300

Currency = Annotated[str, Meta(pattern="^[A-Z]{3}" + END)]


class FxRates(msgspec.Struct):
    """The rates in force: `rates` has what one unit of each currency is worth in `base`, as decimal texts.

    Dates are null for rates that were set by a release that did not keep dates yet.
    """

    base: str
    rates: dict[str, str]
    as_of: datetime.date | None
    source: str
    changed_at: str | None
    age_days: int | None
    is_stale: bool


class FxRatesRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Rates that replace all of those in force. `as_of` is the day they are of; today where it is left out."""

    rates: Annotated[dict[Currency, str], Meta(max_length=MAX_RATES)]
    as_of: datetime.date | None = None


class FxRefreshRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`source`: `ecb`, or the setting `admin.fx_source` where it is left out."""

    source: str = ""


class FxPages:
    """Rates concern every advertiser, so writing needs the scope `admin` and access to all of them."""

    def __init__(self, desk: RateDesk, source: str) -> None:
        self._desk = desk
        self._source = source

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/fx-rates", self.read, allow_head=False),
            web.put("/v1/fx-rates", self.replace),
            web.post("/v1/fx-rates/refresh", self.refresh),
        ]

    async def read(self, request: web.Request) -> web.Response:
        """GET /v1/fx-rates"""
        request[requests.PRINCIPAL].require(Scope.READ)
        return requests.respond_json(await self._shown())

    async def replace(self, request: web.Request) -> web.Response:
        """PUT /v1/fx-rates"""
        principal = request[requests.PRINCIPAL]
        principal.require(Scope.ADMIN, everywhere=True)
        wanted = decode(await requests.read_json(request), FxRatesRequest)
        today = self._desk.today()
        if wanted.as_of is not None and wanted.as_of > today:
            raise InputError("the rates are not valid", faults=[Fault("/as_of", "value", "lies in the future")])
        new = ReferenceRates(wanted.as_of or today, read_rates(wanted.rates))
        await self._desk.replace(new, MANUAL, principal.actor)
        return requests.respond_json(await self._shown())

    async def refresh(self, request: web.Request) -> web.Response:
        """POST /v1/fx-rates/refresh"""
        principal = request[requests.PRINCIPAL]
        principal.require(Scope.ADMIN, everywhere=True)
        wanted = decode(await requests.read_json(request), FxRefreshRequest)
        # Any other address or file would be read with the rights of the admin role: only its operator names one.
        if wanted.source not in ("", "ecb"):
            raise InputError(
                "the source is not valid", faults=[Fault("/source", "value", "expected 'ecb' or nothing", "", ("ecb",))]
            )
        source = wanted.source or self._source
        if not source:
            raise InputError("no source of exchange rates is set", hint="name 'ecb', or set admin.fx_source")
        await self._desk.refresh(source, principal.actor)
        return requests.respond_json(await self._shown())

    async def _shown(self) -> FxRates:
        return shown(await self._desk.current(), self._desk.today())


def read_rates(texts: dict[str, str]) -> dict[str, int]:
    """Micros of the base currency from decimal texts. Raises InputError with every fault."""
    found, faults = {}, []
    for currency, text in texts.items():
        try:
            micros = parse_decimal(text)
        except MoneyError:
            micros = 0
        if currency == BASE:
            faults.append(Fault(f"/rates/{currency}", "value", "is the base currency: it has no rate"))
        elif micros <= 0:
            hint = 'a decimal with up to six places, for example "3.64"'
            faults.append(Fault(f"/rates/{currency}", "value", f"expected {BASE} for one {currency}", hint))
        found[currency] = micros
    if faults:
        raise InputError("the rates are not valid", faults=faults)
    return found


def shown(found: RatesInForce, today: datetime.date) -> FxRates:
    """The answer for rates in force."""
    age = found.age_days(today)
    return FxRates(
        base=BASE,
        rates={currency: format_micros(rate) for currency, rate in found.rates.items()},
        as_of=found.as_of,
        source=found.source,
        changed_at=moment_text(found.changed_ms) if found.changed_ms else None,
        age_days=age,
        is_stale=bool(found.rates) and (age is None or age > STALE_DAYS),
    )
