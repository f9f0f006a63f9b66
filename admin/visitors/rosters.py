"""Customer lists for the API, the console and the command line: documents, and the desk that answers."""

import datetime
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from admin.validation import fields as f
from core.clock import Clock
from core.errors import Fault, InputError
from segments.audiences.roster_import import RosterImport, RosterImporter
from segments.audiences.roster_rows import COLUMNS, RowError, RowFault, digest_of
from segments.audiences.rosters import NAME_PATTERN, Roster, RosterStore
from segments.profiles.store import ProfileStore

# As long as the largest networks keep one; the default is half a year, as most shops buy twice in it or not at all.
MAX_DAYS: Final = 540
DEFAULT_DAYS: Final = 180
# Two million rows of a hash with a line end.
MAX_LIST_BYTES: Final = 200 * 1024**2

ListName = Annotated[
    str, Meta(max_length=30, pattern="^" + NAME_PATTERN + f.END, description="As in rules: has list.NAME.")
]


class ImportQuery(msgspec.Struct, forbid_unknown_fields=True):
    """For how long the file's persons are listed."""

    days: Annotated[int, Meta(ge=1, le=MAX_DAYS, description="After so many days an entry ends.")] = DEFAULT_DAYS


class CustomerList(msgspec.Struct):
    """One customer list. `matched` of its `rows` had a device when they came; `match_rate` is their quotient."""

    name: str
    rule: str
    rows: int
    matched: int
    match_rate: float
    updated: datetime.datetime
    until: datetime.datetime


class CustomerLists(msgspec.Struct):
    """The customer lists of an advertiser, by name."""

    items: list[CustomerList]
    count: int


class LineFault(msgspec.Struct):
    """A fault of a line, counted from 1 with the header. It never quotes what the line says."""

    line: int
    column: str
    message: str


class ListImport(msgspec.Struct):
    """What became of a file: of `rows` persons `matched` had a device; `devices` hear of it within a minute.

    `gone` devices were named before and are not any more. `faulty` lines name nobody; the first hundred of their faults
    are listed. Columns in `ignored` are not known.
    """

    stored: CustomerList
    rows: int
    matched: int
    match_rate: float
    devices: int
    gone: int
    faulty: int
    faults: list[LineFault]
    ignored: list[str]


class ListDropped(msgspec.Struct):
    """How many devices a deleted list does not name any more."""

    gone: int


class ForgetCustomer(msgspec.Struct, forbid_unknown_fields=True):
    """A person, by one of these; addresses and numbers are hashed and go no further."""

    email: Annotated[str, Meta(max_length=320)] = ""
    email_sha256: Annotated[str, Meta(max_length=64)] = ""
    phone: Annotated[str, Meta(max_length=40)] = ""
    phone_sha256: Annotated[str, Meta(max_length=64)] = ""
    customer_id: Annotated[str, Meta(max_length=100)] = ""


class CustomerForgotten(msgspec.Struct):
    """How many entries of lists named the person."""

    entries: int


ROSTER_TYPES: tuple[type, ...] = (CustomerLists, ListImport, ListDropped, ForgetCustomer, CustomerForgotten)


class RosterDesk:
    """Answers over one connection to Redis. Who may ask for what is the caller's business."""

    def __init__(self, profiles: ProfileStore, clock: Clock) -> None:
        self._store = RosterStore(profiles, clock)
        self._importer = RosterImporter(profiles, clock)

    async def all(self, advertiser_id: int) -> CustomerLists:
        """The advertiser's lists."""
        items = [_shown(roster) for _, roster in sorted((await self._store.all(advertiser_id)).items())]
        return CustomerLists(items, len(items))

    async def load(
        self, advertiser_id: int, name: str, pieces: AsyncIterator[bytes], *, replace: bool, days: int = DEFAULT_DAYS
    ) -> ListImport:
        """Take a file in. Raises InputError, ConflictError, UnavailableError."""
        checked = checked_name(name)
        found = await self._importer.load(advertiser_id, checked, pieces, replace=replace, days=days)
        return _told(found)

    async def drop(self, advertiser_id: int, name: str) -> ListDropped:
        """Delete a list. Raises NotFoundError."""
        return ListDropped(await self._importer.drop(advertiser_id, name))

    async def forget(self, advertiser_id: int, person: ForgetCustomer) -> CustomerForgotten:
        """Take a person out of all lists. Raises InputError."""
        given = [(column, value) for column in COLUMNS if (value := getattr(person, column))]
        if not given:
            raise InputError("nobody is named", hint=f"give one of {', '.join(COLUMNS)}")
        digests = []
        for column, value in given:
            try:
                digests.append(digest_of(advertiser_id, column, value))
            except RowError as error:
                raise InputError("the person cannot be named so", faults=[_fault(column, str(error))]) from None
        return CustomerForgotten(await self._importer.forget(advertiser_id, digests))


def checked_name(name: str) -> str:
    """A name that rules can have. Raises InputError."""
    try:
        return msgspec.convert(name, ListName)
    except msgspec.ValidationError:
        fault = _fault("name", "begins with a letter and has a-z, 0-9 and _, 30 characters at most")
        raise InputError(f"'{name[:40]}' is no name of a customer list", faults=[fault]) from None


def _fault(pointer: str, message: str) -> Fault:
    return Fault(f"/{pointer}", "value", message)


def _shown(roster: Roster) -> CustomerList:
    return CustomerList(
        roster.name, f"has list.{roster.name}", roster.rows, roster.matched, _share(roster.matched, roster.rows),
        _moment(roster.updated_s), _moment(roster.until_s),
    )  # fmt: skip


def _told(found: RosterImport) -> ListImport:
    return ListImport(
        _shown(found.roster), found.rows, found.matched, _share(found.matched, found.rows), found.devices, found.gone,
        found.faulty, [_line(fault) for fault in found.faults], list(found.ignored),
    )  # fmt: skip


def _line(fault: RowFault) -> LineFault:
    return LineFault(fault.line, fault.column, fault.message)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _moment(at_s: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC)
