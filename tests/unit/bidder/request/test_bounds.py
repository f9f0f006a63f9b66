"""What is left out of an oversized request, and what never is."""

from bidder.request.bounds import (
    LARGE_BODY_BYTES,
    MANY_IMPRESSIONS,
    MAX_DEALS,
    MAX_PLACES,
    MAX_SIZES,
    is_large,
    keep_what_fits,
)
from tests.kit.openrtb import request_of

SIZE = {"w": 300, "h": 250}
PLENTY_S = 1.0


def banners(number: int, **members: object) -> list[dict[str, object]]:
    return [{"id": str(at), "banner": SIZE, **members} for at in range(number)]


def test_requests_of_the_usual_size_are_not_large() -> None:
    assert not is_large(LARGE_BODY_BYTES, request_of(imp=banners(MANY_IMPRESSIONS)))
    assert is_large(LARGE_BODY_BYTES + 1, request_of())
    assert is_large(100, request_of(imp=banners(MANY_IMPRESSIONS + 1)))


def test_impressions_are_left_out_from_the_end() -> None:
    request = request_of(imp=banners(500))
    assert keep_what_fits(request, PLENTY_S)["impressions"] == 500 - MAX_PLACES
    assert [imp.id for imp in request.imp] == [str(at) for at in range(MAX_PLACES)]


def test_little_time_leaves_few_impressions() -> None:
    request = request_of(imp=banners(500))
    assert keep_what_fits(request, 0.002)["impressions"] == 490
    assert keep_what_fits(request, 0.0)["impressions"] == 10
    assert request.imp == ()


def test_each_format_and_each_ad_of_a_pod_takes_a_place() -> None:
    pod = {"mimes": ["video/mp4"], "poddur": 60}
    request = request_of(imp=banners(50, native={"request": "{}"}, video=pod))
    keep_what_fits(request, PLENTY_S)
    assert len(request.imp) == MAX_PLACES // 8


def test_deals_and_sizes_are_cut_together() -> None:
    deals = {"deals": [{"id": str(at)} for at in range(600)]}
    sizes = {"format": [{"w": at, "h": 250} for at in range(1, 201)]}
    request = request_of(imp=banners(3, pmp=deals, banner=sizes))
    left_out = keep_what_fits(request, PLENTY_S)
    offered = [
        (len(imp.pmp.deals or ()), len(imp.banner.format or ())) for imp in request.imp if imp.pmp and imp.banner
    ]
    assert offered == [(600, 200), (MAX_DEALS - 600, MAX_SIZES - 200), (0, 1)]
    assert left_out == {"impressions": 0, "deals": 1_800 - MAX_DEALS, "sizes": 600 - MAX_SIZES - 1}


def test_what_is_blocked_is_never_cut() -> None:
    blocked = [f"shop{at}.example" for at in range(5_000)]
    request = request_of(badv=blocked)
    keep_what_fits(request, PLENTY_S)
    assert len(request.badv or ()) == 5_000
