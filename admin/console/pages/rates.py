"""Exchange rates: what one unit of each currency is worth, without which no price in it can be compared."""

from collections.abc import Sequence

from aiohttp import web

from admin.api.fx_rates import read_rates
from admin.api.problem import Problem, problem_of, status_of
from admin.console.browser import Visitor, require_csrf
from admin.console.fields import amount_text
from admin.console.kinds import CURRENCIES
from admin.console.rendering import go, page
from admin.rates.reference import ReferenceRates
from admin.rates.refresh import RateDesk
from admin.rates.store import BASE, MANUAL
from admin.store.model import Scope
from core.errors import Fault, GroszError, InputError
from core.money import format_micros


class RatesPage:
    """The page of exchange rates."""

    def __init__(self, desk: RateDesk) -> None:
        self._desk = desk

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /rates"""
        visitor.caller.require(Scope.READ)
        return await self._page(visitor, None, 200, saved="saved" in request.query)

    async def change(self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /rates: `action` set one rate, or fetch those of the European Central Bank"""
        sent, caller = {name: text.strip() for name, text in fields}, visitor.caller
        require_csrf(caller, sent)
        caller.require(Scope.ADMIN, everywhere=True)
        try:
            if sent.get("action") == "fetch":
                await self._desk.refresh("ecb", caller.actor)
            else:
                await self._set(sent.get("currency", ""), sent.get("rate", ""), visitor)
        except GroszError as error:
            return await self._page(visitor, problem_of(error), status_of(error))
        return go("/rates?saved")

    async def _set(self, currency: str, text: str, visitor: Visitor) -> None:
        """Raises InputError."""
        if currency not in CURRENCIES:
            raise InputError("the input is not valid", faults=[Fault("/currency", "value", "choose one of the list")])
        try:
            rate = amount_text(text)
        except ValueError as error:
            raise InputError("the input is not valid", faults=[Fault("/rate", "value", str(error))]) from None
        rates = {**(await self._desk.current()).rates, **read_rates({currency: rate})}
        await self._desk.replace(ReferenceRates(self._desk.today(), rates), MANUAL, visitor.caller.actor)

    async def _page(
        self, visitor: Visitor, problem: Problem | None, status: int, *, saved: bool = False
    ) -> web.Response:
        found = await self._desk.current()
        rates = {currency: format_micros(micros) for currency, micros in sorted(found.rates.items())}
        values = {"base": BASE, "rates": rates, "as_of": found.as_of, "problem": problem, "saved": saved}
        offered = [one for one in CURRENCIES if one != BASE]
        may_write = visitor.caller.may(Scope.ADMIN, everywhere=True)
        return page("rates.html", visitor, status, here="/rates", offered=offered, may_write=may_write, **values)
