"""Requests, errors and time of every page that a role serves by aiohttp: admin API, tracker, health pages."""

import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from core.telemetry.metrics import Telemetry

# From 1 ms to 10 s: lists answer in milliseconds, a password is hashed in a tenth of a second, an import takes seconds.
REQUEST_BUCKETS = (0.001, 0.002_5, 0.005, 0.010, 0.025, 0.050, 0.100, 0.250, 0.500, 1.0, 2.5, 5.0, 10.0)

UNMATCHED = "unmatched"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def route_of(request: web.Request) -> str:
    """The route's template (`/v1/line-items/{id}`): a label that callers cannot grow."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNMATCHED


def counting(telemetry: Telemetry) -> Middleware:
    """A middleware for the outermost place: it sees what the others made of a request."""
    requests = telemetry.counter(
        "grosz_http_requests_total", "HTTP requests by method, route and status.", ("method", "route", "status")
    )
    seconds = telemetry.histogram(
        "grosz_http_request_seconds",
        "Time from a request's head to its answer, by route.",
        ("route",),
        bounds=REQUEST_BUCKETS,
    )

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        status = 500
        try:
            answer = await handler(request)
            status = answer.status
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            route = route_of(request)
            method = request.method if request.method in _METHODS else "other"
            requests.labels(method, route, status).inc()
            seconds.labels(route).observe(time.perf_counter() - began)
        return answer

    return count
