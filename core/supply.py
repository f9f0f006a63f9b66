"""Who may sell whose impressions: the table that bidders look ads.txt, app-ads.txt and sellers.json up in.

It is made off the bid path (`grosz supply`, admin/supply) and published whole in Redis. A file is kept as the sorted
digests of what it names, eight bytes each: 10,000 files of 300 lines are 24 MB, and a question is a binary search.

Sources: IAB Tech Lab, ads.txt 1.1 (sections 3.4 and 4), app-ads.txt 1.0, sellers.json 1.0; OpenRTB 2.6 section 3.2.25.
"""

import bisect
import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec
import zstandard

from core.errors import InputError

FORMAT: Final = b"S1"
"""First bytes of a published table; changes when older processes could not read it."""

DIGEST_BYTES: Final = 8

MAX_TABLE_BYTES: Final = 1024**3
"""The most bytes of an unpacked table: a larger one is damaged."""

DAY_MS: Final = 86_400_000

GOOD_FOR_MS: Final = 7 * DAY_MS
"""How long a file that was read counts: the longest that ads.txt 1.1 (section 3.3) lets it be kept by default."""


class SupplyFile(msgspec.Struct, frozen=True):
    """One file as it was read. `named` are the sorted digests of the sellers, or ids of sellers, that it names."""

    read_ms: int
    named: bytes = b""

    @property
    def count(self) -> int:
        """How many sellers the file names."""
        return len(self.named) // DIGEST_BYTES

    def names(self, text: str) -> bool:
        """Whether a seller ("ssp.example/4711"), or the id of one, is in the file."""
        numbers = memoryview(self.named).cast("Q")
        wanted = digest(text)
        at = bisect.bisect_left(numbers, wanted)
        return at < len(numbers) and numbers[at] == wanted


class SupplyTable(msgspec.Struct, frozen=True, kw_only=True):
    """All files that are known, by domain: `sites` are ads.txt, `apps` app-ads.txt, `systems` sellers.json."""

    made_ms: int = 0
    sites: dict[str, SupplyFile] = {}
    apps: dict[str, SupplyFile] = {}
    systems: dict[str, SupplyFile] = {}

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(self.sites) + len(self.apps) + len(self.systems)


def current(table: SupplyTable, now_ms: int) -> SupplyTable:
    """The table without files that were read more than GOOD_FOR_MS ago."""

    def lately(files: dict[str, SupplyFile]) -> dict[str, SupplyFile]:
        return {name: file for name, file in files.items() if now_ms - file.read_ms <= GOOD_FOR_MS}

    return SupplyTable(
        made_ms=table.made_ms, sites=lately(table.sites), apps=lately(table.apps), systems=lately(table.systems)
    )


def digest(text: str) -> int:
    """The number that stands for a name in a table: two of a million names collide in one of 10^7 tables."""
    raw = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
    return int.from_bytes(raw, "little")


def seller_name(system: str, account: str) -> str:
    """The name of a seller at a system, in normal form: domains are lowered, ids may depend on case."""
    return f"{system.strip().lower()}/{account.strip()}"


def plain_seller(named: str) -> str:
    """A list's name of a seller, in normal form: "SSP.example/4711" is "ssp.example/4711"."""
    system, slash, account = named.partition("/")
    return seller_name(system, account) if slash else system.strip().lower()


def packed(names: Iterable[str]) -> bytes:
    """The digests of `names` as `SupplyFile.named` has them."""
    return b"".join(number.to_bytes(DIGEST_BYTES, "little") for number in sorted({digest(name) for name in names}))


def encode_table(table: SupplyTable) -> bytes:
    """Bytes to publish."""
    return FORMAT + zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(table))


def decode_table(data: bytes) -> SupplyTable:
    """The inverse. Raises InputError for bytes of another format or damaged ones."""
    if not data.startswith(FORMAT):
        raise InputError("the supply table is of another format", hint="make it again with this version's grosz supply")
    try:
        plain = zstandard.ZstdDecompressor().decompress(data[len(FORMAT) :], max_output_size=MAX_TABLE_BYTES)
        table = msgspec.msgpack.decode(plain, type=SupplyTable)
    except (zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the supply table cannot be read: {error}", hint="make it again: grosz supply") from None
    for files in (table.sites, table.apps, table.systems):
        for file in files.values():
            if len(file.named) % DIGEST_BYTES:
                raise InputError("the supply table is damaged", hint="make it again: grosz supply")
    return table
