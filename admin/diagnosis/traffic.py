"""The doctor's look at the exchanges: do bid requests arrive, and what becomes of them as a whole."""

import re
from collections.abc import Iterator

from admin.diagnosis.findings import Finding, fine, note, stop
from core.model import Exchange, Status
from core.reasons import NoBid

_LINE = re.compile(
    r'^(grosz_bid_requests_total|grosz_no_bids_total)\{exchange="([^"]*)",(?:outcome|reason)="([^"]*)"\} (\S+)$'
)

_REASONS = {reason.name.lower(): reason for reason in NoBid}

# Reasons that name nothing of the request: the line items' own findings explain them.
_OF_LINE_ITEMS = ("not_targeted", "nobody_bids")


class Traffic:
    """Requests by exchange since the bidders started, read from their metrics."""

    def __init__(self, metrics: str) -> None:
        self.outcomes: dict[str, dict[str, int]] = {}
        self.reasons: dict[str, dict[str, int]] = {}
        for line in metrics.splitlines():
            match = _LINE.match(line)
            if match is not None:
                table = self.outcomes if match[1] == "grosz_bid_requests_total" else self.reasons
                table.setdefault(match[2], {})[match[3]] = round(float(match[4]))

    def requests(self, exchange_key: str) -> int:
        return sum(self.outcomes.get(exchange_key, {}).values())


def check_exchanges(
    exchanges: tuple[Exchange, ...], traffic: Traffic | None, bid_url: str | None, offered_last_hour: int
) -> list[Finding]:
    """Findings by exchange. `offered_last_hour` counts impressions that bidders matched, whatever the exchange."""
    active = [exchange for exchange in exchanges if exchange.status is Status.ACTIVE]
    if not active:
        advice = "add one (`grosz exchange create`), or resume one"
        return [stop("exchanges", "no exchange is active, so every bid request is refused", advice)]
    where = ", ".join(f"{bid_url or ''}/openrtb2/{exchange.key}" for exchange in active)
    if traffic is None:
        if not offered_last_hour:
            return [_silence(where)]
        return [fine("exchanges", f"at least {offered_last_hour} impressions were offered in the last hour")]
    if not any(traffic.requests(exchange.key) for exchange in active):
        if offered_last_hour:  # the bidders were restarted
            return [note("exchanges", "no bid request has arrived since the bidders started", f"expected at {where}")]
        return [_silence(where)]
    return [finding for exchange in active for finding in _exchange(exchange.key, traffic)]


def _silence(where: str) -> Finding:
    return stop("exchanges", "no bid request has arrived", f"have an exchange send them to {where}")


def _exchange(key: str, traffic: Traffic) -> Iterator[Finding]:
    outcomes = traffic.outcomes.get(key, {})
    total = sum(outcomes.values())
    if not total:
        yield note("exchanges", f"{key}: no bid request since the bidders started")
        return
    parts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(outcomes.items()))
    yield fine("exchanges", f"{key}: {total} bid requests since the bidders started ({parts})")
    if outcomes.get("malformed", 0) == total:
        advice = "see grosz_malformed_requests_total for the rule that they break"
        yield stop("exchanges", f"{key}: every request is malformed", advice)
    reasons = traffic.reasons.get(key, {})
    top = max(reasons, key=lambda name: reasons[name], default="")
    if top not in _REASONS or top in _OF_LINE_ITEMS:
        return
    if not outcomes.get("bid", 0):
        text = f"{key}: no request got a bid, mostly ({reasons[top]}): {_REASONS[top].text}"
        yield stop("exchanges", text, _REASONS[top].hint)
    elif 2 * reasons[top] > total:
        text = f"{key}: {reasons[top]} of {total} requests got no bid: {_REASONS[top].text}"
        yield note("exchanges", text, _REASONS[top].hint)
