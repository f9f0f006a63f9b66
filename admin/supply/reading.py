"""Reads ads.txt, app-ads.txt and sellers.json: which sellers a domain names, which ids a system has given out.

Sources: IAB Tech Lab, ads.txt 1.1 section 3.4 (records), app-ads.txt 1.0, sellers.json 1.0 section 4.
"""

import enum
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import msgspec

from core.errors import InputError
from core.supply import SupplyFile, packed, seller_name

# The longest ads.txt in use has some 15,000 lines; what follows is not read.
MAX_LINES: Final = 50_000
MAX_LINE_CHARS: Final = 1_000
_RELATIONS: Final = frozenset({"DIRECT", "RESELLER"})


class FileKind(enum.StrEnum):
    """The three files, by the name that they are served by."""

    ADS_TXT = "ads.txt"
    APP_ADS_TXT = "app-ads.txt"
    SELLERS_JSON = "sellers.json"

    @property
    def member(self) -> str:
        """Its member of `core.supply.SupplyTable`."""
        return _MEMBERS[self]

    @property
    def max_bytes(self) -> int:
        """What is read of it: the largest sellers.json in use has a million sellers."""
        return 256 * 1024**2 if self is FileKind.SELLERS_JSON else 4 * 1024**2


_MEMBERS: Final = {FileKind.ADS_TXT: "sites", FileKind.APP_ADS_TXT: "apps", FileKind.SELLERS_JSON: "systems"}


class _Seller(msgspec.Struct):
    seller_id: str | int = ""


class _Sellers(msgspec.Struct):
    sellers: Annotated[list[_Seller], msgspec.Meta(max_length=5_000_000)]


def read_file(kind: FileKind, content: bytes, read_ms: int) -> SupplyFile:
    """What a file names. Raises InputError for what is no such file."""
    if len(content) > kind.max_bytes:
        raise InputError(f"the {kind} is larger than {kind.max_bytes // 1024**2} MiB")
    if kind is FileKind.SELLERS_JSON:
        return SupplyFile(read_ms, packed(_ids(content)))
    return SupplyFile(read_ms, packed(sellers_in(content.decode("utf-8-sig", "replace").splitlines())))


def sellers_in(lines: Iterable[str]) -> Iterator[str]:
    """The sellers that an ads.txt names; comments, variables and lines that are no record are passed over.

    Raises InputError for a page: servers answer some with status 200 for a file that is not there.
    """
    for number, line in enumerate(lines):
        if number >= MAX_LINES:
            return
        if number < 20 and line.lstrip()[:1] == "<":
            raise InputError("a web page stands where the file should be")
        fields = [field.strip() for field in line[:MAX_LINE_CHARS].partition("#")[0].partition(";")[0].split(",")]
        if len(fields) >= 3 and fields[2].upper() in _RELATIONS and fields[0] and fields[1]:
            yield seller_name(fields[0], fields[1])


def _ids(content: bytes) -> Iterator[str]:
    try:
        found = msgspec.json.decode(content, type=_Sellers)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"this is no sellers.json: {error}") from None
    return (str(each.seller_id).strip() for each in found.sellers if each.seller_id != "")
