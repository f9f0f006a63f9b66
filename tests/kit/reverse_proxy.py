"""A reverse proxy that terminates TLS, as operators have one in front: it names its client and the scheme."""

import ssl
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.kit.tls import make_certificate

_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "host", "content-length")


class TlsReverseProxy:
    """Listens on 127.0.0.1 with a certificate of its own, and passes every request on to `target`.

    With `names_client` it writes X-Forwarded-For and X-Forwarded-Proto itself, whatever its client claims; without, it
    says nothing, as a proxy does that nobody has configured.
    """

    def __init__(self, target: str, directory: Path, *, names_client: bool = True) -> None:
        self._target = target
        self._names_client = names_client
        self._certificate, self._key = make_certificate(directory)
        self.url = ""

    def context(self) -> ssl.SSLContext:
        """For clients that trust the proxy's certificate."""
        return ssl.create_default_context(cafile=str(self._certificate))

    async def __aenter__(self) -> "TlsReverseProxy":
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(self._certificate, self._key)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._session = aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=server)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"https://localhost:{port}" if host else ""
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        if self._names_client:
            headers |= {"X-Forwarded-For": request.remote or "", "X-Forwarded-Proto": "https"}
        url = f"{self._target}{request.rel_url}"
        body = await request.read()
        async with self._session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            found = web.Response(status=answer.status, body=await answer.read())
            for name, value in answer.headers.items():
                if name.lower() not in (*_HOP_BY_HOP, "content-type"):
                    found.headers.add(name, value)
            found.headers["Content-Type"] = answer.headers.get("Content-Type", "application/octet-stream")
            return found
