import pytest

from pacing.notices.conversions import CLICK_WINDOW_S, VIEW_WINDOW_S, Attribution, Credit, Windows, credit
from pacing.notices.touches import Touch, TouchKind, pack_touch, unpack_touch

NOW = 1_790_000_000


def touch(kind: TouchKind, ago: int, advertiser: int = 1, line_item: int = 7) -> Touch:
    return Touch(kind, advertiser, 3, line_item, 9, 5, 20_717, NOW - ago)


def view(ago: int, **changes: int) -> Touch:
    return touch(TouchKind.VIEW, ago, **changes)


def click(ago: int, **changes: int) -> Touch:
    return touch(TouchKind.CLICK, ago, **changes)


def credited(*touches: Touch) -> Attribution:
    return credit(list(touches), 1, NOW, Windows())


def test_nobody_is_credited_without_a_touch() -> None:
    assert credited() == Attribution(Credit.NOBODY, None)


def test_the_newest_click_beats_older_clicks_and_newer_views() -> None:
    assert credited(click(500), click(300), view(10)) == Attribution(Credit.CLICK, click(300))


def test_a_view_is_credited_where_nobody_clicked() -> None:
    assert credited(view(500), view(20)) == Attribution(Credit.VIEW, view(20))


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (click(CLICK_WINDOW_S - 1), Credit.CLICK),
        (click(CLICK_WINDOW_S), Credit.NOBODY),
        (view(VIEW_WINDOW_S - 1), Credit.VIEW),
        (view(VIEW_WINDOW_S), Credit.NOBODY),
    ],
)
def test_windows_end(last: Touch, expected: Credit) -> None:
    assert credited(last).credit is expected


def test_an_old_click_leaves_the_credit_to_a_fresh_view() -> None:
    assert credited(click(CLICK_WINDOW_S), view(5)).credit is Credit.VIEW


def test_touches_of_other_shops_and_of_the_future_do_not_count() -> None:
    assert credited(click(5, advertiser=2), click(-5)).credit is Credit.NOBODY


def test_touches_survive_packing_and_other_versions_are_skipped() -> None:
    assert unpack_touch(pack_touch(click(5))) == click(5)
    assert unpack_touch(b"short") is None
