"""What a page says to people, without code and without what is marked as another language."""

import html.parser
import re
from typing import Final

_SILENT: Final = frozenset({"code", "kbd", "script", "style", "textarea", "title"})
_ALONE: Final = frozenset({"input", "br", "meta", "link", "img", "hr", "option"})
_SAID: Final = ("aria-label", "placeholder", "alt", "title", "data-wait", "data-ask", "data-save", "data-unsaved")

# Words that no Polish text has.
_ENGLISH: Final = re.compile(
    r"\b(?:the|of|is|are|was|and|with|not|this|there|from|has|have|cannot|without)\b", re.IGNORECASE
)


class _Listener(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_foreign = tag != "html" and "lang" in given
        if (self._silent or tag in _SILENT or is_foreign) and tag not in _ALONE:
            self._silent.append(tag)
        if not self._silent and not is_foreign:
            self.texts += [text for name in _SAID if (text := given.get(name))]

    def handle_endtag(self, tag: str) -> None:
        if self._silent and self._silent[-1] == tag:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.texts.append(" ".join(data.split()))


def english_in(page: str, *names: str) -> list[str]:
    """Texts of a Polish page that are English; `names` are what people have called things."""
    listener = _Listener()
    listener.feed(page)
    found = []
    for text in listener.texts:
        shown = text
        for name in sorted(names, key=len, reverse=True):
            shown = shown.replace(name, "")
        if _ENGLISH.search(shown):
            found.append(text)
    return found
