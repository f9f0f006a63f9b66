"""What the garbage collector is to look at: one policy, for all processes but the load test's.

CPython frees an object with its last reference; the collector exists for cycles alone, and pays by walking every object
that could be in one. Grosz holds hundreds of thousands of long-lived objects (a catalogue, its index) and makes
thousands of short-lived ones a batch, hardly any of which is ever in a cycle, so walking them is nearly all waste: half
a second at 100,000 line items, in the middle of requests. Hence three rules. What lives until it is replaced is
exempted when it is made (`gc.freeze`, which moves all objects that exist out of the collector's sight), and nothing is
collected while it is made. It must therefore be in no cycle, since an exempted cycle is never freed: what is remembered
knows its budget, and the budget knows it by weak references (bidder.targeting.memory). And a process that answers bid
requests looks at young objects rarely. The full collections that remain walk what a process made since it was ready,
which is little.
"""

import contextlib
import gc
from collections.abc import Iterator

# How many new containers make the collector look at the youngest generation, in a process that answers bids. A batch
# holds some 3,000 at a time, all of which are freed by reference counts, so Python's default of 700 means several walks
# over live objects a batch: 5 of 72 us a request.
COLLECT_AFTER = 20_000


def collect_rarely() -> None:
    """Make the collector run rarely, in a process that answers bid requests."""
    gc.set_threshold(COLLECT_AFTER)


def exempt_what_exists() -> None:
    """Exempt all present objects from collection: modules and the composition root's objects live until the end.

    A full collection that walks them stops everything for 0.1 s in the admin role.
    """
    gc.freeze()


@contextlib.contextmanager
def building_what_lives_long() -> Iterator[None]:
    """Nothing is collected inside this context, and what was made in it is exempted at its end.

    It is not collected before it is exempted either: that would walk all of it once, and none of it is in a cycle.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
