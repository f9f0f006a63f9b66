"""What a template may not have is told with its line."""

import pytest

from creatives.templates.library import OWN
from creatives.templates.lint import lint_css, lint_html


def test_the_own_templates_are_clean() -> None:
    for path in OWN.glob("*/*.html"):
        assert lint_html(path.read_text("utf-8"), path.name) == []
    for path in OWN.glob("*/*.css"):
        assert lint_css(path.read_text("utf-8"), path.name) == []


@pytest.mark.parametrize(
    "markup",
    [
        "<script>1</script>", "<iframe></iframe>", "<form></form>", "<link rel=stylesheet>", "<meta>", "<svg></svg>",
        "<object></object>", "<video></video>", "<base>", "<style></style>", '<b onclick="x">', '<b style="x">',
        '<a href="https://x.example/" target="_blank" rel="noopener">', '<a href="{{ click }}">',
        '<a href="{{ click }}" target="_top" rel="noopener">', '<a href="x{{ click }}" target="_blank" rel="noopener">',
        '<img src="https://x.example/a.png">', '<img src="{{ image }}?x" alt="">', "<img src={{ image }} alt=''>",
        "<b class={{ title }}>", "<!-- x -->", "<!doctype html>", "<?php ?>", "<b {{ title }}>", '<a ping="x">',
        '<a href="{{ title }}" target="_blank" rel="noopener">',
        '<a href="{{ image }}" target="_blank" rel="noopener">',
    ],
)  # fmt: skip
def test_markup_that_is_not_allowed(markup: str) -> None:
    faults = lint_html(f"<div>\n{markup}\n</div>", "ad.html")
    assert faults
    assert all(fault.pointer == "ad.html:2" for fault in faults)


@pytest.mark.parametrize(
    "style",
    [
        "a{background:url(https://x.example/a)}", "@import 'a';", "@font-face{}", "a{position:fixed}",
        "a{b:expression(1)}",
        "a{behavior:x}", "</style>", "a{content:'\\75rl'}", "a{color:{{ accent }}}", "a{b:image-set('x' 1x)}",
        "@IMPORT 'a'",
        "a{background:URL (x)}",
    ],
)  # fmt: skip
def test_styles_that_are_not_allowed(style: str) -> None:
    (fault, *_) = lint_css(f"a{{color:red}}\n{style}", "style.css")
    assert fault.pointer == "style.css:2"
