"""One name, one class: a name that stands for two things makes every sentence about it ambiguous."""

import ast
import collections
import functools

from tests.unit.test_source_rules import PACKAGES, modules, tree

# Names that occur twice, and why both may keep theirs.
SPECIFIED = "an object of OpenRTB keeps the name that the specification gives it"
OUTSIDE = "the load test sees Grosz from outside and uses the field's word for the same thing"
REVIEWED = {
    "Bid": SPECIFIED,
    "Deal": SPECIFIED,
    "Format": SPECIFIED,
    "Source": SPECIFIED,
    "User": SPECIFIED,
    "Connection": OUTSIDE,
    "Constant": OUTSIDE,
    "Difference": OUTSIDE,
    "Example": OUTSIDE,
    "Found": OUTSIDE,
    "Histogram": OUTSIDE,
    "NoticeDesk": OUTSIDE,
    "Order": OUTSIDE,
    "Outcome": OUTSIDE,
    "Report": OUTSIDE,
    "Shopper": OUTSIDE,
    "Tally": OUTSIDE,
    "Target": OUTSIDE,
    "Violation": OUTSIDE,
    "_Bits": OUTSIDE,
}


@functools.cache
def names() -> dict[str, list[str]]:
    """Class -> the modules that define it, tests left out."""
    found = collections.defaultdict(list)
    for path in modules(*PACKAGES):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(path))
    return found


def test_no_class_name_occurs_twice_but_for_a_reason() -> None:
    repeated = {name: places for name, places in names().items() if len(places) > 1 and name not in REVIEWED}
    assert repeated == {}


def test_the_list_of_reasons_names_only_what_still_occurs_twice() -> None:
    assert {name for name in REVIEWED if len(names()[name]) < 2} == set()


def test_reasons_hold_for_the_places() -> None:
    for name, reason in REVIEWED.items():
        places = names()[name]
        wanted = "bidder/openrtb/" if reason is SPECIFIED else "loadtest/"
        others = [place for place in places if not place.startswith(wanted)]
        assert len(others) == 1, f"{name}: {others}"
