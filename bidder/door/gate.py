"""Who may send bid requests for an exchange, and how many: only exchanges that say so have a gate.

A cap is counted in whole seconds of one process: what is above is refused before it is read, so that an exchange that
sends ten times what was agreed takes nobody else's time.
"""

import hmac

from bidder.dialects.table import speaker_of
from bidder.door.port import Sender
from core.model import Exchange, RefusalStyle
from core.network.proxies import Proxies
from core.reasons import NoBid

Refusal = tuple[NoBid, int, bytes]
"""The reason, and status and text of the answer."""


class ExchangeGate:
    """The gate of one exchange: its credentials, its networks, its cap."""

    __slots__ = ("_cap", "_count", "_header", "_networks", "_over", "_second", "_secret", "_token", "exchange")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._token = b"Bearer " + exchange.bearer_token.encode() if exchange.bearer_token else b""
        self._header = exchange.secret_header.lower().encode()
        self._secret = exchange.header_secret.encode()
        self._networks = Proxies(exchange.networks) if exchange.networks else None
        self._cap = exchange.requests_per_second
        style = speaker_of(exchange).dialect.over_cap
        self._over = 429 if style is RefusalStyle.TOO_MANY else 204
        self._second = -1
        self._count = 0

    def refusal(self, sender: Sender, now: float) -> Refusal | None:
        """Why a request is not taken, None where it is; it counts for the cap. `now` is in monotonic seconds."""
        if self._token and not hmac.compare_digest(sender.authorization, self._token):
            text = b"the exchange has a bearer token: send Authorization: Bearer ...\n"
            return NoBid.EXCHANGE_ACCESS, 401, text
        if self._header and not hmac.compare_digest(sender.fields.get(self._header, b""), self._secret):
            return NoBid.EXCHANGE_ACCESS, 401, b"the exchange has a secret header, which is missing or wrong\n"
        if self._networks is not None and not self._networks.trusts(sender.address):
            return NoBid.EXCHANGE_ACCESS, 403, b"the exchange sends from other networks: see its `networks`\n"
        if self._cap:
            second = int(now)
            if second != self._second:
                self._second, self._count = second, 0
            self._count += 1
            if self._count > self._cap:
                return NoBid.RATE_CAPPED, self._over, b"more than the exchange's requests_per_second\n"
        return None


def gate_of(exchange: Exchange) -> ExchangeGate | None:
    """The gate of an exchange; None for one that takes all requests."""
    guarded = exchange.bearer_token or exchange.header_secret or exchange.networks or exchange.requests_per_second
    return ExchangeGate(exchange) if guarded else None
