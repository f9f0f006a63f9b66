import pickle
from types import SimpleNamespace as Thing

import pytest

from bidder.targeting.field import Field, Part, Patterns, Reads, read_one, reader
from bidder.targeting.fields import FIELDS
from core.reasons import NoBid

AUCTION = Thing(
    exchange=Thing(id=1, key="demo"),
    place=Thing(country="POL", city=None),
    request=Thing(site=Thing(name="calm", content=None), device=None, bcat=("IAB1",)),
)


def upper(auction: Thing) -> str:
    return str(auction.place.country).lower()


def field(*reads: object, name: str = "made up") -> Field:
    return Field(name=name, part=Part.DEVICE, reads=reads, reason=NoBid.VENUE, about="")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reads", "key"),
    [
        (("exchange.id",), 1),
        (("exchange.id", "request.bcat"), (1, ("IAB1",))),
        (("request.site.name",), "calm"),
        (("request.device.ua",), None),
        (("request.device.ua", "request.device.os"), (None, None)),
        (("request.site.name", "request.device.ua"), ("calm", None)),
        (("request.site.content.title",), None),
        (("request.site.content.title", "request.site.name", "exchange.key"), (None, "calm", "demo")),
        ((upper,), "pol"),
        ((upper, "place.city"), ("pol", None)),
    ],
)
def test_paths_are_read_and_what_is_missing_is_none(reads: tuple[str, ...], key: object) -> None:
    assert reader(reads)(AUCTION) == key


def test_of_what_is_read_together_each_field_is_given_its_own() -> None:
    reads = Reads([field("exchange.id", "place.country"), field("place.country"), field(upper, "exchange.id")])
    assert sorted(map(str, reads.read(AUCTION))) == ["1", "POL", "pol"]
    assert reads.shares(reads.read(AUCTION)) == [(1, "POL"), ("POL",), ("pol", 1)]


def test_what_is_read_alone_is_given_alone() -> None:
    reads = Reads([field("place.country"), field("place.country")])
    assert reads.shares(reads.read(AUCTION)) == [("POL",), ("POL",)]
    assert read_one(field("place.country"))(AUCTION) == ("POL",)


def test_an_explanation_has_a_line_of_what_was_said() -> None:
    assert field("a").detail(("a", None, ("b", "c"))) == "a, b, c"
    assert len(field("a").detail(("x" * 10_000,))) == 200


def test_a_field_of_the_table_travels_by_its_name() -> None:
    for one in FIELDS:
        assert pickle.loads(pickle.dumps(one)) is one  # noqa: S301 - what was just made here


def test_patterns_are_tried_one_by_one_so_that_others_get_their_turn() -> None:
    tried: list[str] = []

    def matches(pattern: str, text: str) -> bool:
        tried.append(pattern)
        return pattern == text

    applies = Patterns(matches)
    found = iter(applies(dict.fromkeys("abc"), ("b",)))
    assert next(found) is None
    assert tried == ["a"], "the caller decides when to go on"
    assert list(found) == ["b", None]
