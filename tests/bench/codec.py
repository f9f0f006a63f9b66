"""What reading a bid request costs: `python -m tests.bench.codec`. Microseconds of one thread, best of several rounds.

The request is of the kind that exchanges send most: OpenRTB 2.5, two banners, a deal, consent, an extended id and a
supply chain under `ext`, 2 kB.
"""

import json
import timeit
from collections.abc import Callable
from typing import Any

import msgspec
import orjson

from bidder.dialects.table import speaker_of
from bidder.openrtb.codec import decode_request
from bidder.openrtb.consent.permission import read_view
from bidder.openrtb.consent.tcf import decode
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import BidRequest
from bidder.request.auction import Auction
from bidder.request.consent import ConsentPolicy, resolve_consent
from bidder.request.identify import identify
from bidder.request.validate import check_request
from core.config import ConsentSettings
from tests.kit.openrtb import EXCHANGE, FX, USER_ID
from tests.kit.tc_strings import TcFields, tc_string

ROUNDS = 7
CALLS = 2_000

# A platform that asks for the whole vendor list, as most do.
CONSENT = tc_string(TcFields(vendor_consents=tuple(range(1, 1_200)), disclosed_vendors=tuple(range(1, 1_200))))

AGENT = (
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile "
    "Safari/537.36"
)


def typical_request() -> dict[str, Any]:
    """The request as JSON members."""
    return {
        "id": "8f7d3c1e-0b5d-4a43-9a5d-2f1d5d0ab111", "at": 1, "tmax": 120, "cur": ["PLN", "USD"], "test": 0,
        "bcat": ["IAB25", "IAB26", "IAB7-39"], "badv": ["rival.example", "casino.example"],
        "imp": [
            {
                "id": "1", "tagid": "art-top", "bidfloor": 1.2, "bidfloorcur": "PLN", "secure": 1,
                "banner": {"w": 300, "h": 250, "format": [{"w": 300, "h": 250}, {"w": 336, "h": 280}], "pos": 1,
                           "battr": [1, 3, 9], "api": [7], "mimes": ["text/html", "image/png"]},
                "pmp": {"private_auction": 0,
                        "deals": [{"id": "D-77", "bidfloor": 2.0, "bidfloorcur": "PLN", "at": 1}]},
                "ext": {"gpid": "/123/art-top", "tid": "71dfb5d0-1f57-4a0a-8a4d-50dc7a4b2b2e"},
            },
            {"id": "2", "tagid": "art-bottom", "bidfloor": 0.6, "bidfloorcur": "PLN", "secure": 1,
             "banner": {"w": 728, "h": 90, "pos": 3}},
        ],
        "site": {"id": "s-91", "name": "Fashion", "domain": "fashion.example", "cat": ["IAB18", "IAB18-3"],
                 "page": "https://fashion.example/articles/stilettos-for-autumn-2026?utm=1", "pagecat": ["IAB18-3"],
                 "ref": "https://search.example/", "keywords": "stilettos,shoes,autumn",
                 "publisher": {"id": "p-17", "name": "Publisher", "domain": "publisher.example"},
                 "content": {"language": "pl", "title": "Stilettos for autumn"}},
        "device": {"ua": AGENT, "ip": "89.64.12.0", "devicetype": 4, "os": "Android", "osv": "14", "make": "Samsung",
                   "model": "SM-S918B", "language": "pl", "connectiontype": 2, "lmt": 0, "dnt": 0, "js": 1, "w": 412,
                   "h": 915, "geo": {"country": "POL", "region": "MZ", "city": "Warszawa", "zip": "00-950",
                                     "lat": 52.23, "lon": 21.01, "type": 2}},
        "user": {"id": "exch-user-0a1b2c3d", "buyeruid": USER_ID,
                 "ext": {"consent": "CQgcD4AQgcD4AEsACBENB4FgAPLAAAAAAAYgH1wAgF5wPpA-sAAAAAAA.IH1wAgF5wPpA-sAA",
                         "eids": [{"source": "id.example", "uids": [{"id": "ID5-abcdefghijkl", "atype": 1}]}]}},
        "regs": {"coppa": 0, "ext": {"gdpr": 1}},
        "source": {"fd": 1, "tid": "8f7d3c1e", "ext": {"schain": {"ver": "1.0", "complete": 1, "nodes": [
            {"asi": "ssp.example", "sid": "1001", "hp": 1},
            {"asi": "publisher.example", "sid": "17", "hp": 1, "rid": "r1"}]}}},
    }  # fmt: skip


def encoded(raw: dict[str, Any]) -> bytes:
    return json.dumps(raw, separators=(",", ":")).encode()


def microseconds(call: Callable[[], object]) -> float:
    return min(timeit.repeat(call, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def main() -> None:
    """Print the table."""
    raw = typical_request()
    body = encoded(raw)
    loose = encoded({**raw, "tmax": "120"})
    wrong = encoded({**raw, "site": {**raw["site"], "cat": "IAB18"}})
    strict = msgspec.json.Decoder(BidRequest)
    tolerances = Tolerances()
    policy = ConsentPolicy(ConsentSettings(vendor_id=1001))

    def stages() -> None:
        auction = Auction(decode_request(body, tolerances), EXCHANGE, 1.0, speaker_of(EXCHANGE))
        check_request(auction, FX)
        resolve_consent(auction, policy)
        identify(auction)

    rows: list[tuple[str, Callable[[], object]]] = [
        ("orjson, untyped", lambda: orjson.loads(body)),
        ("msgspec, untyped", lambda: msgspec.json.decode(body)),
        ("msgspec, BidRequest", lambda: strict.decode(body)),
        ("decode_request", lambda: decode_request(body, tolerances)),
        ("decode_request, a number as text", lambda: decode_request(loose, tolerances)),
        ("decode_request, a member of a wrong type", lambda: decode_request(wrong, tolerances)),
        ("decode_request, validate, consent (remembered), identify", stages),
        (f"TC string of {len(CONSENT)} characters, our vendor", lambda: read_view(CONSENT, 755)),
        (f"TC string of {len(CONSENT)} characters, all of it", lambda: decode(CONSENT)),
    ]
    print(f"request of {len(body)} bytes")
    for name, call in rows:
        print(f"{microseconds(call):8.1f} us  {name}")


if __name__ == "__main__":
    main()
