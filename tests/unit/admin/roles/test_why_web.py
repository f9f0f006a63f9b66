from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from admin.roles.why_web import why_routes
from core.clock import ManualClock
from core.model import Advertiser, Catalogue
from pacing.notices.claims import Claims
from pacing.notices.tokens import TokenSigner
from tests.kit.catalogues import native_creative

NOW_MS = 1_790_000_000_000
SIGNER = TokenSigner({1: b"a" * 32})
PUBLISHED = Catalogue(
    version=1, published_ms=0,
    advertisers=(
        Advertiser(id=1, name="Buty", domain="shop1.example", dsa_behalf="Buty <b>", dsa_paid="Agencja"),
        Advertiser(id=2, name="Torby", domain="shop2.example"),
    ),
    creatives=(native_creative(7, 1, language="pl"), native_creative(8, 2)),
)  # fmt: skip
Client = TestClient[web.Request, web.Application]


def token(creative: int = 7, advertiser: int = 1) -> str:
    claims = Claims(
        share=0, line_item_id=1, advertiser_id=advertiser, campaign_id=1, creative_id=creative, exchange_id=1,
        lease_id=1, reserved_micros=1, bid_cpm=10_000, second_cpm=0, floor_cpm=0, currency="PLN",
        issued_s=NOW_MS // 1000,
    )  # fmt: skip
    return SIGNER.sign(claims).decode()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture
async def client(clock: ManualClock) -> AsyncIterator[Client]:
    application = web.Application()
    application.add_routes(why_routes(SIGNER, lambda: PUBLISHED, clock))
    async with TestClient(TestServer(application)) as client:
        yield client


async def test_the_page_says_who_paid_and_why_also_when_the_bid_is_long_over(
    client: Client, clock: ManualClock
) -> None:
    clock.advance(90 * 86_400)
    answer = await client.get(f"/why/{token()}?by=1,2")
    text = await answer.text()
    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "W imieniu: Buty &lt;b&gt;" in text
    assert "Zapłacił: Agencja" in text
    assert "koszyka, stronę i urządzenie" in text


async def test_who_said_nothing_is_named_by_the_domain(client: Client) -> None:
    text = await (await client.get(f"/why/{token(8, 2)}")).text()
    assert "Paid by shop2.example" in text
    assert "You see it" not in text


@pytest.mark.parametrize("by", ["1,2,9,%3Cscript%3E", "1," * 4_000, "%00", "1,1,1"])
async def test_what_is_no_reason_is_left_out(client: Client, by: str) -> None:
    text = await (await client.get(f"/why/{token()}?by={by}")).text()
    assert "script" not in text
    assert text.count("koszyka") <= 1


@pytest.mark.parametrize("bad", ["x", "A" * 120, token(9, 1), token(7, 9)])
async def test_what_is_no_token_of_a_published_ad_is_not_found(client: Client, bad: str) -> None:
    assert (await client.get(f"/why/{bad}")).status == 404


async def test_a_token_that_was_changed_is_not_found(client: Client) -> None:
    good = token()
    assert (await client.get(f"/why/{good[:-1]}{'A' if good[-1] != 'A' else 'B'}")).status == 404


@pytest.mark.parametrize(
    ("accepted", "ad", "language"),
    [
        ("en-GB,en;q=0.9", 7, "en"),
        ("pl", 8, "pl"),
        ("de, pl; q=0.3, en; q=0.7", 7, "en"),
        ("de;q=0.9", 7, "pl"),
        ("de;q=0.9", 8, "en"),
        ("", 7, "pl"),
        ("pl;q=0,en;q=nonsense,;;,\x80", 8, "en"),
    ],
)
async def test_the_page_is_in_the_browser_s_language_or_else_the_ad_s(
    client: Client, accepted: str, ad: int, language: str
) -> None:
    answer = await client.get(f"/why/{token(ad, 1 if ad == 7 else 2)}", headers={"Accept-Language": accepted})
    text = await answer.text()
    assert f'<html lang="{language}">' in text
    assert ("Zapłacił: " in text) == (language == "pl")
    assert answer.headers["Vary"] == "Accept-Language"
