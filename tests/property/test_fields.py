"""A targeting field is one value: what follows from a declaration, and that no field reads more than it declares."""

import json
import random
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from msgspec import Meta

from admin.validation.decode import faults_of
from admin.validation.targeting import targeting_document
from bidder.dialects.table import speaker_of
from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import BidRequest
from bidder.request.auction import Auction
from bidder.request.locate import locate
from bidder.request.validate import check_request
from bidder.targeting import normalise
from bidder.targeting.bitmaps import all_ones
from bidder.targeting.compiled import Compiled
from bidder.targeting.counting import SEEN
from bidder.targeting.eligible_now import LiveSets
from bidder.targeting.field import Field, Part, read_one
from bidder.targeting.fields import FIELDS
from bidder.targeting.index import compile_index
from bidder.targeting.match import Matcher
from bidder.targeting.memory import MemoryBudget
from bidder.targeting.overlay import Overlay
from core.model import Catalogue, Exchange, LineItem, Targeting
from core.reasons import NoBid
from tests.kit.bidding import NOW_MS, TestBidder, profile_batch
from tests.kit.catalogues import EXCHANGE, catalogue, line_item
from tests.kit.layering import layered_now
from tests.kit.naive_targeting import failed, failed_as_declared
from tests.kit.openrtb import FX, body_of, raw_request
from tests.kit.random_bidding import EXCHANGES, TARGETED, random_catalogue, random_request

MOODS = ("calm", "merry", "gloomy")


def moods(name: str | None, title: str | None) -> Iterator[str]:
    """The moods that a site's name and its content's title speak of."""
    for text in (name, title):
        yield from (text or "").lower().split()


# All that is new: one declaration, and a member for its values (a field of the product has it in core.model).
MOOD = Field(
    name="mood", part=Part.INVENTORY, reads=("request.site.name", "request.site.content.title"), values=moods,
    allow="moods", deny="moods_deny", normal=str.lower, reason=NoBid.VENUE, about="mood of the page",
    item=Annotated[str, Meta(max_length=8, pattern="^[a-zA-Z]+$")], most=3,
)  # fmt: skip


class Moody(Targeting, frozen=True):
    """Targeting with the members of a made-up field."""

    moods: tuple[str, ...] = ()
    moods_deny: tuple[str, ...] = ()


WITH_MOOD = (*FIELDS, MOOD)


def moody_catalogue(chance: random.Random, line_items: int = 12) -> Catalogue:
    """Line items that name moods, and now and then a country."""

    def some(values: tuple[str, ...], share: float) -> tuple[str, ...]:
        return tuple(chance.sample(values, chance.randint(1, 2))) if chance.random() < share else ()

    made = random_catalogue(chance, line_items, targeted=False)
    lines = tuple(
        msgspec.structs.replace(
            line,
            targeting=Moody(
                moods=some(("Calm", "merry", "gloomy"), 0.5),
                moods_deny=some(("calm", "Merry"), 0.3),
                countries=some(("POL", "CZE"), 0.2),
            ),
        )
        for line in made.line_items
    )
    return msgspec.structs.replace(made, line_items=lines)


def moody_request(chance: random.Random, number: int) -> dict[str, Any]:
    request = random_request(chance, number, plain=True)
    if "site" in request:
        request["site"] |= {"name": " ".join(chance.sample(MOODS, chance.randint(0, 2)))}
        request["site"]["content"] = {"title": chance.choice(("", "Merry people", "calm"))}
    return request


def compiled_in_layers(chance: random.Random, whole: Catalogue) -> Compiled:
    """The catalogue as a base with other moods for some line items, and an overlay that has theirs."""
    changed = [line.id for line in whole.line_items if chance.random() < 0.5] or [whole.line_items[0].id]
    before = tuple(
        msgspec.structs.replace(line, targeting=Moody(moods=("gloomy",))) if line.id in changed else line
        for line in whole.line_items
    )
    base = Compiled(msgspec.structs.replace(whole, line_items=before), WITH_MOOD)
    after = tuple(line for line in whole.line_items if line.id in changed)
    above = Compiled(msgspec.structs.replace(whole, line_items=after), WITH_MOOD)
    return layered_now(base, Overlay(whole.version, np.array(sorted(changed), dtype=np.int64), above))


def expected_reasons(
    bidder: TestBidder, line: LineItem, exchange: Exchange, auction: Auction, request: dict[str, Any], at: int
) -> set[NoBid]:
    reasons = failed(bidder.catalogue, line, exchange, request, request["imp"][at], NOW_MS)
    if failed_as_declared(MOOD, line.targeting, auction, auction.impressions[at]):
        reasons.add(MOOD.reason)
    return reasons


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("compile_", ["whole", "in layers"])
def test_a_made_up_field_is_targeted_explained_and_counted(seed: int, compile_: str) -> None:
    chance = random.Random(seed)
    whole = moody_catalogue(chance)
    compiled = Compiled(whole, WITH_MOOD) if compile_ == "whole" else compiled_in_layers(chance, whole)
    bidder = TestBidder(whole, compiled=compiled)
    index = bidder.snapshot.index
    missed: dict[int, int] = {}
    for number in range(12):
        request, exchange = moody_request(chance, number), chance.choice(EXCHANGES)
        auction = bidder.screened(request, exchange.key)
        for at, impression in enumerate(auction.impressions):
            told = bidder.snapshot.matcher.reasons(
                auction, impression, profile_batch([None]), 0, bidder.snapshot.caps, NOW_MS // 1000
            )
            for line in whole.line_items:
                position = index.by_line_item[line.id][0]
                reasons = expected_reasons(bidder, line, exchange, auction, request, at)
                assert bool(impression.eligible >> position & 1) == (not reasons)
                found = {reason: words for reason, passing, words in told if not passing >> position & 1}
                assert {reason for reason in found if reason is not NoBid.NO_PROFILE} == reasons
                if MOOD.reason in reasons:
                    missed[line.id] = missed.get(line.id, 0) + 1
                    said = request.get("site", {})
                    words = (said.get("name"), said.get("content", {}).get("title"))
                    assert found[MOOD.reason] == ", ".join(word for word in words if word is not None)
    taken = bidder.snapshot.counts.take()
    list(taken.fold())
    counted = {
        int(line_item): int(count)
        for line_item, count in zip(taken.line_items, taken.counts[MOOD.reason.index], strict=True)
        if count and line_item
    }
    assert missed, "some requests are not in the mood"
    assert counted == missed
    assert taken.counts[SEEN].max() > 0


def test_the_api_offers_a_made_up_field_and_checks_its_values() -> None:
    document = targeting_document(WITH_MOOD, Moody)
    described = msgspec.json.schema(document)["$defs"]["TargetingDocument"]["properties"]
    assert described["moods"] == {
        "description": "Mood of the page.", "type": "array", "default": [], "maxItems": 3,
        "items": {"type": "string", "maxLength": 8, "pattern": "^[a-zA-Z]+$"},
    }  # fmt: skip
    assert described["moods_deny"]["description"] == "None of these: mood of the page."
    assert set(described) == {*Targeting.__struct_fields__, "moods", "moods_deny"}
    assert faults_of({"moods": ["calm"]}, document) == []
    pointers = [fault.pointer for fault in faults_of({"moods": ["calm", "14"], "moods_deny": ["a"] * 4}, document)]
    assert pointers == ["/moods/1", "/moods_deny"]


# --- what a field reads ---

RICH: dict[str, Any] = {
    **raw_request(bcat=["IAB25"], acat=None, badv=["other.example"], cattax=1),
    "imp": [{"id": "1", "tagid": "top", "instl": 1, "rwdd": 1, "ext": {"gpid": "/1/news"},
             "banner": {"w": 300, "h": 250, "pos": 1}, "video": {"plcmt": 1}}],
    "site": {"domain": "news.example", "name": "calm", "page": "https://news.example/buty/a", "cat": ["IAB18-3"],
             "keywords": "buty,moda", "publisher": {"id": "815", "domain": "pub.example"},
             "content": {"title": "szpilki", "cat": ["IAB1"], "keywords": "sport"}},
    "device": {"ua": "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0", "os": "Android",
               "devicetype": 1, "connectiontype": 2, "language": "pl", "langb": "en",
               "geo": {"country": "POL", "region": "MZ", "city": "Warszawa", "zip": "00-950", "lat": 52.2, "lon": 21.0,
                       "type": 1, "accuracy": 100.0}},
}  # fmt: skip

OTHERS: dict[type, tuple[Any, ...]] = {
    str: (None, "", "IAB1", "pl", "en", "POL", "CZE", "MA", "com.game", "top", "https://news.example/sport/", "calm"),
    int: (None, 0, 1, 2, 3),
    float: (None, 50.0, 20.0, 60_000.0),
    list: (None, [], ["IAB1"], ["IAB18", "szpilki"], ["shop1.example"], ["IAB22"]),
    dict: (None,),
}


def variants(start: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The request with one member after the other changed."""
    for path, value in _leaves(start, ()):
        for other in OTHERS[type(value)]:
            if other != value:
                changed = json.loads(json.dumps(start))
                owner = changed
                for step in path[:-1]:
                    owner = owner[step]
                if other is None and isinstance(path[-1], str):
                    del owner[path[-1]]
                else:
                    owner[path[-1]] = other
                yield changed


def _leaves(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:  # noqa: ANN401 - JSON
    if path and path not in {("id",), ("imp",), ("imp", 0), ("imp", 0, "id")}:
        yield path, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif path == ("imp",):
        yield from _leaves(value[0], ("imp", 0))


def decoded(raw: dict[str, Any]) -> BidRequest:
    return decode_request(body_of(raw), Tolerances())


def field_catalogue(field: Field) -> Catalogue:
    """Line items for each value of a field, by itself and denied, and one for all."""
    lines = [line_item(1, targeting=Moody())]
    for member in (name for name in (field.allow, field.deny) if name):
        for value in TARGETED.get(member, ((*MOODS, "pl", "en"),))[0]:
            lines.append(line_item(len(lines) + 1, targeting=Moody(**{member: (value,)})))
    return catalogue(*lines)


def lies(field: Field, fields: tuple[Field, ...] = FIELDS) -> bool:
    """Whether a request is answered by what was remembered of one that it differs from, where the field matters."""
    index = compile_index(field_catalogue(field), fields)
    live = LiveSets(index)
    live.bits = all_ones(index.count)
    matcher = Matcher(index, live, MemoryBudget())
    most = 0
    for request in (decoded(RICH), *map(decoded, variants(RICH)), decoded(RICH)):
        auction = Auction(request, EXCHANGE, deadline=1.0, speaker=speaker_of(EXCHANGE))
        check_request(auction, FX)
        locate(auction)
        matcher.match_context(auction)
        for impression in auction.impressions:
            afresh = live.bits
            for each in fields:
                start = impression if each.part is Part.IMPRESSION else auction
                afresh &= index.dimensions[each.name].evaluate(read_one(each)(start))
            most = max(most, afresh.bit_count())
            if impression.eligible != afresh:
                return True
    assert most, "nothing is ever excluded that nobody may see"
    return False


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_no_field_reads_more_than_it_declares(field: Field) -> None:
    assert not lies(field)


class Sly(str):
    """A text that carries another one, which no memo sees."""

    other: str | None = None


def sly_system(auction: Auction) -> Sly | None:
    device = auction.request.device
    if device is None or device.os is None:
        return None
    read = Sly(device.os)
    read.other = device.language
    return read


def by_language(read: Sly | None) -> Iterator[str]:
    """Looks at more than the text that it was given."""
    if read is not None and read.other:
        yield read.other


def test_a_field_that_reads_one_member_more_than_it_declares_is_caught() -> None:
    honest = msgspec.structs.replace(MOOD, part=Part.DEVICE, reads=(sly_system,), values=normalise.lower)
    assert not lies(honest, (*FIELDS, honest))
    liar = msgspec.structs.replace(honest, values=by_language)
    assert lies(liar, (*FIELDS, liar))


def test_a_field_that_looks_at_the_request_behind_its_back_is_caught() -> None:
    seen: list[Auction] = []

    def city(auction: Auction) -> str | None:
        seen.append(auction)
        return auction.place.city

    def by_agent(_city: str | None) -> Iterator[str]:
        device = seen[-1].request.device
        yield (device.language if device is not None else None) or ""

    liar = msgspec.structs.replace(MOOD, part=Part.PLACE, reads=(city,), values=by_agent)
    assert lies(liar, (*FIELDS, liar))
