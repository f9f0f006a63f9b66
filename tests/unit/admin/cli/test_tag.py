from typing import Any

import pytest

from admin.cli.tag import require_reachable, show_check
from admin.tags.judging import ConsentSaid, EventCheck, EventFate, ProductIdCheck, TagCheck
from core.errors import Fault, InputError

GRANTED = ConsentSaid("gdpr 0", permits=True)


def sent(event: str, *ids: str, fate: EventFate = "accepted", **members: Any) -> EventCheck:  # noqa: ANN401
    return EventCheck(event, 1, "track.example", list(ids), 12.5, "PLN", GRANTED, 204, fate, **members)


def test_events_faults_and_products_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    faulty = sent("view_item", fate="invalid", errors=[Fault("/items", "missing", "needs an item")])
    products = [ProductIdCheck("a", "group", "Heels"), ProductIdCheck("b", "none")]
    show_check(
        TagCheck("https://buty.example/", 200, [sent("add_to_cart", "a", "b", "c", "d"), faulty], ["late"], products)
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "https://buty.example/: 200, 2 event(s)"
    assert lines[1] == "problem: late"
    assert "a, b, c and 1 more" in lines[3]
    assert lines[3].endswith("204     accepted")
    assert "error: view_item /items: needs an item" in lines
    assert lines[-3:] == [
        "1 of 2 product id(s) are in the feeds",
        "  a is the item group of Heels",
        "  b is in no feed",
    ]


def test_a_terminal_obeys_nothing_that_a_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    said = "\x1b]0;owned\x07\r\u202e"
    show_check(
        TagCheck(f"https://x.example/{said}", 200, [sent(said, said)], [said], [ProductIdCheck(said, "id", said)])
    )
    shown = capsys.readouterr().out
    assert "owned" in shown
    assert all(letter.isprintable() or letter == "\n" for letter in shown)


@pytest.mark.parametrize(
    ("page", "private", "code"),
    [
        ("http://127.0.0.1:8000/", False, "private"),
        ("http://localhost/", False, "private"),
        ("https://[::1]/", False, "private"),
        ("http://2130706433/", False, "private"),
        ("file:///etc/passwd", True, "scheme"),
        ("buty.example", True, "scheme"),
        ("https://user:word@buty.example/", False, "value"),
    ],
)
async def test_an_address_that_is_not_opened_is_refused_before_a_browser_starts(
    page: str, private: bool, code: str
) -> None:
    with pytest.raises(InputError) as refused:
        await require_reachable(page, allow_private=private)
    assert refused.value.faults[0].code == code
    assert ("--private" in refused.value.hint) is (code == "private")


async def test_a_private_address_is_opened_when_it_is_allowed() -> None:
    await require_reachable("http://127.0.0.1:8000/", allow_private=True)
