from bidder.openrtb.formats.remembered import MAX_BYTES, MOST, RememberedOffers
from bidder.openrtb.formats.video import read
from bidder.openrtb.types import Banner, DurationFloor, Imp, Video, VideoExt
from creatives.formats.offer import Offer

OFFER = Offer("banner", ((300, 250),))


def test_what_is_learned_is_known_until_the_memory_is_full() -> None:
    offers: RememberedOffers[Offer] = RememberedOffers()
    for width in range(MOST):
        banner = Banner(w=width, h=250)
        assert offers.learn(banner, banner, OFFER) is OFFER
    assert len(offers.known) == MOST
    assert Banner(w=0, h=250) in offers.known
    one_more = Banner(w=MOST, h=250)
    offers.learn(one_more, one_more, OFFER)
    assert list(offers.known) == [one_more]


def test_a_long_member_is_not_kept() -> None:
    offers: RememberedOffers[Offer] = RememberedOffers()
    banner = Banner(mimes=("image/" + "x" * MAX_BYTES,))
    assert offers.learn(banner, banner, OFFER) is OFFER
    assert offers.known == {}


def test_players_that_say_the_same_are_read_once_and_others_anew() -> None:
    def player(**members: object) -> Imp:
        floor = DurationFloor(mindur=5, maxdur=15, bidfloor=2.0)
        said = {"mimes": ("video/mp4",), "protocols": (3,), "durfloors": (floor,), "ext": VideoExt(rewarded=1)}
        return Imp(id="1", video=Video(**(said | members)))  # type: ignore[arg-type]

    first = read(player())
    assert first is read(player())
    longer = read(player(maxduration=15))
    assert longer is not first
    assert longer != first
    assert read(player(protocols=(99,))) != first
