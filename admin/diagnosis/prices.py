"""The doctor's look at the prices that exchanges put into their notices: whether we can read them."""

import re
from collections.abc import Iterator
from typing import Final

from admin.diagnosis.findings import Finding
from admin.diagnosis.told import found
from core.model import Exchange, UnreadablePrice
from pacing.notices.price_forms import UNREADABLE

# One unfilled macro of a creative's preview is no news; one price in a hundred is money that will be argued about.
MOST_UNREADABLE_PERCENT: Final = 1

# Below this a single notice decides.
LEAST_NOTICES: Final = 20

_LINE: Final = re.compile(r'^grosz_notice_prices_total\{exchange="([^"]*)",form="([^"]*)"\} (\S+)$', re.MULTILINE)

# Forms that are left out: notices of these forms promise no price.
_NOT_COUNTED: Final = frozenset({"absent", "audit", "house"})

CAUSES: Final = {
    "macro": "the exchange does not fill the macro: is `price_macro` the one that it knows?",
    "undecryptable": "are `price_encryption`, `encryption_key` and `integrity_key` those of this account?",
    "malformed": "ask what it writes in place of the price macro",
    "unknown_currency": "add its currency to the rate table",
}


def check_prices(metrics: str | None, exchanges: tuple[Exchange, ...]) -> Iterator[Finding]:
    """Findings about the tracker's metrics, by exchange; none where there are no prices yet."""
    counted: dict[str, dict[str, int]] = {}
    for exchange, form, number in _LINE.findall(metrics or ""):
        if form not in _NOT_COUNTED:
            counted.setdefault(exchange, {})[form] = round(float(number))
    for exchange in exchanges:
        forms = counted.get(exchange.key, {})
        total = sum(forms.values())
        unreadable = {form.value: forms[form.value] for form in UNREADABLE if forms.get(form.value)}
        count = sum(unreadable.values())
        if total < LEAST_NOTICES:
            continue
        if 100 * count <= MOST_UNREADABLE_PERCENT * total:
            yield found("prices.readable", key=exchange.key, count=total - count, all=total)
            continue
        words = ", ".join(f"{number} {form.replace('_', ' ')}" for form, number in sorted(unreadable.items()))
        is_bid = exchange.unreadable_price is UnreadablePrice.BID
        most = max(unreadable, key=lambda form: unreadable[form])
        yield found(
            "prices.bid_charged" if is_bid else "prices.house_charged",
            key=exchange.key,
            percent=round(100 * count / total),
            all=total,
            words=words,
            hint=CAUSES[most],
        ).advised(f"prices.{most}")
