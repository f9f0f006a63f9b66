"""Redis keys of products and feeds (creatives/), as core/keys.py writes them: all of one advertiser in one slot."""

from typing import Final


def product_heads(advertiser_id: int) -> str:
    """Hash: feed id -> packed head of its table in force: version, count, URL prefixes, dictionary.

    TTL: none; writer: feed loader; readers: all roles; up to 70 KiB a feed, 100 bytes where it is small.
    """
    return f"{{p:{advertiser_id}}}:heads"


def product_table(advertiser_id: int, feed_id: int, version: int) -> str:
    """Hash: block number -> about 16 products, compressed (creatives.products.codec).

    TTL: none for the version in force, half a minute for the one before, an hour while it is written; writer: feed
    loader; readers: tracker, bidder, worker, admin; 100 to 200 bytes a product.
    """
    return f"{{p:{advertiser_id}}}:table:{feed_id}:{version}"


def product_changes(advertiser_id: int) -> str:
    """Hash: product id -> availability and prices told since the feed was made, with their times, packed.

    TTL: none, removed when a newer feed is loaded; writers: admin, worker; readers as the tables'; 0.1 KiB a product.
    """
    return f"{{p:{advertiser_id}}}:changes"


PRODUCT_NEWS: Final = "p:{news}"
"""Stream: an advertiser whose products changed (`a`), and the ids (`i`, packed; none: all of them).

TTL: none, bounded to the last 10,000; writers: feed loader, admin, worker; readers: caches of products.
"""


def feed_runs(advertiser_id: int) -> str:
    """Hash: feed id -> its last run as JSON; `<feed id>:good` -> the last one that changed the products.

    TTL: none; writer: feed loader; readers: admin, CLI; up to 0.2 MiB a feed with many kinds of faults.
    """
    return f"{{p:{advertiser_id}}}:runs"


def feed_lock(advertiser_id: int, feed_id: int) -> str:
    """String: the process that loads the feed now. TTL: a minute, renewed; writer, reader: feed loader; 0.1 KiB."""
    return f"{{p:{advertiser_id}}}:lock:{feed_id}"


def feed_progress(advertiser_id: int, feed_id: int) -> str:
    """String: what a running load has done so far, as JSON. TTL: a minute; writer: feed loader; reader: admin, CLI."""
    return f"{{p:{advertiser_id}}}:progress:{feed_id}"


FEED_REQUESTS: Final = "p:{feeds}:requests"
"""Hash: feed id -> how it is to be loaded at once, as JSON. Writer: admin; reader: worker, which removes it."""


def product_touches(advertiser_id: int) -> str:
    """List: packed parts of what visitors did with products, the newest last (creatives.products.interactions).

    TTL: 90 days after the last, and a bounded length; writer: worker; reader: worker, admin; about 10 bytes each.
    """
    return f"{{p:{advertiser_id}}}:touches"


def product_model(advertiser_id: int) -> str:
    """Hash: `model` -> recommendation tables, packed; `fitted` -> when (unix ms); `touches` -> to what.

    `seen` counts interactions, `swaps` those of tables. TTL: none; writers: worker, feed loader; readers: others;
    0.1 to 1 KiB a product.
    """
    return f"{{p:{advertiser_id}}}:model"


def product_fit(advertiser_id: int) -> str:
    """String: the worker that fits the model now. TTL: ten minutes; writer, reader: worker; 0.1 KiB."""
    return f"{{p:{advertiser_id}}}:fit"
