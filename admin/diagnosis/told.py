"""What the doctor can find: a stable code for each, how bad it is, and what is said of it, in one table.

A code is AREA.WORD; it never changes and is never given to something else, however the words beside it are written.
Pages choose links and translations by it (admin/console/cures.py).
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from admin.diagnosis.findings import Finding, Severity

_PART: Final = re.compile(r"\{\w+\}")
_WORD: Final = re.compile("[a-z]{2}")

_OK, _NOTE, _STOP = Severity.OK, Severity.NOTE, Severity.STOP
_DEAD_ROLE: Final = "see its log; `grosz up` starts a dead role again by itself"
_BOTH_READ: Final = "bidders read the one before as well"
_ALL_CHANGE: Final = "; rules mean something else in this release, and all audiences change at {moment}"
_KEEP_WORKER: Final = "keep a worker running; going back to the release before needs a backup"
_UNREADABLE: Final = "{key}: {percent} % of {all} prices in notices are unreadable ({words}), and each charges "


class Says(NamedTuple):
    """A finding in general. Text and advice have parts in braces, which each finding fills in."""

    severity: Severity
    text: str
    advice: str = ""


TOLD: Final[Mapping[str, Says]] = {
    "installation.none": Says(_STOP, "{fault}", "{hint}"),
    "processes.unknown": Says(
        _NOTE, "not looked at: their addresses are known only on a machine of `grosz up`"),
    "processes.no_admin": Says(_STOP, "{fault}", "start the admin role; then see what it says"),
    "processes.none_answers": Says(
        _STOP, "no role answers ({words})", "start `grosz up`, or see its log if it should be running"),
    "processes.silent": Says(_STOP, "the {role} does not answer at {url}: {effect}", f"start it; {_DEAD_ROLE}"),
    "processes.not_ready": Says(_STOP, "the {role} cannot serve ({fault})", _DEAD_ROLE),
    "processes.ready": Says(_OK, "the {role} answers at {url}"),
    "redis.disk_full": Says(_STOP, "Redis cannot write to its disk: {reason}", "make room there; it goes on by itself"),
    "redis.silent": Says(
        _STOP, "Redis does not answer: {reason}",
        "start it; bidders go on with the leases they have, then stop bidding"),
    "redis.answers": Says(_OK, "Redis answers"),
    "redis.untold": Says(_NOTE, "its memory and disk cannot be asked for"),
    "redis.memory_full": Says(_STOP, "its memory is full ({size}, {percent} % of maxmemory)", "raise maxmemory"),
    "redis.memory_high": Says(_NOTE, "its memory is nearly full ({size}, {percent} % of maxmemory)", "raise maxmemory"),
    "redis.memory": Says(_OK, "Redis answers and uses {size}"),
    "redis.evicts": Says(_NOTE, "it may evict budget counters ({word})", "set maxmemory-policy noeviction"),
    "redis.write_failed": Says(_STOP, "it cannot write to its disk ({words})", "free space, then see its log"),
    "redis.durable": Says(_OK, "it keeps every write across a restart (append-only file)"),
    "redis.not_durable": Says(
        _NOTE, "a restart loses what was written since its last snapshot", "set appendonly yes, as docs/money.md says"),
    "database.silent": Says(_STOP, "the database does not answer: {reason}", "{hint}"),
    "database.schema": Says(
        _STOP, "its schema is {word}, this installation needs {other}",
        "run `grosz migrate`, or restart the admin role"),
    "database.answers": Says(_OK, "the database answers, schema {word}"),
    "exchange_rates.old": Says(
        _NOTE, "the exchange rates are of {day} ({source}): {count} days old",
        "set admin.fx_source to 'ecb', or run `grosz fx refresh` each working day"),
    "exchange_rates.current": Says(_OK, "the exchange rates are of {day} ({source})"),
    "catalogue.unreadable": Says(_STOP, "{fault}", "{hint}"),
    "catalogue.none": Says(_STOP, "no catalogue is published", "start the admin role"),
    "catalogue.unpublished": Says(
        _STOP, "the last change (version {version}) is not published, bidders can have version {count}",
        "wait a second; if it stays, see the admin role's log"),
    "catalogue.expired": Says(
        _STOP, "the catalogue is stale: no admin role for {seconds} s, so bidders have stopped bidding",
        "start the admin role"),
    "catalogue.stale": Says(
        _STOP, "the catalogue is stale: no admin role for {seconds} s; bidders stop after {duration}",
        "start the admin role"),
    "catalogue.current": Says(_OK, "version {version} is published and current"),
    "bidders.silent": Says(_STOP, "no bidder has reported for {seconds} s", "start the bidder role"),
    "bidders.refuse": Says(
        _STOP, "{processes} cannot install version {version} ({reason}): no change is effective, and bidding on "
        "version {count} stops {duration} after the refusal",
        "undo the last changes (the change log has them), or run admin and bidders of one release"),
    "bidders.behind": Says(
        _STOP, "{processes} run an older catalogue than version {version}",
        "wait a second; if it stays, see the bidder's log"),
    "bidders.one_current": Says(_OK, "1 bidder process runs version {version}"),
    "bidders.current": Says(_OK, "{count} bidder processes run version {version}"),
    "products.unreadable": Says(_NOTE, "cannot be looked at: {fault}", "{hint}"),
    "products.no_feed": Says(_NOTE, "no product feed is set up", "see docs/feeds.md; ads then show no products"),
    "products.loaded": Says(_OK, "{count} feeds with {all} products"),
    "products.feed_awaited": Says(_NOTE, "feed {id} was never loaded", "the worker loads it within seconds"),
    "products.feed_unsent": Says(_NOTE, "feed {id} was never loaded", "upload it, or give it an address"),
    "products.feed_failed": Says(_NOTE, "feed {id}: {fault}; {all} products stay", "see `grosz feed report {id}`"),
    "products.feed_old": Says(
        _NOTE, "feed {id} was loaded {count} hours ago", "is the worker role up, is the feed paused?"),
    "products.ids_unknown": Says(
        _NOTE, "advertiser {id}: {share} of the ids of {word} are in its feeds",
        "such as {words}; see `grosz products match {id}`"),
    "exchanges.none_active": Says(
        _STOP, "no exchange is active, so every bid request is refused",
        "add one (`grosz exchange create`), or resume one"),
    "exchanges.no_request": Says(_STOP, "no bid request has arrived", "have an exchange send them to {where}"),
    "exchanges.no_request_yet": Says(
        _NOTE, "no bid request has arrived since the bidders started", "expected at {where}"),
    "exchanges.offered": Says(_OK, "at least {count} impressions were offered in the last hour"),
    "exchanges.silent": Says(_NOTE, "{key}: no bid request since the bidders started"),
    "exchanges.requests": Says(_OK, "{key}: {count} bid requests since the bidders started ({words})"),
    "exchanges.malformed": Says(
        _STOP, "{key}: every request is malformed", "see grosz_malformed_requests_total for the rule that they break"),
    "exchanges.no_bid": Says(_STOP, "{key}: no request got a bid, mostly ({count}): {reason}", "{hint}"),
    "exchanges.few_bids": Says(_NOTE, "{key}: {count} of {all} requests got no bid: {reason}", "{hint}"),
    "profiles.unreadable": Says(_NOTE, "how far they are rewritten cannot be asked for: {fault}"),
    "profiles.rewritten": Says(
        _NOTE, f"they are rewritten in hot layout {{count}}: {{progress}}; {_BOTH_READ}", _KEEP_WORKER),
    "profiles.rewritten_and_ruled": Says(
        _NOTE, f"they are rewritten in hot layout {{count}}: {{progress}}; {_BOTH_READ}{_ALL_CHANGE}", _KEEP_WORKER),
    "profiles.to_be_rewritten": Says(
        _NOTE, f"they are to be rewritten in hot layout {{count}}; {_BOTH_READ}", _KEEP_WORKER),
    "profiles.ruled": Says(_NOTE, "changed segment rules are brought to them: {progress}"),
    "profiles.all_ruled": Says(_NOTE, f"changed segment rules are brought to them: {{progress}}{_ALL_CHANGE}"),
    "profiles.current": Says(_OK, "all are in hot layout {count} and have seen the present segment rules"),
    "journal.none": Says(
        _NOTE, "no journal is kept, so there are no reports", "set journal.directory for all roles"),
    "journal.late": Says(
        _NOTE, "what happened in the last {count} s is not stored yet; {more} passes failed",
        "see the worker's log for `the journal is not stored`: is its disk full?"),
    "journal.stored": Says(_OK, "everything up to {count} s ago is stored"),
    "journal.mirror_late": Says(
        _NOTE, "the mirror of the journal is {seconds} s behind its folder; {count} attempts failed",
        "see the worker's log for `the journal is not mirrored`: it says why"),
    "journal.mirrored": Says(_OK, "its mirror has everything up to {seconds} s ago"),
    "prices.bid_charged": Says(_NOTE, f"{_UNREADABLE}the bid", "{hint}"),
    "prices.house_charged": Says(_NOTE, f"{_UNREADABLE}what the house rule says", "{hint}"),
    "prices.readable": Says(_OK, "{key}: {count} of {all} prices in notices are readable"),
    "line_items.none_active": Says(
        _STOP, "no line item is active ({count} are paused)",
        "create one (`grosz line-item create`), or resume one with its campaign and advertiser"),
    "line_items.paused": Says(_NOTE, "{count} line items are paused"),
    "line_items.more": Says(_NOTE, "{count} more deliver nothing now"),
    "line_items.none_delivers": Says(
        _STOP, "none of {all} active line items can deliver; the first is {first}", "{hint}"),
    "line_items.deliver": Says(_OK, "{count} of {all} active line items have nothing that stops them"),
    "line_item.hours": Says(
        _STOP, "now ({hour} in {zone}) is outside its hours of the week", "wait, or widen the hours"),
    "audience.empty": Says(
        _STOP, "nobody is in its audience now: {words}",
        "people come and leave, as buyers do; if nobody comes, check that the shop's tag sends events, and the "
        "segment's rule; `grosz segment show` has it"),
    "audience.counted": Says(_OK, "{words}"),
    "budget.not_entered": Says(
        _STOP, "its budgets are not in Redis, so no bidder gets money for it",
        "wait a second; if it stays, start the worker role"),
    "budget.spent": Says(
        _STOP, "nothing is left to spend: {what}",
        "raise it; a daily budget begins again at the advertiser's midnight"),
    "budget.part_spent": Says(_NOTE, "nothing is left of a part: {what}", "raise the budget or its share"),
    "budget.bid_too_low": Says(
        _NOTE, "at this bid about {share} of its daily budget can be spent: pacing does not hold it back",
        "raise the bid or the maximum CPM, or widen the targeting"),
    "budget.left": Says(_OK, "{what}"),
    "budget.unlimited": Says(_OK, "no budget limits it"),
    "creatives.active": Says(_OK, "active creatives in {sizes}"),
    "last_hour.nothing_offered": Says(
        _NOTE, "no impression was offered to it in the last hour, or since it began",
        "see the findings about exchanges"),
    "last_hour.too_few": Says(
        _NOTE, "no bid yet on {count} impressions, too few to say why", "ask again after {least}"),
    "last_hour.none_won": Says(
        _NOTE, "{bids} bids for {impressions} impressions, none reported as won ({losses})",
        "raise the bid where it loses to higher ones; check with the exchange that notices reach the tracker"),
    "last_hour.outranked": Says(
        _NOTE, "no bid on {count} impressions: where it fits, another of our line items pays more",
        "raise the bid to win these from one's own other line items"),
    "last_hour.none_in_audience": Says(
        _NOTE, "no bid: none of {count} impressions was for somebody in its audience",
        "wait for these people, or widen the segments"),
    "last_hour.no_bid": Says(_STOP, "no bid: on {count} of {all} impressions {reason}", "{hint}"),
    "last_hour.no_size": Says(
        _STOP, "no bid: on {count} of {all} impressions no creative fits the offered size (there is {own})",
        "add creatives in the sizes that `grosz explain` shows; most common are {sizes}"),
    "last_hour.delivered": Says(
        _OK, "{count} impressions offered, {bids} bids, {wins} wins, {impressions} impressions, {clicks} clicks, "
        "{spent} {currency} spent"),
}  # fmt: skip


TEXTS: Final = tuple(
    text
    for text in dict.fromkeys(text for told in TOLD.values() for text in (told.text, told.advice))
    if _WORD.search(_PART.sub("", text))
)
"""What is said of findings, each text once; those that have words besides their parts."""


def found(code: str, line_item_id: int | None = None, /, **parts: str | int) -> Finding:
    """A finding of TOLD with its parts; the advice is its own (otherwise see `Finding.advised`)."""
    told = TOLD[code]
    text, advice = told.text.format_map(parts), told.advice.format_map(parts)
    area = code.partition(".")[0].replace("_", " ")
    return Finding(code, area, told.severity, text, advice, code, parts, line_item_id)
