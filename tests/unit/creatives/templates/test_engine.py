"""Templates have names and `if`, and reach nothing."""

import pytest

from creatives.templates.engine import TemplateError, TemplateText

KNOWN = frozenset({"title", "price"})


def test_names_are_filled_and_escaped() -> None:
    template = TemplateText("<b>{{ title }}</b>{% if price %}<i>{{ price }}</i>{% endif %}", "x", KNOWN)
    assert template.names == KNOWN
    assert template.fill({"title": '<&">', "price": ""}) == "<b>&lt;&amp;&#34;&gt;</b>"
    assert template.fill({"title": "a", "price": "1"}) == "<b>a</b><i>1</i>"


@pytest.mark.parametrize(
    "text",
    [
        "{{ title.__class__ }}", "{{ title['a'] }}", "{{ title.upper() }}", "{{ title|safe }}", "{{ title ~ price }}",
        "{% for a in title %}{% endfor %}", "{% set a = 1 %}", "{% include 'x' %}", "{% import 'x' as y %}",
        "{% macro a() %}{% endmacro %}", "{{ [].__class__ }}", "{{ self }}", "{{ unknown }}", "{{ title",
        "{% autoescape false %}{{ title }}{% endautoescape %}", "{{ 9 ** 9 }}",
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        TemplateText(text, "x", KNOWN)
