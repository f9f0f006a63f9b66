"""The doctor's look at the exchanges: do bid requests arrive, and what becomes of them as a whole."""

import re
from collections.abc import Iterator

from admin.diagnosis.findings import Finding
from admin.diagnosis.told import found
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
        return [found("exchanges.none_active")]
    where = ", ".join(f"{bid_url or ''}/openrtb2/{exchange.key}" for exchange in active)
    if traffic is None:
        if not offered_last_hour:
            return [found("exchanges.no_request", where=where)]
        return [found("exchanges.offered", count=offered_last_hour)]
    if not any(traffic.requests(exchange.key) for exchange in active):
        if offered_last_hour:  # the bidders were restarted
            return [found("exchanges.no_request_yet", where=where)]
        return [found("exchanges.no_request", where=where)]
    return [finding for exchange in active for finding in _exchange(exchange.key, traffic)]


def _exchange(key: str, traffic: Traffic) -> Iterator[Finding]:
    outcomes = traffic.outcomes.get(key, {})
    total = sum(outcomes.values())
    if not total:
        yield found("exchanges.silent", key=key)
        return
    words = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(outcomes.items()))
    yield found("exchanges.requests", key=key, count=total, words=words)
    if outcomes.get("malformed", 0) == total:
        yield found("exchanges.malformed", key=key)
    reasons = traffic.reasons.get(key, {})
    top = max(reasons, key=lambda name: reasons[name], default="")
    if top not in _REASONS or top in _OF_LINE_ITEMS:
        return
    has_bid = outcomes.get("bid", 0) > 0
    if has_bid and 2 * reasons[top] <= total:
        return
    code, said = "exchanges.few_bids" if has_bid else "exchanges.no_bid", _REASONS[top]
    finding = found(code, key=key, count=reasons[top], all=total, reason=said.text, hint=said.hint)
    yield finding.advised(f"reason.{top}")
