"""Sessions and links for new passwords at the console."""

import pytest

from admin.store.password_links import LINK_MS
from core.clock import ManualClock
from tests.kit.api import Api
from tests.kit.console import PASSWORD, Browser, Page, person

NEW = "a longer battery staple"


async def link_for(browser: Browser, api: Api) -> str:
    """The path of a fresh link for a person whom the administrator has made."""
    owner = await api.caller()
    made = await owner.made("/v1/users", {"email": "bea@szpilka.example", "name": "Bea", "scopes": ["read"]})
    answer = await browser.post(f"/users/{made['id']}/password-link", {"csrf": await browser.csrf()})
    assert answer.status == 200, answer.text
    link = answer.text.split('readonly value="')[1].split('"')[0]
    return "/password?" + link.partition("?")[2]


async def log_in(api: Api, email: str, password: str) -> int:
    return (await Browser(api.client).post("/login", {"email": email, "password": password})).status


async def test_a_link_sets_a_password_once(api: Api) -> None:
    path = await link_for(await person(api), api)
    stranger = Browser(api.client)
    short = await stranger.fill(path, {"password": "short"})
    assert short.status == 422
    done = await stranger.fill(path, {"password": NEW})
    assert done.headers["Location"] == "/login"
    assert await log_in(api, "bea@szpilka.example", NEW) == 303
    used = await stranger.get(path)
    assert used.status == 410
    assert "used up or too old" in used.text


async def test_a_link_ends_after_a_day_and_is_no_setup_link(api: Api, clock: ManualClock) -> None:
    path = await link_for(await person(api), api)
    token = path.partition("=")[2]
    stranger = Browser(api.client)
    form = {"token": token, "name": "Eve", "email": "eve@evil.example", "password": PASSWORD}
    assert (await stranger.post("/setup", form)).status == 401
    setup = await api.accounts.make_setup_link()
    assert (await stranger.post("/password", {"token": setup, "password": NEW})).status == 401
    clock.advance(LINK_MS / 1000 + 1)
    assert (await stranger.get(path)).status == 410


@pytest.mark.parametrize("token", ["", "1.", "1.x", "9" * 4_000 + ".x", "²." + "x" * 43, "\x00"])
async def test_made_up_links_are_refused(api: Api, token: str) -> None:
    answer = await Browser(api.client).post("/password", {"token": token, "password": NEW})
    assert answer.status == 401


async def test_only_administrators_make_links(api: Api) -> None:
    trader = await person(api, "read", "trade")
    answer = await trader.post("/users/1/password-link", {"csrf": await trader.csrf()})
    assert answer.status == 403
    assert (await trader.post("/users/1/password-link", {"csrf": "x"})).status == 403
    owner = await person(api, email="owner@szpilka.example")
    assert (await owner.post("/users/4000000000/password-link", {"csrf": await owner.csrf()})).status == 404


async def test_other_browsers_are_logged_out(api: Api) -> None:
    here = await person(api)
    elsewhere, third = Browser(api.client), Browser(api.client)
    for browser in (elsewhere, third):
        await browser.post("/login", {"email": "ada@szpilka.example", "password": PASSWORD})
    account = await here.get("/account")
    names = [value for name, value in account.fields if name == "session"]
    assert len(names) == 2
    assert "this browser" in account.text
    csrf = await here.csrf()
    assert (await here.post("/account/sessions", {"csrf": csrf, "session": "nonsense"})).status == 422
    await here.post("/account/sessions", {"csrf": csrf, "session": names[0]})
    assert sorted([(await one.get("/")).status for one in (elsewhere, third)]) == [200, 303]
    await here.post("/account/sessions", {"csrf": csrf})
    assert [(await one.get("/")).status for one in (here, elsewhere, third)] == [200, 303, 303]


async def test_nobody_ends_sessions_of_others(api: Api) -> None:
    ada = await person(api)
    session = next(value for name, value in (await second_session(api)).fields if name == "session")
    bea = await person(api, "read", email="bea@szpilka.example")
    await bea.post("/account/sessions", {"csrf": await bea.csrf(), "session": session})
    assert (await ada.get("/")).status == 200


async def second_session(api: Api) -> Page:
    """The account's page in a second browser of Ada, which names her first one."""
    second = Browser(api.client)
    await second.post("/login", {"email": "ada@szpilka.example", "password": PASSWORD})
    return await second.get("/account")


async def test_a_login_opens_a_session_of_its_own_whatever_the_browser_brought(api: Api) -> None:
    theirs, victim = await person(api), Browser(api.client)
    victim.cookies.update(theirs.cookies)
    before = await theirs.csrf()
    document = {"email": "bea@szpilka.example", "name": "Bea", "scopes": ["read"], "password": PASSWORD}
    await (await api.caller()).made("/v1/users", document)
    assert (await victim.post("/login", {"email": "bea@szpilka.example", "password": PASSWORD})).status == 303
    assert victim.cookies.keys() == theirs.cookies.keys()
    assert [victim.cookies[name] == theirs.cookies[name] for name in theirs.cookies] == [False]
    assert await theirs.csrf() == before != await victim.csrf()
    assert "bea@szpilka.example" in (await victim.get("/account")).text
    assert "bea@szpilka.example" not in (await theirs.get("/account")).text
