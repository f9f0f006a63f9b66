"""A new campaign in one form: what is made, what is refused, and what is said of it."""

import hashlib
import json
import re

import pytest

from tests.integration.admin.conftest import Shop
from tests.kit.api import Api
from tests.kit.console import person
from tests.kit.media import mp4, picture

CAMPAIGN = {
    "name": "Autumn carts",
    "goal": "cpc",
    "bid": "1,20",
    "max_cpm": "25",
    "daily_budget": "300",
    "audience": "cart_abandoners",
    "cart_abandoners.at_least": "500",
    "size": "300x250",
    "image_url": "https://szpilka.example/ad.png",
    "landing_url": "https://szpilka.example/",
    "countries": "pol",
}


async def test_a_campaign_in_one_form(api: Api, shop: Shop) -> None:
    browser = await person(api)
    form = CAMPAIGN | {"advertiser_id": str(shop.advertiser["id"])}
    review = await browser.fill("/start", form | {"action": "review"})
    assert review.status == 200, review.text
    assert "cart.value &gt;= 500 PLN and cart.age in 1h..14d" in review.text
    assert "<strong>1 hr</strong>" in review.text, "a cart of this minute is not bid on at once"
    sooner = await browser.fill("/start", form | {"action": "review", "cart_abandoners.delay": "5m"})
    assert "<strong>5 min</strong>." in sooner.text
    browser.cookies["grosz_language"] = "pl"
    polish = await browser.fill("/start", form | {"action": "review"})
    assert "po porzuceniu koszyka: <strong>1 godz.</strong> Pierwsze" in polish.text
    assert (
        "Zostawili koszyk i od tej pory nic nie kupili. Czas od zostawienia koszyka: 1 godz. \u2013 14 dni."
        in polish.text
    )
    assert "Wartość koszyka: co najmniej 500,00\xa0zł.<details>" in polish.text, (
        "the rule itself stands behind its words"
    )
    for more in ({"cart_abandoners.delay": "0m"}, {"audience": "buyers"}, {"audience": "everybody"}):
        assert "porzuceniu koszyka:" not in (await browser.fill("/start", form | {"action": "review"} | more)).text
    del browser.cookies["grosz_language"]
    assert (await shop.caller.get("/v1/segments")).body["items"] == []
    made = await browser.fill("/start", form | {"action": "make"})
    assert made.status == 303, made.text
    line_item_id = int(made.headers["Location"].split("/")[2])
    line_item = (await shop.caller.get(f"/v1/line-items/{line_item_id}")).body
    assert line_item["bid"]["amount"] == "1.20"
    assert line_item["daily_budget"]["spend"]["amount"] == "300.00"
    assert line_item["targeting"]["countries"] == ["POL"]
    (segment,) = (await shop.caller.get("/v1/segments")).body["items"]
    assert line_item["targeting"]["segments_any"] == [segment["id"]]
    assert "500" in segment["rule"]
    creative = (await shop.caller.get(f"/v1/creatives/{line_item['creative_ids'][0]}")).body
    assert (creative["width"], creative["height"]) == (300, 250)


async def test_a_shop_of_ones_own_begins_with_its_campaign(api: Api) -> None:
    """What was only reviewed leaves no trace, also of its currency: the next advertiser has the same id."""
    browser = await person(api)
    form = CAMPAIGN | {"advertiser_id": "new", "shop": "Obcas", "name": "", "action": "review"}
    review = await browser.fill("/start", form | {"currency": "USD"})
    assert review.status == 200, review.text
    made = await browser.fill("/start", form | {"currency": "EUR", "action": "make"})
    assert made.status == 303, made.text
    owner = await api.caller()
    line_item = (await owner.get(f"/v1/line-items/{made.headers['Location'].split('/')[2]}")).body
    assert (line_item["name"], line_item["bid"]) == ("Cart abandoners by value", {"amount": "1.20", "currency": "EUR"})
    advertiser = (await owner.get(f"/v1/advertisers/{line_item['advertiser_id']}")).body
    assert (advertiser["name"], advertiser["domain"], advertiser["currency"]) == ("Obcas", "szpilka.example", "EUR")


async def test_two_addresses_are_enough_for_a_first_campaign(api: Api) -> None:
    browser = await person(api)
    addresses = {"landing_url": "www.obcas.example/koszyk", "image_url": "cdn.obcas.example/ad.png"}
    review = await browser.fill("/start", addresses | {"advertiser_id": "new", "action": "review"})
    assert review.status == 200, review.text
    for kind, name in (("advertiser", "obcas.example"), ("campaign", "Cart abandoners by value"),
                       ("segment", "Cart abandoners by value"), ("line item", "Cart abandoners by value")):  # fmt: skip
        assert f"<li>{kind}: <strong>{name}</strong>" in review.text
    assert "No budget limits it" in review.text
    assert "no category that can be checked" in review.text
    said = addresses | {"advertiser_id": "new", "category": "IAB18", "daily_budget": "50"}
    sure = await browser.fill("/start", said | {"cart_abandoners.delay": "5m", "action": "review"})
    for gone in ("No budget limits it", "no category", "write a shorter time"):
        assert gone not in sure.text
    made = await browser.fill("/start", said | {"action": "make"})
    assert made.status == 303, made.text
    owner = await api.caller()
    line_item = (await owner.get(f"/v1/line-items/{made.headers['Location'].split('/')[2]}")).body
    creative = (await owner.get(f"/v1/creatives/{line_item['creative_ids'][0]}")).body
    assert (creative["landing_url"], creative["categories"]) == ("https://www.obcas.example/koszyk", ["IAB18"])
    assert creative["image_url"] == "https://cdn.obcas.example/ad.png"


async def test_all_that_a_campaign_lacks_is_said_at_once_and_at_its_inputs(api: Api) -> None:
    browser = await person(api)
    wrong = {"advertiser_id": "new", "bid": "", "size": "big", "cart_abandoners.delay": "minute", "end": "then"}
    answer = await browser.fill("/start", wrong | {"action": "review"})
    assert answer.status == 422
    for name in ("landing_url", "image_url", "bid", "size", "p-cart_abandoners-delay", "end"):
        assert f'<a href="#{name}">' in answer.text
        assert re.search(f'id="{name}"[^>]* aria-invalid="true"', answer.text)
        assert re.search(f'id="{name}-fault" class="fault">[^<]+<', answer.text)
    assert "delay: " not in answer.text


async def test_a_file_is_kept_for_a_campaign_before_there_is_an_advertiser(api: Api) -> None:
    browser, data = await person(api), picture()
    token = {"X-CSRF-Token": await browser.csrf()}
    answers = [
        await browser.send("/start/picture", data, token),
        await browser.send("/start/picture", b"<svg>", token),
        await browser.send("/start/picture", mp4(), token),
        await browser.send("/start/picture", data, {}),
        await browser.send("/start/picture", data, token | {"Sec-Fetch-Site": "cross-site"}),
    ]
    assert [one.status for one in answers] == [200, 422, 422, 403, 403]
    name = f"{hashlib.sha256(data).hexdigest()}.png"
    assert json.loads(answers[0].text) == {"url": f"https://track.example/m/{name}", "size": "300x250"}
    assert json.loads(answers[1].text)["fault"].startswith("SVG is a document")
    reader = await person(api, "read", email="bea@szpilka.example")
    assert (await reader.send("/start/picture", data, {"X-CSRF-Token": await reader.csrf()})).status == 403


async def test_a_restricted_person_makes_no_advertiser(api: Api, shop: Shop) -> None:
    browser = await person(api, "read", "trade", advertisers=(shop.advertiser["id"],))
    assert 'value="new"' not in (await browser.get("/start")).text
    form = CAMPAIGN | {"advertiser_id": "new", "shop": "Obcas", "currency": "PLN", "action": "make"}
    assert (await browser.fill("/start", form)).status == 403


@pytest.mark.parametrize(
    "changes",
    [{"bid": "much"}, {"size": "big"}, {"audience": "aliens"}, {"landing_url": "nowhere"},
     {"advertiser_id": "new", "landing_url": "nowhere"},
     {"advertiser_id": ""}, {"cart_abandoners.at_least": "many"}, {"countries": "Poland"},
     {"end": "2020-01-01T00:00", "start": "2021-01-01T00:00"}],
)  # fmt: skip
async def test_a_campaign_that_is_refused_leaves_nothing(api: Api, shop: Shop, changes: dict[str, str]) -> None:
    browser = await person(api)
    form = CAMPAIGN | {"advertiser_id": str(shop.advertiser["id"]), "action": "make"} | changes
    answer = await browser.fill("/start", form)
    assert answer.status == 422, answer.text
    assert 'role="alert"' in answer.text
    for name in ("campaigns", "segments", "line-items", "creatives"):
        assert len((await shop.caller.get(f"/v1/{name}")).body["items"]) == (name in ("campaigns", "creatives"))
