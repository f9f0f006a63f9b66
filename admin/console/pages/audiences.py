"""An advertiser's audiences side by side: visitors in two segments at once, and two facts crossed into a grid."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from admin.api import requests
from admin.api.problem import problem_of
from admin.api.reading import Reader
from admin.console.browser import Visitor, require_csrf
from admin.console.fields import N_, id_of
from admin.console.pages.wizard import Wizard
from admin.console.rendering import page
from admin.store.lookups import active_segments
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.visitors.audience_desk import AudienceDesk
from admin.visitors.documents import MatrixRequest
from core.errors import GroszError, UnavailableError
from core.model import Segment

# Of so many segments every two are compared: a grid that fits on a page, in 28 questions to Redis.
_COMPARED: Final = 8
_PATIENCE_S: Final = 20
_ROWS, _COLUMNS = "lifetime_value: 100, 500, 2000", "last_visit: 1d, 7d, 30d"


class AudiencesPage:
    """Counts of visitors; nothing of a single one."""

    def __init__(self, reader: Reader, audiences: AudienceDesk, wizard: Wizard) -> None:
        self._reader = reader
        self._audiences = audiences
        self._wizard = wizard

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /advertisers/{id}/audiences: `segment` are those to compare, `rows` and `columns` the facts to cross"""
        advertiser = await self._reader.advertiser(visitor.caller, requests.object_id_of(request), Scope.READ)
        async with self._reader.store.database.read() as connection:
            segments = await active_segments(connection, advertiser.id)
        asked = {id_of(text) for name, text in request.query.items() if name == "segment"}
        chosen = [one for one in segments if one.id in asked][:_COMPARED] or list(segments[:_COMPARED])
        values: dict[str, Any] = {"sizes": {}, "shared": {}, "grid": None, "problem": None}
        texts = {"rows": request.query.get("rows", ""), "columns": request.query.get("columns", "")}
        try:
            async with asyncio.timeout(_PATIENCE_S):
                values["sizes"] = {one.segment: one.visitors for one in (await self._audiences.sizes(chosen)).items}
                values["shared"] = await self._shared(chosen)
                if texts["rows"] and texts["columns"]:
                    values["grid"] = await self._audiences.matrix(advertiser, decode(texts, MatrixRequest))
        except TimeoutError:
            values["problem"] = problem_of(UnavailableError("it takes too long to count", hint="compare fewer at once"))
        except GroszError as error:
            values["problem"] = problem_of(error)
        shown = {"rows": texts["rows"] or _ROWS, "columns": texts["columns"] or _COLUMNS}
        lists: dict[str, Any] = {"segments": segments, "chosen": chosen, "most": _COMPARED}
        return page("audiences.html", visitor, here="/segments", advertiser=advertiser, texts=shown, **lists, **values)

    async def of_wizard(
        self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]
    ) -> web.Response:
        """POST /start/count: how many visitors the form's audience has now, beside it"""
        sent = {name: text.strip() for name, text in fields}
        require_csrf(visitor.caller, sent)
        values: dict[str, Any] = {"counts": None, "problem": None, "said": ""}
        advertiser_id = id_of(sent.get("advertiser_id", ""))
        if advertiser_id is None:
            return page("count.html", visitor, **values | {"said": N_("a new advertiser has no visitors yet")})
        try:
            advertiser = await self._reader.advertiser(visitor.caller, advertiser_id, Scope.READ)
            segment = self._wizard.segment_of(sent, advertiser.currency)
            if segment is None:
                said = N_("everybody: also people who never were in the shop")
                return page("count.html", visitor, **values | {"said": said})
            async with asyncio.timeout(_PATIENCE_S):
                values["counts"] = await self._audiences.count(advertiser, [segment["rule"]])
        except TimeoutError:
            values["problem"] = problem_of(UnavailableError("it takes too long to count", hint="try again in a minute"))
        except GroszError as error:
            values["problem"] = problem_of(error)
        return page("count.html", visitor, **values)

    async def _shared(self, chosen: Sequence[Segment]) -> dict[tuple[int, int], int]:
        """Visitors in both, by the two segments' ids in their order."""
        found = {}
        for left, right in itertools.combinations(chosen, 2):
            found[left.id, right.id] = (await self._audiences.overlap(left, right)).visitors
        return found
