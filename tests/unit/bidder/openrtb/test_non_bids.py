"""Exchanges that ask hear of each impression why there is no bid on it."""

import json
from typing import Any

from bidder.openrtb.non_bids import are_asked_for, with_non_bids
from tests.kit.openrtb import request_of

IMPS = [{"id": name, "banner": {"w": 300, "h": 250}} for name in "abc"]
ASKING = {"prebid": {"returnallbidstatus": True}}


Json = dict[str, Any]


def told(answer: Json, *, seat: str = "s", invalid: frozenset[int] = frozenset()) -> Json:
    body = with_non_bids(json.dumps(answer).encode(), request_of(imp=IMPS), seat, 8, invalid)
    found: Json = json.loads(body)
    return found


def test_who_asks_is_told() -> None:
    assert are_asked_for(request_of(ext=ASKING))
    assert are_asked_for(request_of(ext={"prebid": {"returnallbidstatus": "true"}}))
    others: list[object] = [None, {}, {"prebid": {}}, {"prebid": {"returnallbidstatus": False}}, {"prebid": 7}]
    for ext in others:
        assert not are_asked_for(request_of(ext=ext))


def test_without_a_bid_all_have_the_reason_of_the_request() -> None:
    answer = told({"id": "r", "seatbid": []}, invalid=frozenset({1}))
    assert answer["ext"]["seatnonbid"] == [
        {"seat": "s", "nonbid": [
            {"impid": "a", "statuscode": 8}, {"impid": "b", "statuscode": 2}, {"impid": "c", "statuscode": 8},
        ]}
    ]  # fmt: skip


def test_beside_a_bid_the_others_are_just_no_bid() -> None:
    bid = {"id": "r", "seatbid": [{"bid": [{"id": "1", "impid": "b", "price": 1.5}]}], "ext": {"protocol": "5.3"}}
    answer = told(bid, seat="")
    assert answer["seatbid"] == bid["seatbid"]
    non_bids = [{"impid": "a", "statuscode": 0}, {"impid": "c", "statuscode": 0}]
    assert answer["ext"] == {"protocol": "5.3", "seatnonbid": [{"nonbid": non_bids}]}


def test_where_everything_is_bid_on_nothing_is_said() -> None:
    bids = [{"id": name, "impid": name, "price": 1.0} for name in "abc"]
    assert "ext" not in told({"id": "r", "seatbid": [{"bid": bids}]})
