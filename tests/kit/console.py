"""Somebody at the console: keeps the session's cookie, fills and sends the forms of pages."""

import html.parser
from typing import Any

from aiohttp.test_utils import TestClient

from tests.kit.api import Api

PASSWORD = "correct horse battery"

Fields = dict[str, str] | list[tuple[str, str]]


class Page:
    """An answer of the console."""

    def __init__(self, status: int, headers: dict[str, str], text: str) -> None:
        self.status = status
        self.headers = headers
        self.text = text
        reader = _Reader()
        reader.feed(text)
        self.fields = reader.fields
        self.links = reader.links


class Browser:
    """A client with cookies of its own that follows no redirect."""

    def __init__(self, client: "TestClient[Any, Any]") -> None:
        self._client = client
        self.cookies: dict[str, str] = {}
        self.headers = {"Sec-Fetch-Site": "same-origin"}

    async def get(self, path: str) -> Page:
        return await self._send("GET", path, None)

    async def post(self, path: str, fields: Fields, **headers: str) -> Page:
        """Sends a form as it is."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._send("POST", path, fields, more)

    async def send(self, path: str, body: bytes, headers: dict[str, str]) -> Page:
        """Sends a body as a script of a page does."""
        return await self._send("POST", path, body, headers)

    async def fill(self, page_path: str, changes: dict[str, str], send_to: str = "") -> Page:
        """Loads a page, changes fields of its forms and sends them, as a person would."""
        page = await self.get(page_path)
        assert page.status == 200, page.text
        kept = [(name, value) for name, value in page.fields if name not in changes]
        return await self.post(send_to or page_path.partition("?")[0], [*kept, *changes.items()])

    async def csrf(self) -> str:
        """The token of the session's forms."""
        return dict((await self.get("/account")).fields)["csrf"]

    async def _send(
        self, method: str, path: str, fields: Fields | bytes | None, headers: dict[str, str] | None = None
    ) -> Page:
        self._client.session.cookie_jar.clear()  # all browsers share the client, so each sends its own cookies
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        all_headers = self.headers | ({"Cookie": cookie} if cookie else {}) | (headers or {})
        request = self._client.request(method, path, data=fields, headers=all_headers, allow_redirects=False)
        async with request as response:
            for name, morsel in response.cookies.items():
                self.cookies[name] = morsel.value
            return Page(response.status, dict(response.headers), await response.text(errors="replace"))


async def person(
    api: Api, *scopes: str, advertisers: tuple[int, ...] = (), email: str = "ada@szpilka.example"
) -> Browser:
    """A browser in which a person is logged in at the console."""
    owner = await api.caller()
    document = {
        "email": email,
        "name": "Ada",
        "scopes": list(scopes or ("read", "trade", "finance", "admin")),
        "advertiser_ids": list(advertisers),
        "password": PASSWORD,
    }
    await owner.made("/v1/users", document)
    browser = Browser(api.client)
    answer = await browser.post("/login", {"email": email, "password": PASSWORD})
    assert answer.status == 303, answer.text
    return browser


class _Reader(html.parser.HTMLParser):
    """Collects what the page's forms would send, and links."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self.links: list[str] = []
        self._select = ""
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "select":
            self._select = given.get("name", "")
        elif tag == "option" and "selected" in given:
            self.fields.append((self._select, given.get("value", "")))
        elif tag == "textarea":
            self._area = given.get("name", "")
            self.fields.append((self._area, ""))
        elif tag == "input" and given.get("name"):
            is_box = given.get("type") in ("checkbox", "radio")
            if not is_box or "checked" in given:
                self.fields.append((given["name"], given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            name, text = self.fields[-1]
            self.fields[-1] = (name, text + data)
