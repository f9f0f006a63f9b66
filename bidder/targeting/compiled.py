"""What the compiling child process makes of a catalogue, and hands to the bidder in pieces."""

import pickle
from collections.abc import Generator, Iterable
from typing import NamedTuple, Self

from bidder.targeting.field import Field
from bidder.targeting.fields import FIELDS
from bidder.targeting.index import Index, compile_index
from core.model import Catalogue
from pacing.caps import CapTable


class Payer(NamedTuple):
    """What a bid says of the advertiser itself."""

    domain: str
    behalf: str = ""
    """On whose behalf its ads are shown, and who pays for them: "" where nobody has said so."""
    paid: str = ""


class Compiled:
    """What a child process compiles from a catalogue and hands over; plain data that pickles."""

    __slots__ = ("caps", "index", "shops")

    def __init__(self, catalogue: Catalogue, fields: tuple[Field, ...] = FIELDS) -> None:
        self.index = compile_index(catalogue, fields)
        self.caps = CapTable(catalogue)
        self.shops = {each.id: Payer(each.domain, each.dsa_behalf, each.dsa_paid) for each in catalogue.advertisers}

    @classmethod
    def of(cls, index: Index, caps: CapTable, shops: dict[int, Payer]) -> Self:
        """A compiled catalogue of parts that are compiled already."""
        compiled = cls.__new__(cls)
        compiled.index, compiled.caps, compiled.shops = index, caps, shops
        return compiled

    def packed(self) -> list[bytes]:
        """Pickles of its parts: unpickling all at once would hold up the requests of the receiving process."""
        index = [getattr(self.index, name) for name in Index.__struct_fields__]
        return [pickle.dumps(part, pickle.HIGHEST_PROTOCOL) for part in (self.caps, self.shops, *index)]

    @classmethod
    def unpack(cls, packed: Iterable[bytes]) -> Generator[None, None, "Compiled"]:
        """The inverse of `packed`, a step a part; the event loop may serve requests between two steps."""
        parts = []
        for part in packed:
            parts.append(pickle.loads(part))  # noqa: S301 - from the child process that we started
            yield
        caps, shops, *members = parts
        return cls.of(Index(*members), caps, shops)
