"""Behind a proxy that terminates TLS: cookies are Secure, browsers are sent to TLS, clients are told apart."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from admin.api.authentication import FAILURES_PER_MINUTE
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.reverse_proxy import TlsReverseProxy

PASSWORD = "correct horse battery staple"
HSTS = "Strict-Transport-Security"
EMAIL = "ada@example.com"


@contextlib.asynccontextmanager
async def client_at(address: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with an address of its own: all of 127.0.0.0/8 is this machine."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0), ssl=tls if tls is not None else True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


def make_administrator(running: RunningGrosz, data: Path) -> str:
    """The token of a set-up link."""
    made = grosz("setup-link", "--data", str(data))
    assert made.returncode == 0, made.stderr
    found = re.search(r"token=(\S+)", made.stdout)
    assert found is not None
    return found[1]


async def log_in(session: aiohttp.ClientSession, url: str, **headers: str) -> tuple[list[str], str | None]:
    """The cookies that a login sets, and what it says of TLS."""
    document = {"email": EMAIL, "password": PASSWORD}
    async with session.post(f"{url}/v1/login", json=document, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return answer.headers.getall("Set-Cookie"), answer.headers.get(HSTS)


async def set_up(url: str, token: str) -> None:
    person = {"token": token, "email": EMAIL, "name": "Ada", "password": PASSWORD}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/setup", json=person) as answer:
        assert answer.status == 201, await answer.text()


async def refused(session: aiohttp.ClientSession, url: str, **headers: str) -> int:
    """The status of one request with a wrong key."""
    wrong = {"Authorization": "Bearer gk_wrong_wrong"}
    async with session.get(f"{url}/v1/me", headers=wrong | headers) as answer:
        return answer.status


async def refused_at_once(session: aiohttp.ClientSession, url: str, count: int, **headers: str) -> set[int]:
    """The statuses of several at once: one more is permitted every two seconds, which a busy machine may need for one
    after the other."""
    return set(await asyncio.gather(*(refused(session, url, **headers) for _ in range(count))))


@pytest.mark.timeout(120)
async def test_behind_a_trusted_proxy_sessions_are_secure_and_clients_are_told_apart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    environ = {"GROSZ_NETWORK_TRUSTED_PROXIES": "127.0.0.1"}
    with RunningGrosz(data, environ=environ) as running:
        admin = running.urls["admin"]
        await set_up(admin, make_administrator(running, data))
        async with TlsReverseProxy(admin, tmp_path) as proxy:
            tls = proxy.context()
            async with client_at("127.0.0.2", tls) as mallory, client_at("127.0.0.3", tls) as ada:
                cookies, hsts = await log_in(ada, proxy.url)
                assert hsts is not None
                session = next(cookie for cookie in cookies if cookie.startswith("grosz_session="))
                for attribute in ("Secure", "HttpOnly", "SameSite=Strict"):
                    assert attribute in session
                # 30 wrong secrets from one client: it has to wait, and nobody else.
                assert await refused(mallory, proxy.url) == 401
                statuses = await refused_at_once(mallory, proxy.url, 2 * FAILURES_PER_MINUTE)
                assert statuses == {401, 429}
                # What it says of itself is not believed: it would have thirty more.
                assert 429 in await refused_at_once(mallory, proxy.url, 5, **{"X-Forwarded-For": "127.0.0.3"})
                await log_in(ada, proxy.url)
        # Straight to the port, from where no proxy is trusted: what a client claims is not believed.
        async with client_at("127.0.0.4") as direct:
            cookies, hsts = await log_in(direct, admin, **{"X-Forwarded-Proto": "https", "X-Forwarded-For": "1.2.3.4"})
            assert hsts is None
            assert "Secure" not in next(cookie for cookie in cookies if cookie.startswith("grosz_session="))


@pytest.mark.timeout(120)
async def test_a_public_address_makes_cookies_secure_behind_a_proxy_that_says_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    environ = {
        "GROSZ_ADMIN_PUBLIC_URL": "https://grosz.example", "GROSZ_TRACK_PUBLIC_URL": "https://track.example",
    }  # fmt: skip
    with RunningGrosz(data, environ=environ) as running:
        assert grosz("setup-link", "--data", str(data), environ=environ).stdout.startswith(
            "https://grosz.example/setup?"
        )
        admin, track = running.urls["admin"], running.urls["track"]
        await set_up(admin, make_administrator(running, data))
        async with (
            TlsReverseProxy(admin, tmp_path, names_client=False) as proxy,
            client_at("127.0.0.2", proxy.context()) as ada,
        ):
            cookies, hsts = await log_in(ada, proxy.url)
            assert hsts is not None
            assert "Secure" in next(cookie for cookie in cookies if cookie.startswith("grosz_session="))
            async with ada.get(f"{proxy.url}/docs") as page:
                assert page.headers[HSTS]
                assert page.headers["Content-Security-Policy"]
        async with (
            TlsReverseProxy(track, tmp_path, names_client=False) as proxy,
            client_at("127.0.0.2", proxy.context()) as browser,
        ):
            async with browser.get(f"{proxy.url}/optout") as page:
                assert page.headers[HSTS]
            event: dict[str, Any] = {"event": "page_view", "gdpr": 0}
            async with browser.post(f"{proxy.url}/e/1", json=event) as answer:
                cookie = answer.headers.get("Set-Cookie")
                assert cookie is None or "Secure" in cookie
            # A proxy that names no client and forwards everything still shows nobody the metrics.
            async with browser.get(f"{proxy.url}/metrics") as page:
                assert page.status == 404
                assert "grosz_" not in await page.text()
