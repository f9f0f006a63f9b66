"""Why a bidder did not bid, by its own counters: an answer of 204 carries no reason, the metrics page does.

Two readings are subtracted, so traffic of others in between is counted too; on a bidder of one's own there is none.
"""

import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter

# Seconds to wait for the processes: each notes its counts once a second, and the one that is asked adds the notes up.
SETTLE_S = 1.5
TIMEOUT_S = 5.0

_LINE = re.compile(r'^grosz_no_bids_total\{exchange="([^"]*)",reason="([^"]*)"\} ([0-9.e+]+)$', re.MULTILINE)


def counted_reasons(bid_url: str, metrics_url: str = "") -> Counter[str] | None:
    """No-bids by reason since the bidder's start, for the exchange of a bid URL; None where metrics are not shown.

    The metrics are at `metrics_url`, or at the bid port itself where that is empty.
    """
    parts = urllib.parse.urlsplit(bid_url)
    exchange = parts.path.rsplit("/", 1)[-1]
    page = f"{metrics_url or f'{parts.scheme}://{parts.netloc}'}/metrics"
    try:
        with urllib.request.urlopen(page, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the scheme was checked before
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None
    found: Counter[str] = Counter()
    for name, reason, count in _LINE.findall(text):
        if name == exchange:
            found[reason] += int(float(count))
    return found


def reasons_since(before: Counter[str] | None, bid_url: str, metrics_url: str = "") -> Counter[str] | None:
    """No-bids by reason since `before`. Waits until the bidder's processes have noted their counts."""
    if before is None:
        return None
    time.sleep(SETTLE_S)
    after = counted_reasons(bid_url, metrics_url)
    return None if after is None else after - before
