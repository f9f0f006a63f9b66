"""What a request got wrong and was forgiven: counted, so that an exchange can be told and a drift can be seen."""

import enum


class Tolerance(enum.StrEnum):
    """Kinds of deviation that are read all the same. The names are metric labels."""

    BYTE_ORDER_MARK = "byte_order_mark"
    OLD_PLACE = "old_place"  # regs.ext.gdpr, user.ext.eids, placement, buyerid, ...
    NUMBER_FOR_TEXT = "number_for_text"  # "id": 7
    LOOSE_NUMBER = "loose_number"  # "300", 300.0 or true where an integer belongs, "1.5" for a number
    LOOSE_FLAG = "loose_flag"  # true, "1", "yes" for 0 or 1
    SCALAR_FOR_ARRAY = "scalar_for_array"
    ARRAY_FOR_SCALAR = "array_for_scalar"  # "keywords": ["a", "b"], "banner": [{...}]
    EMPTY_ARRAY_FOR_OBJECT = "empty_array_for_object"  # how PHP writes an empty object
    DROPPED = "dropped"  # of a type or size that says nothing: read as absent
    UNREADABLE_PRIVACY = "unreadable_privacy"  # a privacy flag that says something, but not what: read as set


class Tolerances:
    """Counters of one exchange. Plain integers in a dict: the telemetry reads them when it is scraped."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[Tolerance, int] = {}

    def add(self, kind: Tolerance) -> None:
        counts = self.counts
        counts[kind] = counts.get(kind, 0) + 1
