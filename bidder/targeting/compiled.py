"""What the compiling child process makes of a catalogue, and hands to the bidder in pieces."""

import pickle
from collections.abc import Generator, Iterable
from typing import Self

from bidder.targeting.field import Field
from bidder.targeting.fields import FIELDS
from bidder.targeting.index import Index, compile_index
from core.model import Catalogue
from pacing.caps import CapTable


class Compiled:
    """What a child process compiles from a catalogue and hands over; plain data that pickles."""

    __slots__ = ("advertiser_domains", "caps", "index")

    def __init__(self, catalogue: Catalogue, fields: tuple[Field, ...] = FIELDS) -> None:
        self.index = compile_index(catalogue, fields)
        self.caps = CapTable(catalogue)
        self.advertiser_domains = {advertiser.id: advertiser.domain for advertiser in catalogue.advertisers}

    @classmethod
    def of(cls, index: Index, caps: CapTable, advertiser_domains: dict[int, str]) -> Self:
        """Of parts that are compiled already."""
        compiled = cls.__new__(cls)
        compiled.index, compiled.caps, compiled.advertiser_domains = index, caps, advertiser_domains
        return compiled

    def packed(self) -> list[bytes]:
        """Pickles of its parts: unpickling all at once would hold up the requests of the receiving process."""
        index = [getattr(self.index, name) for name in Index.__struct_fields__]
        return [pickle.dumps(part, pickle.HIGHEST_PROTOCOL) for part in (self.caps, self.advertiser_domains, *index)]

    @classmethod
    def unpack(cls, packed: Iterable[bytes]) -> Generator[None, None, "Compiled"]:
        """The inverse of `packed`, a step a part; the event loop may serve requests between two steps."""
        parts = []
        for part in packed:
            parts.append(pickle.loads(part))  # noqa: S301 - from the child process that we started
            yield
        caps, advertiser_domains, *members = parts
        return cls.of(Index(*members), caps, advertiser_domains)
