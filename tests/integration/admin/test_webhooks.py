"""Webhook addresses are judged when they are saved, before a call to them fails at night."""

import pytest

from tests.integration.admin.conftest import Shop

# Ports and schemes that no web hook has, credentials that logs would keep, spellings of nothing.
REFUSED = [
    "",
    "szpilka.example/hook",
    "ftp://szpilka.example/hook",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "https://",
    "https:///hook",
    "https://user:password@szpilka.example/hook",
    "https://szpilka.example:99999/hook",
    "https://[::1/hook",
]

# Where calls go only if the worker's setting allows private addresses: saved, with a warning.
PRIVATE = [
    "http://127.0.0.1/hook",
    "http://2130706433/hook",
    "http://0x7f.1/hook",
    "http://[::1]/hook",
    "http://[::127.0.0.1]/hook",
    "http://[64:ff9b::7f00:1]/hook",
    "http://[fec0::1]/hook",
    "http://[2002:7f00:1::]/hook",
    "http://224.0.0.1/hook",
    "http://169.254.169.254/latest/meta-data",
    "http://localhost/hook",
    "http://redis.internal/hook",
]


def _webhook(shop: Shop, url: str) -> dict[str, object]:
    return {"advertiser_id": shop.advertiser["id"], "name": "Mail system", "url": url}


@pytest.mark.parametrize("url", REFUSED)
async def test_what_cannot_be_called_is_refused(shop: Shop, url: str) -> None:
    answer = await shop.caller.post("/v1/webhooks", _webhook(shop, url))
    assert answer.status == 422, answer.body
    assert "/url" in answer.codes
    assert (await shop.caller.get("/v1/webhooks")).body["items"] == []


@pytest.mark.parametrize("url", PRIVATE)
async def test_a_private_address_is_warned_about(shop: Shop, url: str) -> None:
    answer = await shop.caller.post("/v1/webhooks", _webhook(shop, url))
    assert answer.status == 201, answer.body
    assert [warning["pointer"] for warning in answer.body["warnings"]] == ["/url"]


async def test_a_public_address_is_saved_and_changed_by_the_same_rules(shop: Shop) -> None:
    made = await shop.caller.made("/v1/webhooks", _webhook(shop, "https://szpilka.example/hook"))
    assert made["warnings"] == []
    refused = await shop.caller.patch(f"/v1/webhooks/{made['id']}", {"url": "ftp://szpilka.example/"})
    assert refused.status == 422
    assert (await shop.caller.get(f"/v1/webhooks/{made['id']}")).body["url"] == "https://szpilka.example/hook"
