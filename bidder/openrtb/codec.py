"""Bytes of a bid request to a `BidRequest`: typed and fast where the sender keeps to the types, lenient where not.

Three steps, each only when the one before refused: msgspec with strict types; the same accepting numbers in other
clothes ("300", 300.0); an untyped decode read member by member (`lenient`). Whatever is wrong either ends in a request
or in `Malformed`, never in another exception.
"""

import enum
from typing import Any

import msgspec

from bidder.openrtb import lenient, places
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import BidRequest, Imp
from core.errors import InputError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class MalformedReason(enum.StrEnum):
    """The rule a malformed request broke. The names are metric labels."""

    NOT_JSON = "not_json"  # syntax, text that is not UTF-8, a number beyond the range of a double
    TOO_DEEP = "too_deep"
    NOT_AN_OBJECT = "not_an_object"
    NO_ID = "no_id"
    NO_IMPRESSION = "no_impression"  # `imp` is missing, empty, or not an array of objects
    IMPRESSION_WITHOUT_ID = "impression_without_id"
    DUPLICATE_IMPRESSION_ID = "duplicate_impression_id"
    SEVERAL_CHANNELS = "several_channels"  # more than one of site, app and dooh


class Malformed(InputError):
    """A body that is not a bid request: answered 400 with no content (OpenRTB 2.6, section 2.4)."""

    def __init__(self, reason: MalformedReason) -> None:
        super().__init__(f"not a bid request: {reason}", hint="see docs/openrtb.md for what is refused")
        self.reason = reason


_strict = msgspec.json.Decoder(BidRequest)
_lax = msgspec.json.Decoder(BidRequest, strict=False)
_untyped = msgspec.json.Decoder()

_REQUEST_READERS = lenient.compile_readers(BidRequest)
del _REQUEST_READERS["imp"]  # read one by one, since a faulty element is a fault of the request
_IMP_READERS = lenient.compile_readers(Imp)

# What msgspec says when a number is of the wrong JSON type: only then is the second step worth its time.
_NUMBER_EXPECTED = ("Expected `int", "Expected `float", "Expected `bool")


def decode_request(body: bytes, tolerances: Tolerances) -> BidRequest:
    """Decode a request and move members from their older places to the first-class ones.

    Raises Malformed. Deviations that were forgiven are counted in `tolerances`, which belongs to one exchange.
    """
    if body.startswith(BYTE_ORDER_MARK):
        tolerances.byte_order_mark += 1
        body = body[len(BYTE_ORDER_MARK) :]
    try:
        request = _strict.decode(body)
    except msgspec.ValidationError as error:
        request = _decode_again(body, str(error), tolerances)
    except RecursionError:
        raise Malformed(MalformedReason.TOO_DEEP) from None
    except ValueError:  # syntax, or text that is not UTF-8
        raise Malformed(MalformedReason.NOT_JSON) from None
    places.settle(request, tolerances)
    _check(request)
    return request


def _decode_again(body: bytes, complaint: str, tolerances: Tolerances) -> BidRequest:
    try:
        if complaint.startswith(_NUMBER_EXPECTED):
            try:
                request = _lax.decode(body)
            except msgspec.ValidationError:  # something else is wrong too: the lenient reader counts all of it
                return _read_leniently(_untyped.decode(body), tolerances)
            tolerances.loose_number += 1
            return request
        return _read_leniently(_untyped.decode(body), tolerances)
    except RecursionError:
        raise Malformed(MalformedReason.TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Malformed(MalformedReason.NOT_JSON) from None


def _read_leniently(raw: object, tolerances: Tolerances) -> BidRequest:
    if not isinstance(raw, dict):
        raise Malformed(MalformedReason.NOT_AN_OBJECT)
    imps = raw.get("imp")
    if not isinstance(imps, list) or not all(isinstance(imp, dict) for imp in imps):
        raise Malformed(MalformedReason.NO_IMPRESSION)
    members = lenient.read_members(raw, _REQUEST_READERS, tolerances)
    if not members.get("id"):
        raise Malformed(MalformedReason.NO_ID)
    return BidRequest(imp=tuple(_read_imp(imp, tolerances) for imp in imps), **members)


def _read_imp(raw: dict[str, Any], tolerances: Tolerances) -> Imp:
    members = lenient.read_members(raw, _IMP_READERS, tolerances)
    if not members.get("id"):
        raise Malformed(MalformedReason.IMPRESSION_WITHOUT_ID)
    return Imp(**members)


def _check(request: BidRequest) -> None:
    """The rules whose breach makes the whole request malformed (OpenRTB 2.6 sections 2.1 and 3.2.1)."""
    imps = request.imp
    if not request.id:
        raise Malformed(MalformedReason.NO_ID)
    if not imps:
        raise Malformed(MalformedReason.NO_IMPRESSION)
    ids = {imp.id for imp in imps}
    if "" in ids:
        raise Malformed(MalformedReason.IMPRESSION_WITHOUT_ID)
    if len(ids) != len(imps):
        raise Malformed(MalformedReason.DUPLICATE_IMPRESSION_ID)
    if request.site is None:
        several = request.app is not None and request.dooh is not None
    else:
        several = request.app is not None or request.dooh is not None
    if several:
        raise Malformed(MalformedReason.SEVERAL_CHANNELS)
