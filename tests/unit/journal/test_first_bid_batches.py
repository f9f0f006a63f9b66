import base64
from pathlib import Path

import msgspec

from journal.rows import FORMAT_VERSION
from journal.segment import Codec

# A segment that a bidder of version 1 wrote, and the rows that its worker made of it: bids for a visitor with a cart,
# for nobody, and for one who had been shown an ad.
WRITTEN = msgspec.json.decode((Path(__file__).parent / "segment_1.json").read_bytes())


def test_a_segment_of_the_version_before_gives_the_rows_that_it_gave() -> None:
    assert FORMAT_VERSION == 2, "keep a segment of version 2 beside this one, and read it too"
    found: dict[str, list[list[object]]] = {}
    for frame in Codec().frames(base64.b64decode(WRITTEN["segment"])):
        assert list(frame.columns) == WRITTEN["rows"][frame.kind]["columns"]
        found.setdefault(frame.kind, []).extend(frame.rows)
    segments = WRITTEN["rows"]["bid"]["columns"].index("segments")
    for row in found["bid"]:
        packed = row[segments]
        row[segments] = base64.b64encode(packed).decode() if isinstance(packed, bytes) else packed
    assert found == {kind: of_kind["values"] for kind, of_kind in WRITTEN["rows"].items()}
