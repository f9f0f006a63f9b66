"""GPP strings of every layout: what is written is read, and no flipped bit gives more permission than it says."""

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.openrtb.consent.gpp import GppError, read_gpp
from tests.kit import gpp_strings

PURPOSES = frozenset({1, 2, 3, 4, 7})
NATIONAL_1 = {"SENSITIVE_DATA_PROCESSING": 12, "KNOWN_CHILD_SENSITIVE_DATA_CONSENTS": 2}
"""How often these fields occur in version 1 of section 7; the corpus has version 2."""

OPT_OUTS = ("SALE_OPT_OUT", "SHARING_OPT_OUT", "TARGETED_ADVERTISING_OPT_OUT")


@pytest.fixture(scope="module")
def layouts(corpus: Path) -> dict[int, dict[str, Any]]:
    return {
        int(number): layout for number, layout in json.loads((corpus / "consent/gpp_layouts.json").read_text()).items()
    }


def limits(fields: list[gpp_strings.Field], values: dict[str, list[int]], gpc: bool | None, version: int) -> bool:
    """What the specification says of these values, word by word."""
    said = values["VERSION" if "VERSION" in values else "MSPA_VERSION"][0]
    if said != version:
        return True
    two_bits = [value for name, width, _ in fields if width == 2 for value in values[name]]
    return (
        bool(gpc)
        or 3 in two_bits
        or any(values.get(name, [0]) == [1] for name in OPT_OUTS)
        or 1 in values.get("KNOWN_CHILD_SENSITIVE_DATA_CONSENTS", [])
        or values.get("MSPA_SERVICE_PROVIDER_MODE") == [1]
        or values.get("MSPA_MODE") == [2]
    )


def drawn(chance: random.Random, layouts: dict[int, dict[str, Any]]) -> None:
    """One string of any layout, mostly with values that permit, often with one bit flipped; read, and compared."""
    number = chance.choice(sorted(layouts))
    version = chance.choice([1, 2]) if number == 7 else 1
    fields: list[gpp_strings.Field] = [
        (name, width, NATIONAL_1.get(name, times) if (number, version) == (7, 1) else times)
        for name, width, times in layouts[number]["fields"]
    ]
    choices = chance.choice([[0, 2], [0, 0, 2, 2, 0, 0, 2, 2, 1, 3]])
    values = {
        name: [version] if width == 6 else [chance.choice(choices) for _ in range(times)]
        for name, width, times in fields
    }
    gpc = chance.choice([None, False, False, True])
    bits = gpp_strings.core_bits(fields, values)
    if chance.random() < 0.7:
        flip = chance.randrange(len(bits))
        bits = bits[:flip] + ("0" if bits[flip] == "1" else "1") + bits[flip + 1 :]
        at = 0
        for name, width, times in fields:
            values[name] = [int(bits[at + width * n : at + width * (n + 1)], 2) for n in range(times)]
            at += width * times
    text = f"{gpp_strings.header([number])}~{gpp_strings.section(bits, gpc)}"
    found = read_gpp(text, 7, PURPOSES)
    assert found.sections == {number}
    assert bool(found.limiting) is limits(fields, values, gpc, version), text


@pytest.mark.parametrize("seed", range(5))
def test_a_string_of_any_layout_is_read_as_written_and_a_flipped_bit_as_what_it_then_says(
    seed: int, layouts: dict[int, dict[str, Any]]
) -> None:
    chance = random.Random(seed)
    for _ in range(2_000):
        drawn(chance, layouts)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_string_that_is_cut_or_garbled_never_permits_what_the_whole_one_did_not(
    data: st.DataObject, layouts: dict[int, dict[str, Any]]
) -> None:
    ids = sorted(data.draw(st.sets(st.sampled_from(sorted(layouts)), min_size=1, max_size=6)))
    bodies = []
    for number in ids:
        fields = layouts[number]["fields"]
        values = {name: [2 if number == 7 else 1] if width == 6 else [0] * times for name, width, times in fields}
        values["SALE_OPT_OUT"] = [1]
        bodies.append(gpp_strings.section(gpp_strings.core_bits(fields, values), None))
    text = "~".join([gpp_strings.header(ids), *bodies])
    assert read_gpp(text, 7, PURPOSES).limiting == set(ids)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    cut += data.draw(st.text("ABgw.~ \n\x00=", max_size=3))
    try:
        found = read_gpp(cut, 7, PURPOSES)
    except GppError:
        return
    assert found.sections == found.limiting | (found.sections & {1, 2, 3, 4})


@given(st.text(max_size=200) | st.text("ABCDEFGHabcdefgh0123456789-_~.", max_size=200))
def test_nothing_but_a_gpp_error_comes_of_any_text(text: str) -> None:
    with contextlib.suppress(GppError):
        read_gpp("DB" + text, 7, PURPOSES)


@given(st.sets(st.integers(1, 40), min_size=1, max_size=20))
def test_a_header_names_what_was_written(ids: set[int]) -> None:
    text = "~".join([gpp_strings.header(sorted(ids)), *("A" for _ in ids)])
    assert read_gpp(text, 7, PURPOSES).sections == ids
