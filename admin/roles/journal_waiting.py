"""What has happened and cannot be in the journal's files yet: it bounds what reports call fresh.

Bills wait in Redis until the ledger's writer moves them to the store, and orders until the worker applies the event.
Both queues are streams, whose ids are the moments at which something came.
"""

from collections.abc import Iterable, Mapping

from core.keys import event_stream, money_ledger
from pacing.budgets.transitions import Transitions, stream_entries
from pacing.ledger.rows import is_row, stream_id_order
from segments.profiles.log import PARTITIONS

# Besides rows a ledger's stream has marks, one for each epoch: no stream has more of them in a row than this.
_MARKS = 20


async def oldest_event_ms(transitions: Transitions) -> int | None:
    """When the oldest shop event came that is not applied; None where none waits. Raises UnavailableError.

    Applied ones leave their stream in the same step in which the cursor passes them.
    """
    replies = await transitions.commands(
        [("XRANGE", event_stream(partition), "-", "+", "COUNT", 1) for partition in range(PARTITIONS)]
    )
    return _oldest(entry.id for reply in replies for entry in stream_entries(reply))


async def oldest_bill_ms(transitions: Transitions, taken: Mapping[int, str]) -> int | None:
    """When the oldest ledger row that follows those `taken` was booked (unix ms); None without one.

    `taken` has the id of the last row taken of each advertiser, "" before the first. Raises UnavailableError.
    """
    replies = await transitions.commands(
        [
            ("XRANGE", money_ledger(advertiser_id), f"({last}" if last else "-", "+", "COUNT", _MARKS)
            for advertiser_id, last in taken.items()
        ]
    )
    return _oldest(entry.id for reply in replies for entry in stream_entries(reply) if is_row(entry))


def _oldest(stream_ids: Iterable[str]) -> int | None:
    return min((stream_id_order(stream_id)[0] for stream_id in stream_ids), default=None)
