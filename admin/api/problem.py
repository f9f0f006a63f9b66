"""Errors as RFC 9457 problem documents: what is wrong, where, what to do, and what would be allowed."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta
from sqlalchemy.exc import DBAPIError, IntegrityError

from admin.access.principal import Forbidden
from core.errors import (
    AccessError,
    CatalogueError,
    ConflictError,
    Fault,
    GroszError,
    InputError,
    NotFoundError,
    UnavailableError,
)
from core.network.bodies import UNREADABLE, BodyRefused, refused
from core.telemetry.logs import WITHOUT_CONTENT

log = logging.getLogger("grosz.admin.api")

CONTENT_TYPE = "application/problem+json"
JSON = "application/json"


class FaultDocument(msgspec.Struct, omit_defaults=True):
    """One fault or warning: a JSON pointer, a stable code, and words for people, in some with their parameters."""

    pointer: str
    code: str
    message: str
    hint: str = ""
    allowed: list[str] = []
    parts: dict[str, str] = {}


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457 problem details, with a stable code where programs do something about this very problem."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    hint: str = ""
    code: str = ""
    errors: list[FaultDocument] = []


class ApiError(GroszError):
    """An error of HTTP itself, with its status."""

    def __init__(
        self, status: HTTPStatus, message: str, *, hint: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.headers = headers or {}


class Stale(ConflictError):
    """The object is at another version than the caller knew."""


_STATUS: tuple[tuple[type[GroszError], HTTPStatus], ...] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (AccessError, HTTPStatus.UNAUTHORIZED),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (CatalogueError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_of(error: GroszError) -> HTTPStatus:
    """The HTTP status that an error means."""
    if isinstance(error, BodyRefused):
        return HTTPStatus(error.status)
    if isinstance(error, ApiError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_of(error: GroszError) -> Problem:
    """The problem document of an error."""
    status = status_of(error)
    return Problem(
        type="about:blank",
        title=status.phrase,
        status=status.value,
        detail=error.message,
        hint=error.hint,
        code=error.code,
        errors=[documented(fault) for fault in error.faults],
    )


def documented(fault: Fault) -> FaultDocument:
    """A fault as the API shows it."""
    return FaultDocument(fault.pointer, fault.code, fault.message, fault.hint, list(fault.allowed), fault.parts)


def twice(parameter: str) -> Fault:
    """The fault of a query parameter that takes one value and was given several."""
    return Fault(parameter, "duplicate", "the parameter is given twice")


def respond_problem(error: GroszError) -> web.Response:
    """The HTTP answer of an error."""
    status = status_of(error)
    headers = dict(error.headers) if isinstance(error, ApiError) else {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="grosz"')
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", "1")
    body = msgspec.json.encode(problem_of(error))
    response = web.Response(status=status, body=body, content_type=CONTENT_TYPE, headers=headers)
    if isinstance(error, BodyRefused) and error.closes:
        response.force_close()
    return response


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every error into a problem document; the API never answers anything else, nor a traceback."""
    try:
        return await handler(request)
    except GroszError as error:
        return respond_problem(error)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        headers = {name: value for name, value in error.headers.items() if name == "Allow"}
        return respond_problem(ApiError(HTTPStatus(error.status), error.reason, headers=headers))
    except UNREADABLE as error:
        return respond_problem(refused(error))
    except IntegrityError:
        # Two writers chose the same unique value at once; the check before the write words the usual case better.
        return respond_problem(ConflictError("somebody else has just taken the same key, address or id"))
    except DBAPIError:
        log.exception("the database refused a statement", extra=WITHOUT_CONTENT)
        return respond_problem(UnavailableError("the database refused the request", hint="see the admin's log"))
    except Exception:
        log.exception("a request failed: this is a fault of Grosz", extra=WITHOUT_CONTENT)
        return respond_problem(ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected fault", hint="see the log"))
