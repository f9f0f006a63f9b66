"""What several composition roots make of the journal: its writer, its folders, the pseudonyms of people."""

import re
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import msgspec

from admin.roles.lifecycle import RoleContext
from core.config import JournalSettings
from core.errors import ConfigError
from journal.archive import Archive, is_readable
from journal.catalogues import CatalogueFiles
from journal.folders import SEGMENTS
from journal.people import DAY_MS, Pseudonyms
from journal.rows import BILL, CLICK, CONVERSION, NOTICE, SHOWN, JournalKind
from journal.writing import JournalWriter
from pacing.budgets.timing import lease_day
from pacing.budgets.transitions import StreamEntry
from pacing.ledger.rows import LedgerRow, RowKind
from pacing.notices.claims import Claims
from pacing.notices.conversions import CountedOrder
from pacing.notices.notices import CountedNotice
from pacing.notices.signals import VIEWS, Signal
from pacing.notices.touches import Touch
from segments.identity.persons import PseudonymsOf

PARQUET = "parquet"
CATALOGUES = "catalogues"

PERSONAL = "personal"
HOUR_S = 3_600
# Sums of an hour are made ten minutes after its end (docs/journal.md). The products of an ad that is loaded later are
# not recorded: the sums of the hour would be made again for every such ad.
SHOWN_LATE_MS = 8 * 60 * 1000
# Ads whose loading is remembered, some 200 bytes each: what a tracker process loads in a minute.
SHOWN_REMEMBERED = 60_000
_MIB = 1024 * 1024
# The length of a notice key that begins with the bid's nonce; other lengths are of tokens of an older layout.
_NONCE_AND_LEASE_BYTES = 16

_to_msgpack = msgspec.msgpack.Encoder().encode


def segments_folder(settings: JournalSettings) -> Path | None:
    """Where processes append; None where no journal is kept."""
    return Path(settings.directory) / SEGMENTS if settings.directory else None


def archive_of(settings: JournalSettings) -> Archive | None:
    """The Parquet files; None where no journal is kept. Raises ConfigError without DuckDB, which reads them."""
    if not settings.directory:
        return None
    if not is_readable():
        hint = "install grosz[reports], or leave journal.directory empty"
        raise ConfigError("journal.directory is set, and DuckDB, which the journal needs, is not installed", hint=hint)
    return Archive(Path(settings.directory) / PARQUET)


def catalogues_beside(archive: Archive) -> CatalogueFiles:
    """The catalogues that recorded requests were decided by."""
    return CatalogueFiles(archive.folder.parent / CATALOGUES)


def pseudonyms_of(settings: JournalSettings) -> Pseudonyms:
    """The pseudonyms of this installation."""
    return Pseudonyms(bytes.fromhex(settings.people_key))


def pseudonyms_kept(settings: JournalSettings) -> PseudonymsOf:
    """A function that gives erasures the pseudonyms of a user in all that is kept; none where no journal is kept."""
    people = pseudonyms_of(settings)
    kept_ms = max(settings.retention_days, settings.money_retention_days) * DAY_MS

    def of(user_id: str, until_ms: int) -> list[str]:
        return [str(each) for each in people.all_of(user_id, until_ms - kept_ms, until_ms + DAY_MS)]

    return of if settings.directory else lambda _user_id, _until_ms: ()


def journal_writer(role: RoleContext, process: str) -> JournalWriter:
    """The role's part of the journal, written until its end."""
    settings = role.settings.journal
    name = re.sub(r"[^\w-]", "_", process)
    folder, most = segments_folder(settings), settings.max_mib * _MIB
    writer = JournalWriter(folder, name, role.clock, role.telemetry, max_bytes=most)
    role.run_loop(writer.run, "journal")
    role.on_close(writer.close)
    return writer


class SeenLately:
    """Remembers about `most` keys, in two generations: enough to tell a page that is loaded again from another ad."""

    def __init__(self, most: int = SHOWN_REMEMBERED) -> None:
        self._half = max(1, most // 2)
        self._young: set[Hashable] = set()
        self._old: set[Hashable] = set()

    def is_new(self, key: Hashable) -> bool:
        """Whether the key is asked about for the first time; it is remembered from now on."""
        if key in self._young or key in self._old:
            return False
        if len(self._young) >= self._half:
            self._old, self._young = self._young, set()
        self._young.add(key)
        return True


class NoticeRows:
    """What a tracker tells the journal of notices and clicks."""

    def __init__(self, writer: JournalWriter, pseudonyms: Pseudonyms, now_ms: Callable[[], int]) -> None:
        self._writer, self._pseudonyms, self._now_ms = writer, pseudonyms, now_ms
        self._shown = SeenLately()

    def counted(self, notice: CountedNotice) -> None:
        """A notice that had its effect."""
        claims = notice.claims
        self._writer.append_soon(
            NOTICE,
            (
                *_of_bid(claims), self._now_ms(), notice.event.value, notice.outcome, claims.currency, claims.bid_cpm,
                notice.price_cpm, notice.loss_code, notice.min_to_win_cpm, self._person(claims),
            ),
        )  # fmt: skip

    def signal(self, signal: Signal, claims: Claims) -> None:
        """A signal of a shown ad that counted: whether it was in view, how far it was played."""
        is_view = signal in VIEWS.values()
        self._writer.append_soon(
            NOTICE,
            (
                *_of_bid(claims), self._now_ms(), "view" if is_view else signal.value, signal.value if is_view else "",
                claims.currency, claims.bid_cpm, None, "", None, self._person(claims),
            ),
        )  # fmt: skip

    def click(self, claims: Claims, now_ms: int, fault: str, product: str) -> bytes:
        """A click, as it travels in the advertiser's stream; `fault` is why it does not count.

        `product` is that of an ad with several, or "".
        """
        values = (*_of_bid(claims), "", now_ms, lease_day(claims.lease_id), fault, self._person(claims), product)
        return encode_row(CLICK, values)

    def shown(self, claims: Claims, outcome: str, products: Sequence[str]) -> None:
        """Record the products of an ad that was filled when it was loaded, once for each outcome of a bid.

        Only a personal ad is recorded with a pseudonym: bestsellers are also shown to people who may not be recognised.
        """
        now_ms = self._now_ms()
        is_late = now_ms >= (claims.issued_s // HOUR_S + 1) * HOUR_S * 1000 + SHOWN_LATE_MS
        if is_late or claims.is_test or not self._shown.is_new((claims.nonce, outcome)):
            return
        person = self._person(claims) if outcome == PERSONAL else 0
        self._writer.append_soon(SHOWN, (*_of_bid(claims), now_ms, outcome, "\n".join(products), person))

    def _person(self, claims: Claims) -> int:
        """The pseudonym that the bid's own row has."""
        return self._pseudonyms.of(claims.user_id, claims.issued_s * 1000)


class OrderRows:
    """What the worker tells the journal of orders. `currency_of` gives the currency of an advertiser."""

    def __init__(self, pseudonyms: Pseudonyms, currency_of: Callable[[int], str]) -> None:
        self._pseudonyms, self._currency_of = pseudonyms, currency_of

    def order(self, order: CountedOrder) -> bytes:
        """An order or correction, as it travels in the advertiser's stream."""
        touch, made_ms = order.touch, order.made_s * 1000
        of_bid: tuple[object, ...] = (0, made_ms, order.advertiser_id, 0, 0, 0, 0, 0, "")
        if touch is not None:
            of_bid = (
                touch.bid_id, touch.at_s * 1000, touch.advertiser_id, touch.campaign_id, touch.line_item_id, 0,
                touch.creative_id, touch.exchange_id, "",
            )  # fmt: skip
        device = order.devices[0] if order.devices else ""
        values = (
            *of_bid, "", made_ms, touch.day if touch is not None else 0, order.order_digest,
            "correction" if order.changes else "order", order.credit.value,
            touch.at_s * 1000 if touch is not None else None, order.value_micros,
            self._currency_of(order.advertiser_id), order.buyer, _path_text(order.path),
            self._pseudonyms.of(device, made_ms),
        )  # fmt: skip
        return encode_row(CONVERSION, values)


def bill_row(advertiser_id: int, row: LedgerRow) -> dict[str, object]:
    """A row of the ledger as one of the journal.

    A correction has no bid: it stands at noon of the day that it is booked on, so that reports show it there and it is
    kept for as long as that day's bills.
    """
    head = row.head
    is_bill = head.kind is RowKind.BILL
    bid_ms = head.issued_s * 1000 if is_bill else head.day * DAY_MS + DAY_MS // 2
    key = bytes.fromhex(head.notice) if is_bill else b""
    return dict(
        zip(
            BILL.names,
            (
                int.from_bytes(key[:8], "little") if len(key) == _NONCE_AND_LEASE_BYTES else 0, bid_ms,
                advertiser_id, head.campaign_id, head.line_item_id, head.share, head.creative_id, head.exchange_id, "",
                row.stream_id, row.settled_ms, head.day, head.kind.value, head.currency, head.auction_currency,
                head.bid_cpm, row.price_cpm, row.charge_micros, head.reserved_micros, row.impressions, row.late,
                row.over_micros, row.price_source.value,
            ),
            strict=True,
        )
    )  # fmt: skip


def encode_row(kind: JournalKind, values: Sequence[object]) -> bytes:
    """A row of one kind with the names of its columns, for a stream."""
    return _to_msgpack({"kind": kind.name, **dict(zip(kind.names, values, strict=True))})


def decode_row(entry: StreamEntry) -> tuple[str, dict[str, object]]:
    """Kind and columns of a stream's entry, whose id is the row's."""
    row: dict[str, object] = msgspec.msgpack.decode(entry.fields[b"row"])
    kind = str(row.pop("kind"))
    return kind, row | {"row_id": entry.id}


def _of_bid(claims: Claims) -> tuple[object, ...]:
    return (
        claims.nonce, claims.issued_s * 1000, claims.advertiser_id, claims.campaign_id, claims.line_item_id,
        claims.share, claims.creative_id, claims.exchange_id, claims.format,
    )  # fmt: skip


def _path_text(path: Sequence[Touch]) -> str:
    """`7 view 1790000000, 7 click 1790000100`: line item, kind and unix seconds of each touch."""
    return ", ".join(f"{touch.line_item_id} {touch.kind.name.lower()} {touch.at_s}" for touch in path)
