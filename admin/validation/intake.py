"""From what somebody sent to an object that may be saved: shape, currencies and rules in one call, all faults at once.

The API and catalogue files both come through here, so neither accepts what the other refuses.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from admin.store.kinds import ObjectKind
from admin.store.model import Feed
from admin.validation.convert import HIDDEN, SECRETS, to_domain
from admin.validation.decode import decode
from admin.validation.rules import check_currencies, check_fields, prefixed
from core.errors import Fault, InputError
from creatives.feeds.fetching import mask_url
from segments.rules.check import check as check_rule

CurrencyOf = Callable[[int], str | None]
"""The currency of an advertiser; None when there is no such advertiser (the reference check says so)."""


def build(
    kind: ObjectKind,
    raw: Mapping[str, Any],
    currency_of: CurrencyOf,
    *,
    pointer: str = "",
    previous: Any = None,  # noqa: ANN401 - a struct of the kind's domain type
    **identity: object,
) -> Any:  # noqa: ANN401 - a struct of the kind's domain type
    """The domain object of a document. `identity`: its id, version and, if the document has none, status.

    A secret that is written as '***' (as it reads back) keeps the value of `previous`. Raises InputError with all
    faults that do not need a look at other objects.
    """
    document = decode(raw, kind.document, pointer)
    currency = _currency(document, currency_of)
    faults = check_currencies(document, currency) if currency else []
    value = to_domain(document, kind.domain, **identity)
    kept = {
        name: getattr(previous, name, "")
        for name in SECRETS.intersection(value.__struct_fields__)
        if getattr(value, name) == HIDDEN
    }
    value = msgspec.structs.replace(value, **kept) if kept else value
    if isinstance(value, Feed):
        value = without_secrets(value, previous)
    faults += check_fields(value, functools.partial(check_rule, currency=currency or "PLN"))
    if faults:
        raise InputError("the input is not valid", faults=prefixed(faults, pointer))
    return value


def without_secrets(feed: Feed, previous: Feed | None) -> Feed:
    """A feed whose `url` can be shown: an address with a password or keys in it is kept whole in `secret_url`."""
    masked = mask_url(feed.url)
    if previous is not None and feed.url == previous.url:
        return msgspec.structs.replace(feed, secret_url=previous.secret_url)
    if feed.secret_url and feed.secret_url != HIDDEN and mask_url(feed.secret_url) == feed.url:
        return feed
    if masked != feed.url:
        return msgspec.structs.replace(feed, url=masked, secret_url=feed.url)
    if HIDDEN in feed.url:
        fault = Fault("/url", "masked", "the address has *** where its password or key was", "write it whole")
        raise InputError("the input is not valid", faults=[fault])
    return msgspec.structs.replace(feed, secret_url="")


def _currency(document: Any, currency_of: CurrencyOf) -> str | None:  # noqa: ANN401 - any document
    own: str | None = getattr(document, "currency", None)
    if own is not None:
        return own
    owner = getattr(document, "advertiser_id", None)
    return currency_of(owner) if owner is not None else None


def as_object(raw: object, pointer: str) -> Mapping[str, Any]:
    """`raw` if it is a JSON object; raises InputError otherwise."""
    if isinstance(raw, Mapping):
        return raw
    raise InputError("the input is not valid", faults=[Fault(pointer, "type", "expected an object")])
