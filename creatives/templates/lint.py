"""What no template of an ad may have: scripts, forms, frames, anything that reaches the network, storage or the page.

An ad runs in a sandboxed frame under a policy that forbids the same; this says it to the designer, with the line.
"""

import re
from html.parser import HTMLParser
from typing import Final

from core.errors import Fault

_ELEMENTS: Final = frozenset({
    "a", "b", "br", "button", "del", "div", "em", "figure", "footer", "h1", "h2", "h3", "header", "i", "img", "ins",
    "li", "ol", "p", "s", "section", "small", "span", "strong", "sub", "sup", "ul",
})  # fmt: skip
_ATTRIBUTES: Final = frozenset({
    "alt", "aria-hidden", "aria-label", "class", "dir", "height", "href", "id", "lang", "rel", "role", "src", "target",
    "title", "type", "width",
})  # fmt: skip
# The only addresses that a template may have: those that it is given by name. A link is counted and signed, so it is
# one of two; a text would be no address, or one of a script. A picture may be a parameter of the template's own.
_HANDED_OVER: Final = {
    "href": re.compile(r"\{\{ ?(click|landing) ?\}\}"), "src": re.compile(r"\{\{ ?[a-z_]+ ?\}\}"),
}  # fmt: skip
_BAD_CSS: Final = (
    (re.compile(r"@import", re.IGNORECASE), "loads another style"),
    (re.compile(r"url\s*\(", re.IGNORECASE), "loads from an address; name images in ad.html by a parameter"),
    (re.compile(r"image-set\s*\(|(?<![\w-])src\s*\(", re.IGNORECASE), "loads from an address"),
    (re.compile(r"@font-face", re.IGNORECASE), "loads a font"),
    (re.compile(r"expression\s*\(|-moz-binding|behavior\s*:", re.IGNORECASE), "runs a script in old browsers"),
    (re.compile(r"position\s*:\s*fixed", re.IGNORECASE), "leaves the place that the ad has"),
    (re.compile(r"</style|<!--", re.IGNORECASE), "ends the style"),
    (re.compile(r"\\"), "has an escape, which could hide all of the above"),
)
_QUOTED: Final = re.compile(r"""=\s*("[^"]*"|'[^']*')""")
_MACRO: Final = re.compile(r"\$\{|@[A-Z]+@|\{[%{#]")


def lint_html(text: str, where: str) -> list[Fault]:
    """Faults of a file of markup; a pointer is the file with the line."""
    parser = _Linter(where)
    for number, line in enumerate(text.splitlines(), start=1):
        if "<![" in line:
            parser.faults.append(Fault(f"{where}:{number}", "not_allowed", "a marked section is not for templates"))
    parser.feed(re.sub(r"\{%.*?%\}", "", text, flags=re.DOTALL))
    parser.close()
    return parser.faults


def lint_css(text: str, where: str) -> list[Fault]:
    """Faults of a style."""
    faults = []
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, why in _BAD_CSS:
            if pattern.search(line):
                faults.append(Fault(f"{where}:{number}", "not_allowed", f"{why}: {line.strip()[:80]}"))
        if _MACRO.search(line):
            faults.append(Fault(f"{where}:{number}", "not_filled", "a style is the same in every ad", "use var(--...)"))
    return faults


class _Linter(HTMLParser):
    def __init__(self, where: str) -> None:
        super().__init__(convert_charrefs=True)
        self._where = where
        self.faults: list[Fault] = []

    def _fault(self, why: str, hint: str = "") -> None:
        self.faults.append(Fault(f"{self._where}:{self.getpos()[0]}", "not_allowed", why, hint))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _ELEMENTS:
            self._fault(f"<{tag}> is not for templates", f"there are {', '.join(sorted(_ELEMENTS))}")
        if "=" in _QUOTED.sub(" ", self.get_starttag_text() or ""):
            self._fault("a value without quotes, which a title with a space would end", 'write name="..."')
        names = dict(attrs)
        for name, value in attrs:
            if name not in _ATTRIBUTES and not name.startswith("data-"):
                self._fault(f"{name} is not for templates", f"there are {', '.join(sorted(_ATTRIBUTES))} and data-...")
            elif name in _HANDED_OVER and _HANDED_OVER[name].fullmatch(value or "") is None:
                hint = "{{ click }} or {{ landing }}" if name == "href" else "a name alone, as {{ image }}"
                self._fault(f'{name} is "{value}"', f"an address is {hint}")
        if tag == "a" and (names.get("target") != "_blank" or names.get("rel") != "noopener"):
            self._fault("a link leads the publisher's page away", 'set target="_blank" rel="noopener"')

    def handle_comment(self, _data: str) -> None:
        self._fault("a comment is sent with every ad", "remove it")

    def handle_decl(self, _decl: str) -> None:
        self._fault("a template is a part of a page", "leave the declaration out")

    def handle_pi(self, _data: str) -> None:
        self._fault("a processing instruction is not for templates")
