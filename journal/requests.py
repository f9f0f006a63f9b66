"""Recorded bid requests, read from the Parquet files, and what notices said of their bids."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from core.errors import InputError
from journal.archive import HOUR_MS, Archive
from journal.columnar import Columnar, files_sql
from journal.rows import BID, BILL, CONVERSION, NOTICE, REQUEST

_PARTS: Final = 10_000
"""The number of parts of a sample: a person's part is the pseudonym modulo this."""


class RecordedRow(NamedTuple):
    """A row of the kind `request`."""

    at_ms: int
    exchange_id: int
    sampled: float
    catalogue: int
    request: bytes
    profile: bytes
    bids: bytes
    reason: str
    person: int
    record_id: int
    conditions: bytes


class BidFate(NamedTuple):
    """The fate of a bid, as far as notices and bills tell. Prices are CPM micros; None where no notice told one."""

    bid_id: int
    won: bool
    lost: bool
    loss_code: str
    price_cpm: int | None
    minimum_to_win_cpm: int | None


class RequestFilter(NamedTuple):
    """Selects recorded requests. `part` is a share of the persons, for a first answer from a few of them."""

    since_ms: int
    until_ms: int
    exchange_id: int = 0
    line_item_id: int = 0  # only requests in which it bid
    line_items: Collection[int] | None = None  # only requests in which one of these bid; None: with or without a bid
    advertisers: Collection[int] | None = None  # only requests with a bid of one of these; None: any request
    record_id: int | None = None
    part: float = 1.0
    parts_before: float = 0.0  # persons of this share are left out: they were in an earlier sample


class RequestReader:
    """Reads one archive by one connection; not to be used by two threads at once."""

    def __init__(self, archive: Archive, columnar: Columnar) -> None:
        self._archive, self._columnar = archive, columnar

    def count(self, wanted: RequestFilter) -> tuple[int, float]:
        """How many rows there are, and how many requests they stand for."""
        where, parameters = _where(wanted)
        source = self._source(wanted)
        if not source:
            return 0, 0.0
        (row,) = self._columnar.ask(
            f"SELECT count(*), coalesce(sum(1 / sampled), 0) FROM {source} WHERE {where}",  # noqa: S608 - names of ours
            parameters,
        )
        return int(row[0]), float(row[1])

    def rows(self, wanted: RequestFilter, *, newest_first: bool = False, limit: int = 0) -> list[RecordedRow]:
        """Rows by time; the oldest first, unless `newest_first`."""
        where, parameters = _where(wanted)
        source = self._source(wanted)
        if not source:
            return []
        order = "DESC" if newest_first else "ASC"
        most = f" LIMIT {int(limit)}" if limit else ""
        columns = ", ".join(RecordedRow._fields)
        found = self._columnar.ask(
            f"SELECT {columns} FROM {source} WHERE {where} ORDER BY at_ms {order}, record_id {order}{most}",  # noqa: S608 - as above
            parameters,
        )
        return [_row(values) for values in found]

    def line_items_of(self, advertisers: Collection[int], since_ms: int, until_ms: int) -> set[int]:
        """The ids of these advertisers' line items that made bids in a time."""
        hours = self._archive.hours(BID.name, since_ms // HOUR_MS, until_ms // HOUR_MS + 1)
        files = self._archive.files(BID.name, hours)
        if not files or not advertisers:
            return set()
        listed = ", ".join(str(int(each)) for each in sorted(advertisers))
        asked = f"SELECT DISTINCT line_item_id FROM {files_sql(files)} WHERE advertiser_id IN ({listed})"  # noqa: S608 - numbers
        return {int(row[0]) for row in self._columnar.ask(asked)}

    def one(self, record_id: int, since_ms: int, until_ms: int) -> RecordedRow | None:
        """The row with an id; None where there is none."""
        found = self.rows(RequestFilter(since_ms, until_ms, record_id=record_id))
        return found[0] if found else None

    def fates(self, bid_ids: Collection[int], at_ms: int) -> dict[int, BidFate]:
        """The fates of bids that were made at a moment."""
        if not bid_ids:
            return {}
        hour = at_ms // HOUR_MS
        listed = ", ".join(str(int(each)) for each in bid_ids)
        fates: dict[int, BidFate] = {}
        # A token tells whole seconds, so a notice may be filed under the hour before.
        for kind, columns in ((NOTICE, "event, loss_code, price_cpm, minimum_to_win_cpm"), (BILL, "price_cpm")):
            files = self._archive.files(kind.name, self._archive.hours(kind.name, hour - 1, hour + 1))
            if not files:
                continue
            question = f"SELECT bid_id, {columns} FROM {files_sql(files)} WHERE bid_id IN ({listed})"  # noqa: S608 - numbers of ours
            for bid_id, *values in self._columnar.ask(question):
                _take(fates, int(bid_id), kind is BILL, values)
        return fates

    def sold(self, column: str, number: int, since_ms: int, until_ms: int) -> tuple[int, int, int]:
        """Billed impressions, credited orders, and their value in micros, of some bids.

        `column` names an id that rows about bids have (`campaign_id`), `number` is its value.
        """
        hours = since_ms // HOUR_MS, until_ms // HOUR_MS + 1
        found: list[tuple[Any, ...]] = []
        for kind, sums, where in (
            (BILL, "coalesce(sum(impressions), 0), 0", "true"),
            (CONVERSION, "count(DISTINCT order_id), coalesce(sum(value_micros), 0)", "credit <> 'nobody'"),
        ):
            files = self._archive.files(kind.name, self._archive.hours(kind.name, *hours))
            source = f"{files_sql(files)} WHERE {column} = $number AND {where}"
            found += self._columnar.ask(f"SELECT {sums} FROM {source}", {"number": number}) if files else [(0, 0)]  # noqa: S608 - names of ours
        (impressions, _), (orders, worth) = found
        return int(impressions), int(orders), int(worth)

    def outcomes(self, wanted: RequestFilter, advertisers: Collection[int] | None = None) -> list[tuple[Any, ...]]:
        """The outcomes of all bids in a time, equal ones counted, for landscapes; of these advertisers (None: of all).

        Exchange, currency, width, height, auction type, bid, floor, whether it was billed or a win was told, whether a
        loss was told, loss code, price, minimum to win; how many. Prices are CPM micros.
        """
        first, last = wanted.since_ms // HOUR_MS, wanted.until_ms // HOUR_MS + 1
        bids = self._archive.files(BID.name, self._archive.hours(BID.name, first, last))
        if not bids:
            return []
        fates = [self._fate_sql(NOTICE.name, first - 1, last), self._fate_sql(BILL.name, first - 1, last)]
        listed = ", ".join(str(int(each)) for each in advertisers or (0,))
        whose = "" if advertisers is None else f" AND b.advertiser_id IN ({listed})"
        told = " UNION ALL ".join(each for each in fates if each)
        joined = (
            f"LEFT JOIN (SELECT bid_id, bool_or(won) AS won, bool_or(lost) AS lost, max(loss_code) AS loss_code, "  # noqa: S608 - as above
            f"max(price_cpm) AS price_cpm, max(minimum) AS minimum FROM ({told}) GROUP BY bid_id) n USING (bid_id)"
            if told
            else "CROSS JOIN "
            "(SELECT false AS won, false AS lost, '' AS loss_code, NULL AS price_cpm, NULL AS minimum) n"
        )
        return self._columnar.ask(
            f"SELECT b.exchange_id, b.currency, b.width, b.height, b.auction_type, b.bid_cpm, b.floor_cpm, "  # noqa: S608 - as above
            f"coalesce(n.won, false), coalesce(n.lost, false), coalesce(n.loss_code, ''), n.price_cpm, n.minimum, "
            f"count(*) FROM {files_sql(bids)} b {joined} WHERE b.bid_ms >= $since AND b.bid_ms < $until{whose} "
            "GROUP BY ALL",
            {"since": wanted.since_ms, "until": wanted.until_ms},
        )

    def _fate_sql(self, kind: str, first: int, last: int) -> str:
        files = self._archive.files(kind, self._archive.hours(kind, first, last))
        if not files:
            return ""
        if kind == BILL.name:
            columns = "bid_id, true AS won, false AS lost, '' AS loss_code, price_cpm, NULL::BIGINT AS minimum"
            return f"SELECT {columns} FROM {files_sql(files)} WHERE entry = 'bill'"  # noqa: S608 - as above
        columns = (
            "bid_id, event = 'win' AS won, event = 'loss' AS lost, coalesce(loss_code, '') AS loss_code, "
            "CASE WHEN event = 'win' THEN price_cpm END AS price_cpm, minimum_to_win_cpm AS minimum"
        )
        return f"SELECT {columns} FROM {files_sql(files)} WHERE event IN ('win', 'loss')"  # noqa: S608 - as above

    def _source(self, wanted: RequestFilter) -> str:
        hours = self._archive.hours(REQUEST.name, wanted.since_ms // HOUR_MS, wanted.until_ms // HOUR_MS + 1)
        files = self._archive.files(REQUEST.name, hours)
        return files_sql(files) if files else ""


def _where(wanted: RequestFilter) -> tuple[str, dict[str, Any]]:
    if wanted.since_ms >= wanted.until_ms:
        raise InputError("the time ends before it begins")
    terms = ["at_ms >= $since", "at_ms < $until", "sampled > 0"]
    parameters: dict[str, Any] = {"since": wanted.since_ms, "until": wanted.until_ms}
    if wanted.exchange_id:
        terms.append("exchange_id = $exchange")
        parameters["exchange"] = wanted.exchange_id
    if wanted.line_item_id:
        terms.append("list_contains(line_items, CAST($line_item AS UINTEGER))")
        parameters["line_item"] = wanted.line_item_id
    if wanted.line_items is not None:
        terms.append("list_has_any(line_items, CAST($line_items AS UINTEGER[]))")
        parameters["line_items"] = sorted(wanted.line_items)
    if wanted.record_id is not None:
        terms.append("record_id = CAST($record AS UBIGINT)")
        parameters["record"] = wanted.record_id
    if wanted.part < 1.0 or wanted.parts_before > 0.0:
        place = f"CASE WHEN person = 0 THEN record_id ELSE person END % {_PARTS}"
        terms.append(f"{place} >= {round(wanted.parts_before * _PARTS)} AND {place} < {round(wanted.part * _PARTS)}")
    return " AND ".join(terms), parameters


def _row(values: Sequence[Any]) -> RecordedRow:
    at_ms, exchange_id, sampled, catalogue, request, profile, bids, reason, person, record_id, conditions = values
    return RecordedRow(
        int(at_ms), int(exchange_id), float(sampled), int(catalogue), bytes(request), bytes(profile or b""),
        bytes(bids or b""), str(reason or ""), int(person or 0), int(record_id or 0), bytes(conditions or b""),
    )  # fmt: skip


def _take(fates: dict[int, BidFate], bid_id: int, is_bill: bool, values: Sequence[Any]) -> None:
    known = fates.get(bid_id, BidFate(bid_id, False, False, "", None, None))
    if is_bill:
        fates[bid_id] = known._replace(won=True, price_cpm=values[0])
        return
    event, loss_code, price, minimum = values
    minimum = minimum or known.minimum_to_win_cpm
    if event == "win":
        fates[bid_id] = known._replace(won=True, price_cpm=known.price_cpm or price, minimum_to_win_cpm=minimum)
    elif event == "loss":
        fates[bid_id] = known._replace(lost=True, loss_code=loss_code or "", minimum_to_win_cpm=minimum)
