"""No text of any port lets a line end, a NUL or a line separator through: it is refused, or what is stored is without.

The shop's events are held in tests/unit/segments/events/test_intake.py; here are the admin API's documents and the bid
port. Line ends are free text's own where people write whole texts.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.access.passwords import Passwords
from admin.api.app import resources
from admin.api.resource import Resource
from admin.validation.convert import merge_patch
from admin.validation.intake import build
from core.errors import InputError
from tests.kit.bidding import TestBidder, bids_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

MARKS: Final = ("\n", "\r\n", "\x00", "\u2028", "\u2029", "\x85")
# An API key has no text of its own but its name; people's documents have a password that is hashed on the way.
RESOURCES: Final = {one.name: one for one in resources(Passwords()) if one.name not in ("api-keys", "users")}
# Whole texts that people write: markup, rules, notes.
LONG: Final = ("html", "notes", "rule", "vast", "markup", "tag")

Path = tuple[str | int, ...]


def texts_in(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text of a parsed document, with where it is."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from texts_in(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from texts_in(inner, (*path, number))


def with_text(document: Any, path: Path, text: str) -> Any:  # noqa: ANN401 - parsed JSON
    """The document with another text at a place."""
    copied = json.loads(json.dumps(document))
    at = copied
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = text
    return copied


# Members that the examples of the API leave out.
MORE: Final[dict[str, dict[str, Any]]] = {
    "advertisers": {"external_id": "x", "timezone": "Europe/Warsaw", "domain": "buty.example"},
    "campaigns": {"external_id": "x"},
    "line-items": {
        "external_id": "x",
        "targeting": {
            "countries": ["POL"], "regions": ["POL/MZ"], "cities": ["warszawa"], "languages": ["pl"],
            "domains_allow": ["news.example"], "apps_deny": ["com.bad"], "page_paths": ["/buty/*"],
            "page_keywords": ["szpilki"], "publishers_deny": ["815"], "tag_ids_allow": ["top"],
            "gpids_allow": ["/1/top"], "postcodes": ["00"],
        },
    },
    "creatives": {"external_id": "x",},
    "segments": {"external_id": "x"},
    "exchanges": {"bearer_token": "secret-token", "seat": "seat"},
    "deals": {"external_id": "x"},
}  # fmt: skip


def _documents() -> list[tuple[str, Path, Any]]:
    found = []
    for name, resource in RESOURCES.items():
        document = merge_patch(dict(resource.example), MORE.get(name, {}))
        found += [(name, path, document) for path, _ in texts_in(document) if path[-1] not in LONG]
    return found


DOCUMENTS: Final = _documents()


def _built(resource: Resource, document: Mapping[str, Any]) -> object:
    """The object of a document; None where it is refused."""
    try:
        return build(resource.kind, document, lambda _advertiser: "PLN", id=1, version=1)
    except InputError:
        return None


@pytest.mark.parametrize("name", RESOURCES)
def test_the_documents_below_are_taken_without_marks(name: str) -> None:
    """Else the property would hold because everything is refused."""
    _, _, document = next(entry for entry in DOCUMENTS if entry[0] == name)
    assert _built(RESOURCES[name], document) is not None


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, path, _ in DOCUMENTS], ids=[f"{n}-{p}" for n, p, _ in DOCUMENTS]
)
def test_a_mark_at_a_text_of_a_document_is_refused_or_stripped(name: str, path: Path) -> None:
    document = next(found for known, place, found in DOCUMENTS if (known, place) == (name, path))
    text = dict(texts_in(document))[path]
    for mark in MARKS:
        for marked in (text + mark, mark + text, text[:1] + mark + text[1:]):
            made = _built(RESOURCES[name], with_text(document, path, marked))
            if made is not None:
                kept = [one for _, one in texts_in(msgspec.to_builtins(made))]
                assert not any(mark in one for one in kept), (mark, marked)


# What an exchange gets back as it sent it (OpenRTB 2.6, 4.2.1-4.2.3): its own names of the auction and the impression.
ECHOED: Final = {"id", "impid"}
REQUEST: Final = raw_request(
    site={"id": "s", "name": "News", "domain": "news.example", "page": "https://news.example/a", "ref": "https://r.example/",
          "cat": ["IAB1"], "keywords": "shoes,boots", "publisher": {"id": "815", "name": "P", "domain": "p.example"},
          "content": {"language": "pl", "title": "T", "genre": "g"}},
    device={"ua": "Mozilla/5.0", "language": "pl", "ifa": "x", "os": "Linux",
            "geo": {"country": "POL", "region": "MZ", "city": "Warszawa", "zip": "00-001"}},
    user={"id": "u", "buyeruid": "b", "keywords": "k", "consent": ""},
    cur=["PLN"], badv=["bad.example"], regs={"gdpr": 0},
)  # fmt: skip
REQUEST_TEXTS: Final = [path for path, _ in texts_in(REQUEST)]


@given(path=st.sampled_from(REQUEST_TEXTS), mark=st.sampled_from(MARKS), before=st.booleans())
def test_a_mark_at_a_text_of_a_bid_request_comes_back_in_no_answer(path: Path, mark: str, before: bool) -> None:
    text = dict(texts_in(REQUEST))[path]
    marked = with_text(REQUEST, path, mark + text if before else text + mark)
    bidder = TestBidder(catalogue(line_item(1)))
    try:
        answer = bidder.answer(marked)
    except InputError:
        return
    for place, said in texts_in(answer or {}):
        assert place[-1] in ECHOED or mark not in said, (path, place, said)


def test_the_request_above_is_bid_on() -> None:
    assert bids_of(TestBidder(catalogue(line_item(1))).answer(REQUEST))
