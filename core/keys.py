"""Every Redis key, in this module and core/product_keys.py: docs/redis-keys.md is generated from the docstrings.

A docstring says: type; TTL; writer; reader; footprint. Braces in a key are Redis Cluster hash tags: all keys of one
user lie in one slot, so does all money of one advertiser.
"""

from typing import Final

# Profiles and events (segments/) ---------------------------------------------------------------------------------


def user_profile(user_id: str) -> str:
    """Hash: hot field an advertiser (its id), `i` impression ring, `o` lost bids, `m` meta.

    TTL: longest retention of its advertisers; writer: worker (ring: tracker); reader: bidder; about 0.3 KiB a field.
    """
    return f"u:{{{user_id}}}"


def user_facts(user_id: str) -> str:
    """Hash: cold field an advertiser, `l` last event. TTL: as `user_profile`; writer, reader: worker; 0.5 KiB each."""
    return f"f:{{{user_id}}}"


def user_aliases(user_id: str) -> str:
    """Hash: what points to the user: `x<exchange id>` its user id there, `c<advertiser id>` a first-party id's digest.

    TTL: cookie lifetime, renewed by each sync; writer: tracker; reader: tracker, CLI; about 0.2 KiB.
    """
    return f"al:{{{user_id}}}"


def exchange_user(exchange_id: int, exchange_user_id: str) -> str:
    """String: our user id of an exchange's user id, `:claims:day` behind it once another browser claimed it too.

    `nobody:day` for an id that too many browsers claimed on that day.

    TTL: cookie lifetime, renewed by each sync; writer: tracker; reader: bidder; about 0.1 KiB.
    """
    return f"x:{exchange_id}:{exchange_user_id}"


def client_user(advertiser_id: int, digest: str) -> str:
    """String: our user id of a first-party id that one shop's pages keep (its digest).

    TTL: an hour, then cookie lifetime from the last contact; writer, reader: tracker; about 0.1 KiB.
    """
    return f"c:{advertiser_id}:{digest}"


def person(advertiser_id: int, digest: str) -> str:
    """Set: user ids of one person's devices at one advertiser.

    TTL: as `user_profile`; writer: worker; reader: worker, event import; about 0.1 KiB a device.
    """
    return f"pn:{advertiser_id}:{digest}"


def event_stream(partition: int) -> str:
    """Stream: events acknowledged but not yet applied.

    TTL: none, trimmed by the worker behind its cursor; writer: tracker; reader: worker; about 0.3 KiB an event.
    """
    return f"ev:{{{partition}}}"


def event_owner(partition: int) -> str:
    """String: the partition's worker and its fencing token. TTL: seconds (a lease); writer, reader: worker; 0.1 KiB."""
    return f"ev:{{{partition}}}:owner"


def event_fence(partition: int) -> str:
    """Integer: the last fencing token given out. TTL: none; writer, reader: worker; 0.1 KiB."""
    return f"ev:{{{partition}}}:fence"


def event_cursor(partition: int) -> str:
    """String: stream id of the last event that is applied. TTL: none; writer, reader: worker; 0.1 KiB."""
    return f"ev:{{{partition}}}:cursor"


def event_dead(partition: int) -> str:
    """Stream: events that could not be decoded or applied, bounded. Kept: 30 days; writer: worker; reader: operator."""
    return f"ev:{{{partition}}}:dead"


EVENT_WORKERS: Final = "ev:workers"
"""Sorted set: live workers (member) by when they count as dead (unix ms). Writer, reader: worker."""


def due_entries(partition: int) -> str:
    """Sorted set: memberships that begin later and have a hook (member), by their time in unix seconds (score).

    TTL: none, removed when due; writer, reader: worker; about 0.1 KiB a membership.
    """
    return f"ev:{{{partition}}}:due"


def segment_members(segment_id: int, level: int, edge: str) -> str:
    """Sorted set: sampled members (user id) by when they `enter` or `leave` (unix seconds).

    TTL: retention; writer: worker; reader: admin; bounded by the sample
    (segments/audiences/sizes.py), about 0.1 KiB a member.
    """
    return f"sg:{{{segment_id}}}:{level}:{edge}"


def segment_sample(segment_id: int) -> str:
    """Integer: lowest level that the segment's sample still keeps. TTL: retention; writer: worker; reader: admin."""
    return f"sg:{{{segment_id}}}:floor"


SEGMENT_SWEEP: Final = "sg:{sweep}:progress"
"""Hash: the background pass that brings changed rules to existing profiles, and the rules all profiles have seen.

TTL: none; writer: the worker that holds SEGMENT_SWEEP_OWNER; reader: admin, CLI; about 20 bytes an advertiser.
"""

SEGMENT_SWEEP_OWNER: Final = "sg:{sweep}:owner"
"""String: the worker that runs the background pass. TTL: seconds (the lease); writer, reader: worker; 0.1 KiB."""


def tag_health(advertiser_id: int) -> str:
    """Hash: counts by event name (200 at most, and the rest together) and day, last time by event name.

    TTL: 10 days after the last event; writer: worker; reader: admin; about 3 KiB an advertiser.
    """
    return f"tag:{advertiser_id}"


def tag_members(advertiser_id: int) -> str:
    """Hash: member of an event -> when, and how it was last written wrongly.

    TTL: 9 days after the last note; writers: tracker, file imports; reader: admin; at most 2 KiB an advertiser.
    """
    return f"tag:{advertiser_id}:members"


def tag_dropped(advertiser_id: int, day: str) -> str:
    """Hash: how many events of a UTC day (`20261201`) were not stored, by why: `unsaid` or `refused`.

    TTL: 3 days after the last one; writers: tracker, file imports; reader: admin; 0.1 KiB an advertiser and day.
    """
    return f"tag:{advertiser_id}:dropped:{day}"


def tag_events(advertiser_id: int) -> str:
    """List: what its tags sent last, packed, without whose it was; the newest first, twenty at most.

    TTL: a day after the last event; writer: worker; reader: admin; about 1 KiB an advertiser.
    """
    return f"tag:{advertiser_id}:last"


def sync_counts(exchange_id: int) -> str:
    """Hash: sync calls by browser, outcome and day. TTL: 35 days; writer: tracker; reader: admin; about 5 KiB."""
    return f"sync:{exchange_id}"


WEBHOOK_QUEUE: Final = "hooks:{hooks}:queue"
"""Sorted set: deliveries that are due (member: id), by their time in unix ms. Writer, reader: worker."""

WEBHOOK_BODIES: Final = "hooks:{hooks}:bodies"
"""Hash: delivery id -> packed delivery, while it is queued or dead. Writer, reader: worker; about 0.5 KiB each."""

WEBHOOK_DEAD: Final = "hooks:{hooks}:dead"
"""Stream: deliveries given up, bounded. Kept: 30 days; writer: worker; reader: operator."""

WEBHOOK_MAILED: Final = "hooks:{hooks}:mailed"
"""Set: segments of which visitors wait to be counted in a mail. TTL: none; writer: worker; reader: admin."""


def webhook_mail(segment_id: int) -> str:
    """Set: deliveries (ids) that the next mail counts. Kept: until then; writer: worker; reader: admin; 0.1 KiB."""
    return f"hooks:{{hooks}}:mail:{segment_id}"


def rosters(advertiser_id: int) -> str:
    """Hash: customer list -> its state as JSON, `:next` -> number of the next one, `:pending` -> one being written.

    TTL: none; writers: admin, CLI; readers: worker, admin, CLI; about 0.2 KiB a list.
    """
    return f"ro:{advertiser_id}"


def roster_entries(advertiser_id: int, number: int, bucket: int) -> str:
    """Hash: digest of an e-mail, phone or customer id (16 bytes) -> since and until when it is listed.

    TTL: when the last entry ends; writers: admin, CLI, erasures; reader: worker; about 35 bytes an entry.
    """
    return f"ro:{advertiser_id}:{number}:{bucket}"


def roster_lock(advertiser_id: int) -> str:
    """String: the process that imports a list now. TTL: a minute, renewed; writers, readers: admin, CLI; 0.1 KiB."""
    return f"ro:{advertiser_id}:lock"


ROSTER_NEWS: Final = "ro:{news}"
"""Sorted set: devices that are to hear of a customer list (packed), by when they may (unix ms).

TTL: none, removed when told; writers: admin, CLI; reader: worker; about 0.1 KiB each, while they wait.
"""

JOURNAL_ERASURES: Final = "journal:erasures"
"""Sorted set: pseudonyms whose rows in the journal are to be erased, by when their user was erased (unix ms).

TTL: none, removed by the worker after the last of their notices may have come; writer: tracker, admin, CLI; reader:
worker; about 0.1 KiB each, one for each 30 days that rows are kept.
"""

USER_AUDIT: Final = "audit:users"
"""Stream: opt-outs, erasures and exports of users, without their profile. Writer: tracker, CLI; reader: admin."""

# Money (pacing/): all of one advertiser in one slot; the protocol is docs/money.md --------------------------------


def money_levels(advertiser_id: int) -> str:
    """Hash: budget level -> ten packed int64 (budget, spent, exposure, free, over budget; micros, then impressions).

    TTL: none; writer: money scripts; reader: worker, admin; about 0.13 KiB a level, six levels a line item.
    """
    return f"{{a:{advertiser_id}}}:levels"


def money_meta(advertiser_id: int) -> str:
    """Hash: epoch, lease counter, recall counter, the day, when it ends, first day whose levels are kept.

    TTL: none, its absence means that the counters are lost; writer, reader: money scripts; 0.2 KiB.
    """
    return f"{{a:{advertiser_id}}}:meta"


def money_pools(advertiser_id: int) -> str:
    """Hash: `line item.share` that may lease -> packed campaign and daily limits.

    TTL: none; writer: worker; reader: money scripts; about 0.1 KiB a pool.
    """
    return f"{{a:{advertiser_id}}}:pools"


def money_leases(advertiser_id: int) -> str:
    """Hash: lease id -> packed amounts, closing time, pool and process.

    TTL: none, deleted at closing; writer: money scripts; reader: worker; about 0.2 KiB a lease.
    """
    return f"{{a:{advertiser_id}}}:leases"


def money_closing(advertiser_id: int) -> str:
    """Sorted set: sealed leases by closing time (unix ms). TTL: none; writer, reader: money scripts; 0.1 KiB each."""
    return f"{{a:{advertiser_id}}}:closing"


def money_processes(advertiser_id: int) -> str:
    """Hash: bidder process -> its last heartbeat (unix ms). TTL: none; writer, reader: money scripts; 0.1 KiB each."""
    return f"{{a:{advertiser_id}}}:processes"


def money_hungry(advertiser_id: int) -> str:
    """Hash: budget level -> when a lease under it was last refused while others held some (unix ms), and to whom.

    TTL: 6 s; writer, reader: money scripts; 0.1 KiB a level.
    """
    return f"{{a:{advertiser_id}}}:hungry"


def money_notices(advertiser_id: int, bucket: int) -> str:
    """Hash: notice key (18 bytes) -> what became of the bid, `c` and notice key -> clicked, `i` and notice key -> when
    it was first shown (unix ms), for bids of ten minutes.

    TTL: as long as its tokens are accepted; writer, reader: money scripts; about 0.1 KiB a notified bid.
    """
    return f"{{a:{advertiser_id}}}:n:{bucket}"


def money_corrections(advertiser_id: int) -> str:
    """Hash: keys of the corrections that were booked. TTL: none; writer: CLI, worker; few."""
    return f"{{a:{advertiser_id}}}:corrections"


def money_ledger(advertiser_id: int) -> str:
    """Stream: ledger rows that are settled but not yet in the store.

    TTL: none, trimmed by the worker behind the store; writer: settlement script; reader: worker; about 0.2 KiB a row.
    """
    return f"{{a:{advertiser_id}}}:ledger"


PACING_MULTIPLIERS: Final = "pacing:{pacing}:multipliers"
"""String: packed array of (line item, share, multiplier).

TTL: none, the last one holds while no worker runs; writer: worker, each second; reader: bidder; 16 bytes a pool.
"""

PACING_DEMAND: Final = "pacing:{pacing}:demand"
"""Hash: bidder process -> packed totals of what each pool has scored and reserved.

TTL: none, fields of dead processes are removed by the worker; writer: bidder, each second; reader: worker; 32 bytes a
pool that has been scored.
"""

PACING_STATE: Final = "pacing:{pacing}:state"
"""Hash: advertiser -> the controllers' memory, `week` -> the learned week (`traffic`: that of version 1, in UTC).

TTL: none, a restarted worker goes on from it; writer: worker, each 5 s; reader: worker; about 30 bytes a budget,
18 KiB for the week.
"""

PACING_TARGETS: Final = "pacing:{pacing}:targets"
"""String: packed states of the line items with a target cost or return: stopped or not, by which cost.

TTL: none; writer: worker, each minute and when one is stopped; reader: admin; about 40 bytes such a line item.
"""

PACING_RESUMED: Final = "pacing:{pacing}:resumed"
"""Hash: line item that its target had stopped -> unix ms at which somebody resumed it.

TTL: none, the worker removes a field when it goes on with the line item; writer: admin; reader: worker; few.
"""

PACING_OWNER: Final = "pacing:{pacing}:owner"
"""String: the worker that paces; others stand by. TTL: seconds (the lease); writer, reader: worker; 0.1 KiB."""

LANDSCAPE_NEWS: Final = "landscape:{landscape}:news"
"""List: packed counts of what became of bids at first price, until the worker has added them up.

TTL: none, the newest 10,000; writer: bidder, tracker, each 5 s; reader: worker; about 0.3 KiB a block.
"""

LANDSCAPE_STATE: Final = "landscape:{landscape}:state"
"""Hash: exchange, currency and size -> packed counts that fade by half in a day.

TTL: none, at most 2,000 fields; writer: worker, each 5 s; reader: worker; 9 KiB a field.
"""

LANDSCAPE_STEPS: Final = "landscape:{landscape}:steps"
"""String: what part of its value to bid at first price, by exchange, currency, size and value.

TTL: none, the last one holds while no worker runs; writer: worker, each 5 s; reader: bidder; 0.2 KiB a cell.
"""

LANDSCAPE_OWNER: Final = "landscape:{landscape}:owner"
"""String: the worker that keeps the landscape. TTL: seconds (the lease); writer, reader: worker; 0.1 KiB."""

# Catalogue (admin/, bidder/): one slot, so that version, changes and snapshot change together ----------------------

CATALOGUE_SNAPSHOT: Final = "catalogue:{catalogue}:snapshot"
"""String: a whole catalogue (core.catalogue.codec), possibly older than the version in force: CATALOGUE_CHANGES
leads on.

Writer: admin; readers: all roles, when they start; 1 MiB for 10,000 line items.
"""

CATALOGUE_VERSION: Final = "catalogue:{catalogue}:version"
"""Integer: the version in force, only ever raised. Writer: admin; reader: all roles, a few times a second."""

CATALOGUE_ALIVE: Final = "catalogue:{catalogue}:alive"
"""Integer: when a publisher last found the version current (unix ms). Writer: admin, each second; reader: bidder."""

CATALOGUE_EFFECTIVE: Final = "catalogue:{catalogue}:effective"
"""Hash: bidder process -> `version unix_ms` it runs, and what it cannot install (core.catalogue.version_report).

Renewed twice a second. Writer: bidder, which removes its own at its end; admin removes what is an hour old. Reader:
admin.
"""

CATALOGUE_CHANGES: Final = "catalogue:{catalogue}:changes"
"""Stream: what leads from one version to the next, as entry `<version>-0` with the version it begins at (`since`) and
a core.catalogue.codec.Change (`change`).

TTL: none, trimmed by admin behind the snapshot before the last; writer: admin; reader: all roles; about 1 KiB a change.
"""

# Supply (admin/, bidder/): one slot, so that table and version change together -------------------------------------

SUPPLY_TABLE: Final = "supply:{supply}:table"
"""String: which sellers the ads.txt, app-ads.txt and sellers.json files name that were read (core.supply).

TTL: none; writers: admin, CLI; readers: bidder, admin, CLI; 8 bytes a line of a file.
"""

SUPPLY_VERSION: Final = "supply:{supply}:version"
"""Integer: counts the changes of SUPPLY_TABLE. Writers: admin, CLI; reader: bidder, each 5 s."""

# Funnel (bidder/) ------------------------------------------------------------------------------------------------


def funnel_block(length_s: int, bucket: int, process: str) -> str:
    """String: a process's counts by line item and reason in one bucket of `length_s` seconds, packed.

    TTL: 2 h for five minutes, 26 h for hours; writer: bidder, each 5 s; reader: admin; about 40 bytes a line item.
    """
    return f"funnel:{length_s}:{bucket}:{process}"


def funnel_processes(length_s: int, bucket: int) -> str:
    """Set: the processes that wrote a block of this bucket.

    TTL and writer as the blocks'; reader: admin, so that it need not scan the key space.
    """
    return f"funnel:{length_s}:{bucket}:processes"


def delivery_block(length_s: int, bucket: int, process: str) -> str:
    """String: a tracker process's wins, losses, impressions, clicks and spend by line item in one bucket, packed.

    TTL: as `funnel_block`; writer: tracker, each 5 s; reader: admin; about 60 bytes a line item that had any.
    """
    return f"deliv:{length_s}:{bucket}:{process}"


def delivery_processes(length_s: int, bucket: int) -> str:
    """Set: the tracker processes that wrote a block of this bucket. TTL and writer as the blocks'; reader: admin."""
    return f"deliv:{length_s}:{bucket}:processes"


def user_touches(user_id: str) -> str:
    """List: the user's last billed impressions and clicks, packed, the newest last.

    TTL: longest attribution window, renewed; writer: tracker; reader: worker; at most 64 x 37 bytes.
    """
    return f"at:{{{user_id}}}"


def delivery(advertiser_id: int, day: int) -> str:
    """Hash: `line item:what` -> count of clicks, seen impressions, signals and conversions of bids made that day.

    TTL: 400 days; writer: tracker, worker; reader: admin; about 0.3 KiB a line item, 0.6 of video.
    """
    return f"{{a:{advertiser_id}}}:delivery:{day}"


TAIL_WATCHES: Final = "tail:{tail}:watches"
"""Hash: a watcher of auctions -> what it wants to see and until when, as JSON (bidder.door.tail).

TTL: half a minute, renewed while somebody tails; writer: admin, CLI; reader: bidder, each second; 0.1 KiB each.
"""

TAIL_AUCTIONS: Final = "tail:{tail}:auctions"
"""Stream: summaries of auctions as JSON, the newest thousand or so.

TTL: half a minute; writer: bidder, while somebody tails; reader: admin, CLI; about 0.5 KiB each.
"""


def clicks_of_browsers(advertiser_id: int, day: int) -> str:
    """Hash: digest of a user id -> clicks on ads of the advertiser on a day since 1970, UTC.

    TTL: two days; writer, reader: click script; about 50 bytes a browser that clicked.
    """
    return f"{{a:{advertiser_id}}}:browsers:{day}"


def money_journal(advertiser_id: int) -> str:
    """Stream: clicks and orders that were counted and are not yet in the journal's Parquet files.

    TTL: none, trimmed by the worker behind the files; writer: click and convert scripts; reader: worker; about 0.3 KiB
    a row.
    """
    return f"{{a:{advertiser_id}}}:journal"


def order(advertiser_id: int, digest: str) -> str:
    """String: an order that was counted. TTL: 90 days; writer, reader: worker; about 0.1 KiB."""
    return f"{{a:{advertiser_id}}}:order:{digest}"
