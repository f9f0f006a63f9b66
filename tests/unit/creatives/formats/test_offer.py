import pytest

from creatives.formats.offer import Shape, SizeRange, SizeRatio, fits, shape_text, takes_mime


@pytest.mark.parametrize(
    ("own", "offered"),
    [
        ((300, 250), (300, 250)),
        ((300, 250), SizeRange(300, 300, 250, 250)),
        ((300, 250), SizeRange(200, 400, 100, 250)),
        ((300, 250), SizeRatio(6, 5, 300)),
        ((300, 169), SizeRatio(16, 9, 1)),
        ((300, 168), SizeRatio(16, 9, 1)),
        (("video", 15), ("video", 15)),
    ],
)
def test_what_fits(own: Shape, offered: Shape) -> None:
    assert fits(own, offered)


@pytest.mark.parametrize(
    ("own", "offered"),
    [
        ((300, 250), (250, 300)),
        ((300, 250), SizeRange(301, 400, 250, 250)),
        ((300, 250), SizeRange(300, 400, 251, 300)),
        ((300, 250), SizeRatio(6, 5, 301)),
        ((300, 250), SizeRatio(16, 9, 1)),
        ((300, 167), SizeRatio(16, 9, 1)),
        (("video", 15), SizeRange(1, 100, 1, 100)),
        (("video", 15, 4, 5), SizeRange(1, 100, 1, 100)),
    ],
)
def test_what_does_not_fit(own: Shape, offered: Shape) -> None:
    assert not fits(own, offered)


@pytest.mark.parametrize(
    ("mimes", "mime", "taken"),
    [
        (None, "video/mp4", True),
        ((), "video/mp4", True),
        (("video/webm", " Video/MP4"), "video/mp4", True),
        (("video/*",), "video/mp4", True),
        (("image/*", "VIDEO/*"), "video/mp4", True),
        (("*/*",), "text/html", True),
        (("image/*",), "video/mp4", False),
        (("video/*",), "videos/mp4", False),
        (("image/jpg",), "image/jpeg", True),
        (("image/jpg", "text/javascript"), "application/javascript", True),
        (("audio/mp3",), "audio/mpeg", True),
        (("image/*",), "", False),
    ],
)
def test_a_place_takes_what_it_names_by_any_name_or_kind(mimes: tuple[str, ...] | None, mime: str, taken: bool) -> None:
    assert takes_mime(mimes, mime) is taken


def test_shapes_in_words() -> None:
    shapes: tuple[Shape, ...] = ((300, 250), ("video", 15), SizeRange(1, 2, 3, 4), SizeRatio(16, 9, 300))
    assert [shape_text(shape) for shape in shapes] == ["300x250", "video 15", "1..2x3..4", "16:9 from 300"]
