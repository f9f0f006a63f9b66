"""What lies in front of a port, and the headers that every answer of the aiohttp ports carries."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from core.network.proxies import NO_PROXIES, Proxies

CSP: Final = "Content-Security-Policy"
# A page that needs more sets its own policy; an answer that is not a page has nothing to load.
DEFAULT_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# A year, as browsers' own lists of such hosts ask for. Without subdomains: they are not ours to decide on.
HSTS: Final = "max-age=31536000"


class Edge:
    """How browsers reach a port: its public address ('': as each request came), and the trusted proxies before it."""

    __slots__ = ("proxies", "public_url")

    def __init__(self, public_url: str = "", proxies: Proxies = NO_PROXIES) -> None:
        self.public_url = public_url
        self.proxies = proxies

    def is_secure(self, request: web.Request) -> bool:
        """Whether a browser sent a request by TLS: as the public address says, otherwise as the request came."""
        if self.public_url:
            return self.public_url.startswith("https://")
        return request.secure or self.proxies.is_secure(request.remote, request.headers.getall("X-Forwarded-Proto", ()))

    def client_of(self, request: web.Request) -> str:
        """Address of the client that sent a request, behind trusted proxies too; '' where nobody can tell."""
        return self.proxies.client_of(request.remote, request.headers.getall("X-Forwarded-For", ()))


def safe_headers(edge: Edge) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """A signal handler for `Application.on_response_prepare` that adds headers; those that a handler has set stay."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
        if response.content_type == "text/html":
            headers.setdefault(CSP, DEFAULT_POLICY)
        if edge.is_secure(request):
            headers.setdefault("Strict-Transport-Security", HSTS)

    return add
