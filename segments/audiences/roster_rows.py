"""Rows of a customer list: a CSV whose header says what its columns are, read piece by piece, each row to digests.

Plain addresses and numbers are hashed here and go no further. A list that comes from the console or the command line
has only hashes already.
"""

import codecs
import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from core.errors import InputError
from core.ids import is_hash_of_nothing, is_unfilled
from segments.facts.event import MAX_ID_CHARS, customer_digest, person_digest, phone_digest

# So many faults are kept; further ones are only counted.
MAX_FAULTS: Final = 100
MAX_LINE_CHARS: Final = 4_000

COLUMNS: Final = ("email", "email_sha256", "phone", "phone_sha256", "customer_id")
ALIASES: Final = {
    "e_mail": "email", "mail": "email", "email_address": "email", "e_mail_address": "email", "adres_e_mail": "email",
    "adres_email": "email", "hashed_email": "email_sha256", "sha256_email_address": "email_sha256",
    "phone_number": "phone", "telephone": "phone", "tel": "phone", "mobile": "phone", "telefon": "phone",
    "numer_telefonu": "phone", "hashed_phone": "phone_sha256", "sha256_phone_number": "phone_sha256",
    "customer": "customer_id", "client_id": "customer_id", "id_klienta": "customer_id", "numer_klienta": "customer_id",
}  # fmt: skip
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_PHONE: Final = re.compile(r"\+[1-9]\d{6,14}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")


class RowFault(msgspec.Struct, frozen=True):
    """What is wrong in a line of the file; the header is line 1. It has nothing of the content, which is personal."""

    line: int
    column: str
    message: str


class RowError(ValueError):
    """A value that cannot be a person's."""


def email_sha256(text: str) -> str:
    """SHA-256 of an address as shops hash it: trimmed, lower case. Raises RowError."""
    plain = text.strip().lower()
    if not _EMAIL.fullmatch(plain):
        raise RowError("is no e-mail address")
    return hashlib.sha256(plain.encode()).hexdigest()


def phone_sha256(text: str) -> str:
    """SHA-256 of a number as +48123456789. Raises RowError."""
    plain = re.sub(r"[\s().\-/]", "", text)
    plain = f"+{plain[2:]}" if plain.startswith("00") else plain
    if not _PHONE.fullmatch(plain):
        raise RowError("is no phone number with its country code (+48 600 100 200)")
    return hashlib.sha256(plain.encode()).hexdigest()


def _hexadecimal(text: str) -> str:
    if not _HEX.fullmatch(text):
        raise RowError("is no SHA-256 of 64 hex digits")
    if is_hash_of_nothing(text):
        raise RowError("is the SHA-256 of an empty field, which names nobody")
    return text.lower()


def _customer(text: str) -> str:
    if len(text) > MAX_ID_CHARS or not text.isprintable():
        raise RowError(f"is no id of at most {MAX_ID_CHARS} printable characters")
    if is_unfilled(text):
        raise RowError("is a word for nothing, which names nobody")
    return text


def digest_of(advertiser_id: int, column: str, text: str) -> bytes:
    """The digest by which one value names a person at one advertiser. Raises RowError."""
    match column:
        case "email" | "email_sha256":
            return person_digest(advertiser_id, email_sha256(text) if column == "email" else _hexadecimal(text))
        case "phone" | "phone_sha256":
            return phone_digest(advertiser_id, phone_sha256(text) if column == "phone" else _hexadecimal(text))
        case _:
            return customer_digest(advertiser_id, _customer(text))


Row = tuple[bytes, ...]
"""Digests of one person."""


class RowReader:
    """Rows of a file that comes in pieces. `faults` has the first of what was wrong, `faulty` counts such rows."""

    def __init__(self, advertiser_id: int) -> None:
        self._advertiser_id = advertiser_id
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._rest = ""
        self._line = 0
        self._columns: list[tuple[int, str]] = []
        self._separator = ","
        self.faults: list[RowFault] = []
        self.faulty = 0
        self.ignored: list[str] = []

    def feed(self, piece: bytes, *, last: bool = False) -> Iterator[Row]:
        """The rows that a piece completes. Raises InputError for a header without a column that is known."""
        text = self._rest + self._decoder.decode(piece, last).replace("\r\n", "\n").replace("\r", "\n")
        lines = text.split("\n")
        self._rest = "" if last else lines.pop()
        if len(self._rest) > MAX_LINE_CHARS:
            raise InputError(f"line {self._line + len(lines) + 1} is longer than {MAX_LINE_CHARS} characters")
        for line in lines:
            self._line += 1
            if not line.strip():
                continue
            if not self._columns:
                self._read_header(line)
            elif row := self._row(line):
                yield row

    def end(self) -> Iterator[Row]:
        """The rows of what is left. Raises InputError for a file without a header."""
        yield from self.feed(b"", last=True)
        if not self._columns:
            raise _no_header("the file is empty")

    def _read_header(self, line: str) -> None:
        self._separator = max(",;\t", key=line.count)
        names = [cell.strip() for cell in _cells(line, self._separator)]
        for at, name in enumerate(names):
            plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
            column = ALIASES.get(plain, plain)
            if column in COLUMNS:
                self._columns.append((at, column))
            else:
                self.ignored.append(name[:40])
        if not self._columns:
            raise _no_header("the first line names no column that is known")
        if any("@" in name or _HEX.fullmatch(name) for name in names):
            raise _no_header("the first line is a person, not the names of the columns")

    def _row(self, line: str) -> Row:
        cells = _cells(line, self._separator)
        found: list[bytes] = []
        wrong = False
        for at, column in self._columns:
            text = cells[at].strip() if at < len(cells) else ""
            if not text:
                continue
            try:
                found.append(digest_of(self._advertiser_id, column, text))
            except RowError as error:
                self._note(column, str(error))
                wrong = True
        if not found:
            self.faulty += 1
            if not wrong:
                self._note(self._columns[0][1], "the line names nobody")
        return tuple(found)

    def _note(self, column: str, message: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(RowFault(self._line, column, message))


def hashed_rows(pieces: Sequence[bytes] | Iterator[bytes], note: Callable[[RowFault], None]) -> Iterator[str]:
    """A list as lines of CSV in which addresses and numbers are hashed: what may leave the machine.

    Values that cannot be hashed are told to `note` and left out. Raises InputError as `RowReader`.
    """
    reader = _HashingReader(note)
    yield ",".join(("email_sha256", "phone_sha256", "customer_id")) + "\n"
    for piece in pieces:
        yield from reader.lines(piece)
    yield from reader.lines(b"", last=True)


class _HashingReader(RowReader):
    """Rows as lines of hashes instead of digests; an empty line stands for a line that names nobody."""

    def __init__(self, note: Callable[[RowFault], None]) -> None:
        super().__init__(0)
        self._tell = note

    def lines(self, piece: bytes, *, last: bool = False) -> Iterator[str]:
        for row in self.feed(piece, last=last):
            yield ",".join(cell.decode() for cell in row) + "\n"

    def _row(self, line: str) -> Row:
        cells = _cells(line, self._separator)
        values = {"email_sha256": "", "phone_sha256": "", "customer_id": ""}
        for at, column in self._columns:
            text = cells[at].strip() if at < len(cells) else ""
            try:
                if text and column == "customer_id":
                    values[column] = '"' + _customer(text).replace('"', '""') + '"'
                elif text:
                    hashing = {"email": email_sha256, "phone": phone_sha256}.get(column, _hexadecimal)
                    values[f"{column.removesuffix('_sha256')}_sha256"] = hashing(text)
            except RowError as error:
                self._tell(RowFault(self._line, column, str(error)))
        return tuple(value.encode() for value in values.values())


def _cells(line: str, separator: str) -> list[str]:
    if '"' not in line:
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator), [])


def _no_header(problem: str) -> InputError:
    hint = f"begin with a line that names the columns: {', '.join(COLUMNS)}"
    return InputError(problem, hint=hint)
