import importlib.resources

from creatives.pages.web import packed

SCRIPT = importlib.resources.files("creatives.pages").joinpath("widget.js").read_bytes()


def test_the_widget_is_below_three_kibibytes() -> None:
    assert len(packed(SCRIPT)) < 3 * 1024


def test_packing_keeps_line_breaks_that_end_a_statement() -> None:
    script = b"/* x */\nlet a = {\n\tb: 1,\n};\ntry {}\ncatch {}\nc()\n"
    assert packed(script) == b"let a = {b: 1,};try {}\ncatch {}\nc()\n"
