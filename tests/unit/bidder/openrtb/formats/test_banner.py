"""Which sizes an impression offers."""

import pytest

from bidder.openrtb.formats.banner import banner_sizes
from bidder.openrtb.types import Banner, Format


@pytest.mark.parametrize(
    ("banner", "sizes"),
    [
        (Banner(w=300, h=250), ((300, 250),)),
        (Banner(w=300, h=250, format=(Format(w=728, h=90), Format(w=970, h=90))), ((728, 90), (970, 90))),
        (Banner(w=300, h=250, format=()), ((300, 250),)),
        (Banner(w=300, h=250, format=(Format(w=0, h=90),)), ((300, 250),)),
        (Banner(format=(Format(w=30, h=0), Format(w=30, h=20))), ((30, 20),)),
        (Banner(format=(Format(w=50, h=50, wratio=-1),)), ()),
        (Banner(format=(Format(w=50, h=50, hratio=-1),)), ()),
        (Banner(format=(Format(w=50, h=50, wmin=-1),)), ()),
        (Banner(format=(Format(w=50, h=50, wratio=1, hratio=1, wmin=20),)), ((50, 50),)),
        (Banner(format=(Format(wratio=16, hratio=9, wmin=200),)), ()),
        (Banner(w=300), ()),
        (Banner(h=300), ()),
        (Banner(w=-1, h=50), ()),
        (Banner(), ()),
        (Banner(wmin=300, wmax=340, hmin=240, hmax=290), ((300, 250), (336, 280))),
        (Banner(w=320, h=280, wmin=300, wmax=320, hmin=240, hmax=290), ((320, 280), (300, 250))),
        (Banner(w=300, h=250, wmin=300, wmax=320, hmin=240, hmax=290), ((300, 250),)),
        (Banner(w=300, h=250, wmax=400, hmax=300), ((300, 250),)),
    ],
)
def test_offered_sizes(banner: Banner, sizes: tuple[tuple[int, int], ...]) -> None:
    assert banner_sizes(banner) == sizes
