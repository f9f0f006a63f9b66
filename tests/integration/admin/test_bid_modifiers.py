"""Bid modifiers from the API and the console to what is published."""

from tests.integration.admin.conftest import Shop
from tests.kit.api import Api
from tests.kit.console import Page, person

PHONES = {"field": "device_type", "values": [4, 5], "factor_percent": 130}


REFUSED = [
    ({"field": "mood", "values": ["calm"]}, "/field"),
    ({"field": "review", "values": [1]}, "/field"),
    ({"field": "device_type", "values": ["phone"]}, "/values/0"),
    ({"field": "device_type", "values": [4, 99]}, "/values/1"),
    ({"field": "country", "values": ["POL", "Poland"]}, "/values/1"),
    ({"field": "country", "values": [7]}, "/values/0"),
    ({"field": "exchange", "values": [4_000_000]}, "/values/0"),
    ({"field": "radius", "values": ["52.2,21.0"]}, "/values/0"),
    ({"field": "radius", "values": ["nan,21.0,5"]}, "/values/0"),
    ({"field": "radius", "values": ["52.2,21.0,-5"]}, "/values/0"),
    ({"field": "country", "values": ["POL"], "factor_percent": 9}, "/factor_percent"),
    ({"field": "country", "values": ["POL"], "factor_percent": 1_001}, "/factor_percent"),
]


async def test_what_means_nothing_is_refused_at_its_place(shop: Shop) -> None:
    for modifier, pointer in REFUSED:
        answer = await shop.caller.post("/v1/line-items", shop.line_item(bid_modifiers=[modifier]))
        assert answer.status == 422, modifier
        assert [fault["pointer"] for fault in answer.body["errors"]] == [f"/bid_modifiers/0{pointer}"]


async def test_a_person_sets_and_clears_modifiers_row_by_row(api: Api, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item(bid_modifiers=[PHONES]))
    browser, path = await person(api), f"/line-items/{line_item['id']}"
    page = await browser.get(path)
    rows = [text for name, text in page.fields if name.startswith("bid_modifiers.")]
    assert rows[:3] == ["device_type", "4, 5", "130"]
    assert any(rows[3:]) is False
    kept = [(name, text) for name, text in page.fields if not name.startswith("bid_modifiers.")]

    async def saved(*rows: tuple[str, str, str]) -> Page:
        cells = [
            (f"bid_modifiers.{part}", text)
            for row in rows
            for part, text in zip(("field", "values", "percent"), row, strict=True)
        ]
        version = str((await shop.caller.get(f"/v1{path}")).body["version"])
        fields = [(name, version if name == "version" else text) for name, text in kept]
        return await browser.post(path, [*fields, *cells])

    first = await saved(("device_type", "4, 5", "130"), ("domain", "news.example, blog.test", "60%"), ("", "", ""))
    assert first.status == 303, first.text
    assert (await shop.caller.get(f"/v1{path}")).body["bid_modifiers"] == [
        PHONES, {"field": "domain", "values": ["news.example", "blog.test"], "factor_percent": 60}
    ]  # fmt: skip
    wrong = await saved(("device_type", "4, tablet", "130"))
    assert wrong.status == 422
    assert 'value="4, tablet"' in wrong.text
    assert "not a value of device_type" in wrong.text
    assert "write the factor as a percentage" in (await saved(("country", "POL", "a lot"))).text
    assert (await saved(("", "", ""))).status == 303
    assert (await shop.caller.get(f"/v1{path}")).body["bid_modifiers"] == []
