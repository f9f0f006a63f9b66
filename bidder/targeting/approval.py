"""Which exchanges take which creatives, worked out when the catalogue is compiled (docs/approvals.md)."""

import functools
from collections.abc import Iterable

from core.dialects import spoken_by
from core.model import Catalogue, Exchange, ReviewPolicy, Status


def reviewing(exchanges: Iterable[Exchange]) -> dict[int, ReviewPolicy]:
    """The active exchanges whose decisions about creatives count, by id."""
    found = {each.id: spoken_by(each).review for each in exchanges if each.status is Status.ACTIVE}
    return {number: review for number, review in found.items() if review is not ReviewPolicy.NONE}


def unapproved_creatives(catalogue: Catalogue, creatives: Iterable[int]) -> dict[int, frozenset[int]]:
    """For each of some creatives the ids of the exchanges where it must not be bid with; most share one set."""
    reviews = reviewing(catalogue.exchanges)
    approvals = {each.id: each for each in catalogue.approvals}

    @functools.cache
    def refusing(approved: tuple[int, ...], rejected: tuple[int, ...]) -> frozenset[int]:
        return frozenset(
            number
            for number, review in reviews.items()
            if (number not in approved if review is ReviewPolicy.BEFORE else number in rejected)
        )

    undecided = refusing((), ())
    return {
        number: refusing(approval.approved, approval.rejected)
        if (approval := approvals.get(number)) is not None
        else undecided
        for number in creatives
    }
