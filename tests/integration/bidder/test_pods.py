"""Pods: structured, dynamic and hybrid, floors by length, and advertisers kept apart."""

import random
from typing import Any

import msgspec
import pytest

from core.model import Creative, Targeting
from tests.kit.bidding import TestBidder, bids_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request
from tests.kit.spots import VIDEO, video_creative

PLAYER: dict[str, Any] = {"mimes": ["video/mp4"], "protocols": [3], "api": [7]}


def spot(number: int, advertiser: int, seconds: int, **members: object) -> Creative:
    made = msgspec.structs.replace(VIDEO, duration_ms=1_000 * seconds, skip_after_s=None)
    return video_creative(number, advertiser, made, **members)


def bidder(*offers: tuple[int, int, float], **more: object) -> TestBidder:
    """Line items of (advertiser, seconds, CPM), numbered from 1, each with a spot."""
    creatives = [spot(at, advertiser, seconds) for at, (advertiser, seconds, _cpm) in enumerate(offers, 1)]
    lines = [
        line_item(at, advertiser, creative_ids=(at,), bid_micros=round(cpm * 1e6), **more)
        for at, (advertiser, _seconds, cpm) in enumerate(offers, 1)
    ]
    return TestBidder(catalogue(*lines, advertisers=6, creatives=creatives))


def asked(bidding: TestBidder, *videos: dict[str, Any], **imp: Any) -> list[tuple[str, str, int]]:  # noqa: ANN401
    """(impression, creative, seconds) of the bids."""
    imps = [{"id": str(number), "video": PLAYER | video, **imp} for number, video in enumerate(videos, 1)]
    found = bids_of(bidding.answer(raw_request(imp=imps, regs={"gdpr": 0})))
    assert len({bid["id"] for bid in found}) == len(found)
    return sorted((str(bid["impid"]), str(bid["adid"]), int(str(bid["dur"]))) for bid in found)


def test_a_dynamic_pod_is_filled_by_what_brings_most_in_its_seconds() -> None:
    shops = bidder((1, 30, 5.0), (2, 15, 3.0), (3, 15, 3.5), (4, 20, 1.0))
    assert asked(shops, {"poddur": 30, "maxseq": 3}) == [("1", "2", 15), ("1", "3", 15)]
    assert asked(shops, {"poddur": 30, "maxseq": 1}) == [("1", "1", 30)]
    assert asked(shops, {"poddur": 60, "maxseq": 6}) == [("1", "1", 30), ("1", "2", 15), ("1", "3", 15)]
    assert asked(shops, {"poddur": 20, "maxseq": 2, "rqddurs": [15]}) == [("1", "3", 15)]
    assert asked(shops, {"poddur": 10, "maxseq": 2}) == []


def test_no_advertiser_and_no_ad_is_twice_in_a_pod_unless_that_is_wanted() -> None:
    shops = bidder((1, 15, 3.0), (1, 15, 2.0), (2, 15, 1.0))
    assert asked(shops, {"poddur": 60}) == [("1", "1", 15), ("1", "3", 15)]
    assert asked(shops, {"poddur": 60, "poddedupe": [5]}) == [("1", "1", 15), ("1", "2", 15), ("1", "3", 15)]
    assert asked(shops, {"poddur": 60, "poddedupe": [2]}) == [("1", "1", 15)], "all have the same category"


def test_impressions_of_a_structured_pod_have_lengths_of_their_own_and_are_kept_apart() -> None:
    shops = bidder((1, 30, 5.0), (1, 15, 4.0), (2, 15, 3.0))
    places = [{"podid": "pod", "rqddurs": [30]}, {"podid": "pod", "rqddurs": [15]}]
    assert asked(shops, *places) == [("1", "1", 30), ("2", "3", 15)]
    apart = [{"podid": "one", "rqddurs": [30]}, {"podid": "other", "rqddurs": [15]}]
    assert asked(shops, *apart) == [("1", "1", 30), ("2", "2", 15)]


def placed(*offers: tuple[float, tuple[int, ...]]) -> TestBidder:
    """Line items of (CPM, places in a pod), numbered from 1, each of a shop of its own with a spot of 15 s."""
    numbers = range(1, len(offers) + 1)
    lines = [
        line_item(at, at, creative_ids=(at,), bid_micros=round(cpm * 1e6), targeting=Targeting(pod_slots=slots))
        for at, (cpm, slots) in zip(numbers, offers, strict=True)
    ]
    return TestBidder(catalogue(*lines, advertisers=len(offers), creatives=[spot(at, at, 15) for at in numbers]))


def places_of(bidding: TestBidder, *players: dict[str, Any]) -> dict[str, tuple[str, object]]:
    """Creative -> impression and `slotinpod` of its bid."""
    imps = [{"id": str(number), "video": PLAYER | player} for number, player in enumerate(players, 1)]
    found = bids_of(bidding.answer(raw_request(imp=imps, regs={"gdpr": 0})))
    return {str(bid["adid"]): (str(bid["impid"]), bid.get("slotinpod")) for bid in found}


def test_each_place_of_a_structured_pod_goes_to_who_is_targeted_at_it() -> None:
    first, other = {"podid": "pod", "slotinpod": 1}, {"podid": "pod", "slotinpod": 0}
    shops = placed((5.0, (1,)), (3.0, ()), (2.0, (1,)))
    assert places_of(shops, first, other) == {"1": ("1", None), "2": ("2", None)}
    assert places_of(shops, other, first) == {"1": ("2", None), "2": ("1", None)}
    assert places_of(placed((5.0, (1,)), (3.0, (1,))), first, other) == {"1": ("1", None)}


@pytest.mark.parametrize(
    ("asked", "guaranteed", "named"),
    [
        ((1,), 1, 1),
        ((1,), 2, 1),
        ((-1,), -1, -1),
        ((-1,), 2, -1),
        ((2,), 2, 2),
        ((1, -1), 2, 2),
        ((1, -1), -1, -1),
        ((2, 1), 1, 1),
        ((0, 1), 1, None),
        ((), 1, None),
        ((0,), 0, None),
    ],
)
def test_a_bid_names_the_place_that_it_wants_in_a_dynamic_pod_alone(
    asked: tuple[int, ...], guaranteed: int, named: int | None
) -> None:
    pod = {"podid": "pod", "poddur": 60, "maxseq": 4, "slotinpod": guaranteed}
    assert places_of(placed((5.0, asked)), pod) == {"1": ("1", named)}
    single = {"podid": "pod", "slotinpod": guaranteed}
    if guaranteed in asked or not asked:
        assert places_of(placed((5.0, asked)), single) == {"1": ("1", None)}, "the impression is the place"


@pytest.mark.parametrize("guaranteed", [None, 0, -1])
def test_a_place_that_a_dynamic_pod_does_not_guarantee_is_not_bid_for(guaranteed: int | None) -> None:
    pod = {"podid": "pod", "poddur": 60} | ({} if guaranteed is None else {"slotinpod": guaranteed})
    assert places_of(placed((5.0, (1,)), (1.0, ())), pod) == {"2": ("1", None)}


def test_the_first_place_of_a_dynamic_pod_is_bid_for_once() -> None:
    pod = {"podid": "pod", "poddur": 60, "maxseq": 4, "slotinpod": 2}
    shops = placed((5.0, (1,)), (4.0, (1,)), (3.0, (2,)), (2.0, (1, -1)), (1.0, ()))
    assert places_of(shops, pod) == {"1": ("1", 1), "3": ("1", 2), "5": ("1", None)}


@pytest.mark.parametrize(("wanted", "guaranteed", "named"), [((1,), 1, [1]), ((2,), 2, [2, 2]), ((-1,), 2, [-1])])
def test_many_that_want_one_place_leave_the_others_to_cheaper_ads(
    wanted: tuple[int, ...], guaranteed: int, named: list[int]
) -> None:
    """A search looks at so many candidates of a room, the dearest first: of one place only one of them can be sent."""
    pod = {"podid": "pod", "poddur": 90, "maxseq": 6, "slotinpod": guaranteed, "poddedupe": [5]}
    shops = placed(*[(5.0, wanted)] * 30, *[(3.0, ())] * 8)
    places = [place for _imp, place in places_of(shops, pod).values()]
    assert [place for place in places if place is not None] == named
    assert len(places) == 6


def test_the_fixed_part_of_a_hybrid_pod_names_no_place_and_its_dynamic_part_does() -> None:
    fixed, rest = {"podid": "pod", "slotinpod": 1}, {"podid": "pod", "poddur": 30, "maxseq": 2, "slotinpod": -1}
    shops = placed((5.0, (1,)), (4.0, (-1,)), (3.0, ()))
    assert places_of(shops, fixed, rest) == {"1": ("1", None), "2": ("2", -1), "3": ("2", None)}


def test_a_dynamic_pod_beside_a_banner_names_the_place_of_its_one_ad() -> None:
    imp = {"id": "1", "banner": {"w": 728, "h": 90}, "video": PLAYER | {"poddur": 60, "slotinpod": 1}}
    (bid,) = bids_of(placed((5.0, (1,))).answer(raw_request(imp=[imp], regs={"gdpr": 0})))
    assert bid["slotinpod"] == 1


def test_a_hybrid_pod_is_one_pod() -> None:
    shops = bidder((1, 30, 5.0), (2, 15, 4.0), (3, 15, 3.0))
    places: list[dict[str, Any]] = [{"podid": "pod", "rqddurs": [30]}, {"podid": "pod", "poddur": 30, "maxseq": 2}]
    assert asked(shops, *places) == [("1", "1", 30), ("2", "2", 15), ("2", "3", 15)]


def test_what_a_place_takes_is_weighed_against_what_it_keeps_from_another() -> None:
    shops = bidder((1, 30, 5.0), (1, 15, 4.5), (2, 30, 3.0))
    places = [{"podid": "pod", "rqddurs": [30]}, {"podid": "pod", "rqddurs": [15]}]
    assert asked(shops, *places) == [("1", "3", 30), ("2", "2", 15)], "3.0 and 4.5 are more than 5.0 alone"


def best_of_all(offers: list[tuple[int, int, float]], rooms: list[tuple[int, int, tuple[int, ...], float]]) -> float:
    """The most that a pod can bring, by trying every place of every spot; rooms: seconds, ads, lengths, floor."""
    left = [[seconds, most] for seconds, most, _lengths, _floor in rooms]

    def rest(at: int, shops: frozenset[int]) -> float:
        if at == len(offers):
            return 0.0
        shop, seconds, cpm = offers[at]
        most = rest(at + 1, shops)
        for room, (_seconds, _most, lengths, floor) in zip(left, rooms, strict=True):
            if shop in shops or seconds not in lengths or cpm < floor * seconds or not room[1] or room[0] < seconds:
                continue
            room[0] -= seconds
            room[1] -= 1
            most = max(most, cpm + rest(at + 1, shops | {shop}))
            room[0] += seconds
            room[1] += 1
        return most

    return rest(0, frozenset())


@pytest.mark.parametrize("seed", range(40))
def test_a_pod_of_up_to_six_slots_brings_what_the_best_of_all_fillings_brings(seed: int) -> None:
    chance = random.Random(seed)
    offers = [
        (chance.randint(1, 6), chance.choice((10, 15, 30)), chance.randint(2, 20) / 2)
        for _ in range(chance.randint(2, 7))
    ]
    videos, rooms, slots = list[dict[str, Any]](), list[tuple[int, int, tuple[int, ...], float]](), 0
    while slots < 6 and (not videos or chance.random() < 0.8):
        lengths = tuple(chance.sample((10, 15, 30), chance.randint(1, 3)))
        floor = chance.choice((0.0, 0.1, 0.25))
        video: dict[str, Any] = {"podid": "pod", "rqddurs": lengths, "podseq": chance.choice((-1, 0, 1))}
        if floor:
            video["mincpmpersec"] = floor
        most = min(chance.choice((1, 1, 2, 3)), 6 - slots)
        if most > 1:
            seconds = chance.choice((30, 45, 60))
            video |= {"poddur": seconds, "maxseq": most}
        else:
            seconds = 60
            video["slotinpod"] = chance.choice((-1, 0, 1, 2))
        videos.append(video)
        rooms.append((seconds, most, lengths, floor))
        slots += most
    found = asked(bidder(*offers), *videos, bidfloorcur="PLN")
    brought = sum(offers[int(creative) - 1][2] for _imp, creative, _seconds in found)
    assert brought == pytest.approx(best_of_all(offers, rooms))


@pytest.mark.parametrize(
    ("floors", "expected"),
    [
        ({"mincpmpersec": 0.2}, [("1", "2", 15)]),  # 30 s cost 6, 15 s cost 3
        ({"mincpmpersec": 0.15}, [("1", "1", 30)]),
        ({"mincpmpersec": 1.0}, []),
        (
            {"durfloors": [{"mindur": 1, "maxdur": 20, "bidfloor": 1.0}, {"mindur": 21, "bidfloor": 5.5}]},
            [("1", "2", 15)],
        ),
        ({"durfloors": [{"mindur": 1, "maxdur": 20, "bidfloor": 9.0}]}, [("1", "1", 30)]),
        ({"durfloors": [{"maxdur": 60, "bidfloor": 1.0}, {"mindur": 20, "bidfloor": 5.5}]}, [("1", "2", 15)]),
    ],
)
def test_a_floor_may_depend_on_the_length(floors: dict[str, Any], expected: list[tuple[str, str, int]]) -> None:
    shops = bidder((1, 30, 5.0), (2, 15, 4.0))
    assert asked(shops, floors, bidfloorcur="PLN") == expected


def test_a_floor_by_length_replaces_that_of_the_impression() -> None:
    shops = bidder((1, 30, 5.0))
    assert asked(shops, {"mincpmpersec": 0.1}, bidfloor=9.0, bidfloorcur="PLN") == [("1", "1", 30)]
    assert asked(shops, {}, bidfloor=9.0, bidfloorcur="PLN") == []


def test_a_floor_that_cannot_be_read_leaves_the_pod_out() -> None:
    assert asked(bidder((1, 30, 5.0)), {"mincpmpersec": 0.1}, bidfloorcur="XYZ") == []


def test_beside_other_formats_the_dearest_floor_counts_and_there_is_one_bid() -> None:
    shops, banner = bidder((1, 15, 4.0)), {"w": 300, "h": 250}
    floors = {"durfloors": [{"maxdur": 20, "bidfloor": 1.0}, {"mindur": 21, "bidfloor": 5.0}]}
    assert asked(shops, floors, bidfloorcur="PLN") == [("1", "1", 15)]
    assert asked(shops, floors, bidfloorcur="PLN", banner=banner) == []
    assert asked(bidder((1, 15, 6.0)), floors | {"poddur": 60}, bidfloorcur="PLN", banner=banner) == [("1", "1", 15)]


@pytest.mark.parametrize("beside", [(0,), (1,), (0, 1)])
def test_beside_other_formats_it_is_kept_apart_from_the_rest_of_its_pod(beside: tuple[int, ...]) -> None:
    shops = bidder((1, 15, 4.0), (1, 15, 3.0), (2, 15, 1.0))

    def taken(*names: str, **members: object) -> list[str]:
        imps = [{"id": str(at), "video": {**PLAYER, "podid": name, **members}} for at, name in enumerate(names)]
        for at in beside:
            imps[at]["banner"] = {"w": 300, "h": 250}
        return sorted(str(bid["adid"]) for bid in bids_of(shops.answer(raw_request(imp=imps, regs={"gdpr": 0}))))

    assert taken("pod", "pod") == ["1", "3"]
    assert taken("pod", "pod", poddedupe=[5]) == ["1", "2"]
    assert taken("pod", "other") == ["1", "2"]
