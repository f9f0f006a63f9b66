"""What the documentation says about the tag and the layout is true."""

import base64
import hashlib
import re
from pathlib import Path

from segments.facts.event import ALIASES, Kind
from segments.facts.layout import HEADER

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_integrity_value_in_the_docs_is_that_of_the_tag() -> None:
    tag = (REPOSITORY / "segments" / "events" / "tag.js").read_bytes()
    digest = base64.b64encode(hashlib.sha384(tag).digest()).decode()
    assert f"sha384-{digest}" in (REPOSITORY / "docs" / "events.md").read_text()
    assert len(tag) < 3 * 1_024


def test_every_event_name_is_documented() -> None:
    text = (REPOSITORY / "docs" / "events.md").read_text()
    missing = [kind for kind in Kind if f"`{kind}`" not in text]
    assert missing == []
    assert {"viewItem", "trackTransaction"} <= ALIASES.keys()


def test_the_documented_offsets_are_those_of_the_header() -> None:
    text = (REPOSITORY / "docs" / "profile-layout.md").read_text()
    documented = [int(number) for number in re.findall(r"^\| (\d+) \| [uif]\d+ \|", text, re.MULTILINE)]
    fields = HEADER.fields
    assert fields is not None
    assert documented == sorted(int(entry[1]) for entry in fields.values())
