"""Compiles a catalogue as bidders do after changes: an overlay above a base, by way of random earlier catalogues."""

import itertools
import random
from typing import Any

import msgspec

from bidder.compile.compiler import CatalogueCompiler
from bidder.targeting.compiled import Compiled
from bidder.targeting.overlay import Overlay, layered
from core.catalogue.codec import BY_ID, difference, encode_catalogue, encode_change
from core.model import Catalogue
from tests.kit.random_bidding import RATES, random_catalogue

# Members that an earlier catalogue may have fewer objects of: line items refer to the others.
OPTIONAL = ("line_items", "creatives", "deals", "segments")


def earlier(chance: random.Random, later: Catalogue, *, version: int = 1) -> Catalogue:
    """A catalogue from which changes lead to `later`: some objects are missing, extra or different."""
    other = random_catalogue(random.Random(chance.random()), len(later.line_items) + 3, targeted=chance.random() < 0.8)
    share = chance.choice((0.1, 0.5, 1.0))
    differing = BY_ID if chance.random() < 0.3 else chance.sample(BY_ID, 1)
    members: dict[str, Any] = {name: _mixed(chance, name, later, other, share) for name in differing}
    if chance.random() < 0.3:  # segments that belonged to another shop
        members["segments"] = tuple(
            msgspec.structs.replace(each, advertiser_id=1 + each.advertiser_id % 3) for each in later.segments
        )
    if chance.random() < 0.3:  # advertisers had currencies and time zones that may not occur in `later`
        currency, zone = chance.choice(("CZK", "USD")), chance.choice(("Asia/Tokyo", "America/New_York"))
        members["advertisers"] = tuple(
            msgspec.structs.replace(each, currency=currency, timezone=zone, domain=f"old{each.id}.example")
            for each in later.advertisers
        )
    if chance.random() < 0.3:
        members["exchanges"] = tuple(msgspec.structs.replace(each, seat="old") for each in later.exchanges)
    rates = {name: rate * chance.choice((1, 2)) for name, rate in RATES.items()}
    return msgspec.structs.replace(later, version=version, fx_rates=rates, **members)


def _mixed(chance: random.Random, name: str, later: Catalogue, other: Catalogue, share: float) -> tuple[Any, ...]:
    known = {each.id: each for each in getattr(later, name)}
    for each in getattr(other, name):
        if chance.random() < share:
            known[each.id] = each
    if name in OPTIONAL:
        known = {number: each for number, each in known.items() if chance.random() > share / 3}
    return tuple(each for _, each in sorted(known.items()))


def compiled_in_layers(chance: random.Random, catalogue: Catalogue) -> Compiled:
    """The catalogue compiled as changes (one to three) above the base of an earlier one."""
    steps = chance.randint(1, 3)
    versions = [earlier(chance, catalogue, version=step + 1) for step in range(steps)]
    versions.append(msgspec.structs.replace(catalogue, version=steps + 1))
    return compiled_by_changes(versions)


def compiled_by_changes(versions: list[Catalogue]) -> Compiled:
    """The last of several versions, compiled as changes above the first."""
    compiler = CatalogueCompiler()
    base = compiler.whole(encode_catalogue(versions[0]), ())
    compiled = base
    for before, after in itertools.pairwise(versions):
        compiled = layered_now(base, compiler.overlay([encode_change(difference(before, after))]))
    return compiled


def layered_now(base: Compiled, overlay: Overlay) -> Compiled:
    """Runs all steps of `layered` at once."""
    work = layered(base, overlay)
    while True:
        try:
            next(work)
        except StopIteration as end:
            compiled: Compiled = end.value
            return compiled


def random_compiled(chance: random.Random, catalogue: Catalogue) -> Compiled:
    """The catalogue, compiled whole or in layers: no test may see a difference."""
    return Compiled(catalogue) if chance.random() < 0.4 else compiled_in_layers(chance, catalogue)
