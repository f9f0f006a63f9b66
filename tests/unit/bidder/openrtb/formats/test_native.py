"""Which assets an impression wants, however it is written."""

import json
from pathlib import Path
from typing import Any

import pytest

from bidder.openrtb.codec import Malformed, decode_request
from bidder.openrtb.formats.native import CODEC, DATA_TYPES, MAX_ASSETS, PICTURE_TYPES
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import Imp, Native
from core.errors import Fault
from creatives.formats.native import KINDS, NativeOffer, NativeRequest, WantedAsset, kinds_needed
from creatives.formats.offer import AssetsNeeded
from tests.kit.openrtb import NATIVE_REQUEST, body_of, corpus_lines

TITLE = {"id": 1, "required": 1, "title": {"len": 25}}


def offer(native: Native) -> NativeOffer:
    found = CODEC.read(Imp("1", native=native))
    assert isinstance(found, NativeOffer)
    return found


def request(native: Native) -> NativeRequest:
    return offer(native).request


def asked(**members: Any) -> NativeRequest:  # noqa: ANN401 - JSON
    return request(Native(request=json.dumps(members)))


def fault(native: Native) -> str:
    found = CODEC.read(Imp("1", native=native))
    assert isinstance(found, Fault)
    assert found.pointer.startswith("/native/request")
    return found.code


def test_an_impression_without_it_offers_none() -> None:
    assert CODEC.read(Imp("1")) is None


def test_each_way_of_writing_it_is_read_alike() -> None:
    plain = request(Native(request=json.dumps(NATIVE_REQUEST)))
    members = {name: NATIVE_REQUEST[name] for name in ("assets", "eventtrackers")}
    assert request(Native(request=NATIVE_REQUEST)) == plain
    assert request(Native(ver="1.2", **members)) == plain
    wrapped = request(Native(request=json.dumps({"native": NATIVE_REQUEST})))
    assert (wrapped.assets, wrapped.trackers, wrapped.is_wrapped) == (plain.assets, plain.trackers, True)
    assert request(Native(request={"native": NATIVE_REQUEST})) == wrapped


def test_what_is_wanted_of_each_kind() -> None:
    image = {"type": 3, "w": 1200, "h": 627, "wmin": 600, "hmin": 300, "mimes": ["image/png"]}
    found = asked(
        assets=[TITLE, {"id": 2, "img": image}, {"id": 3, "data": {"type": 2, "len": 90}}, {"id": 4, "img": {}}]
    )
    assert found.assets == (
        WantedAsset(1, "titles", True, 25),
        WantedAsset(2, "images", False, 0, 1200, 627, 600, 300, ("image/png",), 3),
        WantedAsset(3, "texts", False, 90, type=2),
        WantedAsset(4, "images", False, type=3),
    )


def test_only_required_kinds_are_needed() -> None:
    found = offer(Native(request=json.dumps({"assets": [TITLE, {"id": 2, "data": {"type": 3}}]})))
    assert found.shapes == (AssetsNeeded(kinds_needed([WantedAsset(1, "titles", True)])),)


def test_every_type_of_the_lists_is_a_kind() -> None:
    assert {*PICTURE_TYPES.values(), *DATA_TYPES.values(), "titles"} == set(KINDS)


@pytest.mark.parametrize(
    ("said", "version"),
    [("1", "1.0"), ("1.0", "1.0"), (1, "1.0"), (1.1, "1.1"), ("1.2", "1.2"), ("1.3", "1.2"), ("x", "1.2")],
)
def test_the_version_is_the_request_s(said: object, version: str) -> None:
    assert asked(ver=said, assets=[TITLE]).version == version


def test_a_request_without_a_version_is_of_the_impression_s() -> None:
    assert request(Native(request=json.dumps({"assets": [TITLE]}), ver="1.1")).version == "1.1"


def test_trackers_and_privacy() -> None:
    found = asked(
        assets=[TITLE], eventtrackers=[{"event": 1, "methods": [1, 2]}, {"methods": [1]}, {"event": 2}], privacy=1
    )
    assert (found.trackers, found.wants_privacy) == (((1, 1), (1, 2)), True)
    assert asked(assets=[TITLE]).trackers is None


def test_of_assets_of_one_id_the_first_counts() -> None:
    twice = [TITLE, {"id": 1, "required": 0, "data": {"type": 1}}, {"id": 2, "data": {"type": 2}}]
    assert [(each.id, each.kind) for each in asked(assets=twice).assets] == [(1, "titles"), (2, "texts")]
    assert fault(Native(request=json.dumps({"assets": [TITLE, {"id": 1, "required": 1, "data": {"type": 1}}]}))) == (
        "unknown_asset"
    )


def test_live_traffic_is_not_exact() -> None:
    found = asked(
        assets=[{"id": "1", "required": "1", "title": {"len": "25"}}, {"id": 2, "img": {"wmin": -5, "mimes": None}}]
    )
    assert found.assets == (WantedAsset(1, "titles", True, 25), WantedAsset(2, "images", False, type=3))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_request"),
        ("{", "bad_request"),
        ("[]", "bad_request"),
        ('{"assets":{}}', "bad_request"),
        ('{"assets":[{"id":99999999999999}]}', "bad_request"),
        ('{"native":{"native":{"assets":[]}}}', "no_asset"),
        ('{"assets":[]}', "no_asset"),
        ("{}", "no_asset"),
        ('{"assets":[{"id":1}]}', "no_asset"),
        ('{"assets":[{"id":1,"data":{"type":500}}]}', "no_asset"),
        ('{"assets":[{"id":1,"required":1,"data":{"type":500}}]}', "unknown_asset"),
        ('{"assets":[{"id":1,"required":1,"video":{}}]}', "unknown_asset"),
        ('{"assets":[{"required":1,"title":{}}]}', "unknown_asset"),
        ("[" * 100_000, "bad_request"),
        (
            json.dumps({"assets": [{"id": each, "required": 1, "title": {}} for each in range(MAX_ASSETS + 1)]}),
            "unknown_asset",
        ),
    ],
)
def test_what_no_ad_can_be_made_for_is_explained(text: str, code: str) -> None:
    assert fault(Native(request=text)) == code


def test_nothing_in_a_list_and_one_value_for_a_list_cost_nothing() -> None:
    image = {"id": 2, "img": {"type": 3, "mimes": "image/png"}}
    wanted = asked(assets=[TITLE, None, image], eventtrackers=[{"event": 1, "methods": 1}, None])
    assert [asset.id for asset in wanted.assets] == [1, 2]
    assert wanted.assets[1].mimes == ("image/png",)
    assert wanted.trackers == ((1, 1),)


def test_a_limit_that_cannot_be_read_is_not_left_out() -> None:
    assert fault(Native(request=json.dumps({"assets": [None, {"id": 1, "title": {"len": "many"}}]}))) == "bad_request"


def test_a_request_of_no_end_is_read_to_its_first_assets() -> None:
    assets = [{"id": number, "title": {"len": 25}} for number in range(10 * MAX_ASSETS)]
    assert len(asked(assets=assets).assets) == MAX_ASSETS


def test_rules_of_the_impression_are_part_of_the_offer() -> None:
    found = offer(Native(request=json.dumps({"assets": [TITLE]}), battr=(3,), api=(7,)))
    assert (found.format, found.blocked_attributes, found.frameworks) == ("native", (3,), (7,))


def test_recorded_requests_are_read(corpus: Path) -> None:
    read = faults = 0
    for line in corpus_lines(corpus / "requests.jsonl"):
        try:
            decoded = decode_request(body_of(line["request"]), Tolerances())
        except Malformed:
            continue
        found = [CODEC.read(imp) for imp in decoded.imp]
        faults += sum(isinstance(each, Fault) for each in found)
        read += sum(isinstance(each, NativeOffer) for each in found)
    assert read >= 19
    assert faults <= 6, "those that are no JSON, or name no asset"
