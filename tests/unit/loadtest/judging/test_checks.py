import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.judging.checks import Answer, Bid, CatalogueRules, Checker, LineItemRules, load_rules
from loadtest.traffic.facts import facts_of
from loadtest.traffic.scenario import ScenarioError

NOW_MS = 1_790_000_000_000
Object = dict[str, Any]


def request() -> Object:
    return {
        "id": "r1",
        "imp": [
            {
                "id": "1", "secure": 1, "bidfloor": 1.0, "bidfloorcur": "PLN",
                "banner": {"format": [{"w": 300, "h": 250}, {"w": 336, "h": 280}], "battr": [3]},
                "pmp": {"deals": [
                    {"id": "D1", "bidfloor": 3.0, "bidfloorcur": "PLN", "wseat": ["grosz"],
                     "wadomain": ["sklep.example"]},
                    {"id": "FIX", "bidfloor": 4.0, "bidfloorcur": "PLN", "at": 3},
                ]},
            },
            {"id": "2", "bidfloor": 1.0, "bidfloorcur": "EUR", "banner": {"w": 728, "h": 90},
             "video": {"mimes": ["video/mp4"]}, "pmp": {"private_auction": 1, "deals": [{"id": "P"}]}},
        ],
        "cur": ["PLN"], "bcat": ["IAB7"], "badv": ["kasyno.example"], "bseat": ["blocked"],
    }  # fmt: skip


def answer() -> Object:
    bid = {
        "id": "b1", "impid": "1", "price": 2.5, "crid": "9-1", "cid": "7", "adid": "9", "w": 300, "h": 250, "mtype": 1,
        "adm": '<a href="https://t.example/c"><img src="https://cdn.example/a.png"></a>',
        "adomain": ["sklep.example"], "cat": ["IAB22"], "nurl": "https://t.example/n",
    }  # fmt: skip
    return {"id": "r1", "cur": "PLN", "seatbid": [{"seat": "grosz", "bid": [bid]}]}


def judge(body: Object | bytes, rules: CatalogueRules | None = None, **facts: bool) -> Answer:
    checker = Checker(rules, {"EUR": 4.25}, lambda: NOW_MS)
    text = body if isinstance(body, bytes) else orjson.dumps(body)
    return checker.check("r1", facts_of(request(), **facts), text)


def test_a_good_answer_has_no_violation_and_its_bid_can_be_sold() -> None:
    judged = judge(answer())
    assert judged.violations == []
    (bid,) = judged.bids
    assert (bid.impression, bid.price, bid.currency, bid.bid.cid) == ("1", 2_500_000, "PLN", "7")


def set_bid(**members: object) -> Callable[[Object], None]:
    def plant(body: Object) -> None:
        body["seatbid"][0]["bid"][0].update(members)

    return plant


def set_top(**members: object) -> Callable[[Object], None]:
    return lambda body: body.update(members)


def set_seat(seat: str) -> Callable[[Object], None]:
    return lambda body: body["seatbid"][0].update(seat=seat)


def double_the_bid(body: Object) -> None:
    body["seatbid"][0]["bid"].append(copy.deepcopy(body["seatbid"][0]["bid"][0]))


def bid_on_a_deal_from_another_seat(body: Object) -> None:
    set_bid(dealid="D1", price=3.5)(body)
    set_seat("somebody")(body)


PLANTED: list[tuple[str, Callable[[Object], None]]] = [
    ("id-echo", set_top(id="another")),
    ("currency", set_top(cur="USD")),
    ("unknown-impression", set_bid(impid="3")),
    ("price", set_bid(price=-1)),
    ("price", set_bid(price="2.50")),
    ("below-floor", set_bid(price=0.99)),
    ("below-floor", set_bid(dealid="D1", price=2.99)),
    ("below-floor", set_bid(impid="2", w=728, h=90, price=4.24)),
    ("deal-price", set_bid(dealid="FIX", price=4.5)),
    ("unknown-deal", set_bid(dealid="D9")),
    ("deal-seat", bid_on_a_deal_from_another_seat),
    ("deal-domain", set_bid(dealid="D1", price=3.5, adomain=["inny.example"])),
    ("private-auction", set_bid(impid="2", w=728, h=90, price=9)),
    ("size", set_bid(w=300, h=600)),
    ("format", set_bid(mtype=4)),
    ("format", set_bid(impid="2", mtype=None, dealid="P")),
    ("insecure", set_bid(adm='<img src="http://cdn.example/a.png">')),
    ("iurl", set_bid(iurl="/card/300x250.png")),
    ("iurl", set_bid(iurl="data:image/png;base64,AAAA")),
    ("insecure", set_bid(adm='<img src="http://127.0.0.1.example/a.png"><img src="http://127.0.0.1:1/a.png">')),
    ("blocked-domain", set_bid(adomain=["www.kasyno.example"])),
    ("blocked-category", set_bid(cat=["IAB7-39"])),
    ("blocked-attribute", set_bid(attr=[1, 3])),
    ("seat", set_seat("blocked")),
    ("missing-member", set_bid(crid="")),
    ("no-markup", set_bid(adm="", nurl="")),
    ("long-notice-url", set_bid(burl="https://t.example/" + "x" * 2000)),
    ("duplicate-bid-id", double_the_bid),
]


@pytest.mark.parametrize(("kind", "plant"), PLANTED, ids=[f"{kind}-{n}" for n, (kind, _) in enumerate(PLANTED)])
def test_a_planted_violation_is_found(kind: str, plant: Callable[[Object], None]) -> None:
    body = answer()
    plant(body)
    judged = judge(body)
    assert kind in {violation.kind for violation in judged.violations}
    assert judged.bids == []


RULES = CatalogueRules({70: LineItemRules(None, None, active=True, needs_profile=False)}, {(7, 9): (70,)})
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1e999", "nan", 10**400, "3", "IAB7", "kasyno.example", "D1", "1"])
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))


@given(st.sampled_from([field.name for field in msgspec.structs.fields(Bid)]), VALUES)
def test_no_value_of_any_member_stops_the_checker(name: str, value: object) -> None:
    body = answer()
    set_bid(**{name: value})(body)
    judged = judge(json.dumps(body).encode(), RULES)
    assert judged.bids or judged.violations


def test_an_answer_that_is_not_json_is_found() -> None:
    assert [violation.kind for violation in judge(b"{oops").violations] == ["not-json"]


@pytest.mark.parametrize("body", [b"[]", b'{"seatbid":{}}', b'{"seatbid":[{"bid":{}}]}', b'{"seatbid":[{"bid":[7]}]}'])
def test_an_answer_of_another_shape_is_found(body: bytes) -> None:
    assert [violation.kind for violation in judge(body).violations] == ["malformed-answer"]


@pytest.mark.parametrize("body", [{}, {"id": "r1"}, {"id": "r1", "seatbid": []}, {"id": "r1", "nbr": 8}])
def test_every_legal_form_of_no_is_no_violation(body: Object) -> None:
    judged = judge(body)
    assert (judged.bids, judged.violations, judged.no_bid_code) == ([], [], body.get("nbr"))


def test_a_no_bid_for_another_request_is_found() -> None:
    assert [violation.kind for violation in judge({"id": "r2", "nbr": 2}).violations] == ["id-echo"]


def test_floors_in_another_currency_are_converted_and_rounded_up() -> None:
    checker = Checker(None, {"EUR": 4.253333}, lambda: NOW_MS)
    imp = facts_of(request()).impressions["2"]
    assert checker.floor_micros(imp, "PLN") == 4_253_333
    assert Checker(None, {}, lambda: NOW_MS).floor_micros(imp, "PLN") is None


def test_an_insecure_tracker_on_loopback_breaks_no_page() -> None:
    body = answer()
    set_bid(adm='<img src="http://127.0.0.1:8081/t/imp/x">')(body)
    assert judge(body).violations == []


def catalogue(tmp_path: Path, **line_item: object) -> CatalogueRules:
    item = {"id": 70, "advertiser_id": 1, "campaign_id": 7, "creative_ids": [9], "status": "active"} | line_item
    document = {
        "advertisers": [{"id": 1}], "campaigns": [{"id": 7, "status": "active"}], "line_items": [item],
    }  # fmt: skip
    file = tmp_path / "catalogue.json"
    file.write_bytes(orjson.dumps(document))
    return load_rules(file)


def test_a_line_item_in_its_flight_may_bid(tmp_path: Path) -> None:
    rules = catalogue(tmp_path, start="2020-01-01T00:00:00Z", end="2099-01-01T00:00:00+01:00")
    assert judge(answer(), rules).violations == []


@pytest.mark.parametrize(
    ("kind", "line_item"),
    [
        ("expired-line-item", {"end": "2020-01-01T00:00:00Z"}),
        ("expired-line-item", {"start": "2099-01-01T00:00:00Z"}),
        ("paused-line-item", {"status": "paused"}),
        ("unknown-line-item", {"creative_ids": [10]}),
        ("no-consent", {"targeting": {"segments_any": [3]}}),
    ],
)
def test_what_the_catalogue_forbids_is_found(tmp_path: Path, kind: str, line_item: Object) -> None:
    rules = catalogue(tmp_path, **line_item)
    found = judge(answer(), rules, profile_allowed=False).violations
    assert [violation.kind for violation in found] == [kind]


def test_a_profile_may_be_used_where_it_is_permitted(tmp_path: Path) -> None:
    rules = catalogue(tmp_path, targeting={"segments_any": [3]})
    assert judge(answer(), rules, profile_allowed=True).violations == []


def test_a_tactic_names_the_line_item(tmp_path: Path) -> None:
    body = answer()
    set_bid(tactic="71")(body)
    assert [violation.kind for violation in judge(body, catalogue(tmp_path)).violations] == ["unknown-line-item"]


def test_a_catalogue_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_rules(tmp_path / "broken.json")
