"""What segment rules cost the worker: one rule, and a hundred rules on one event with and without the dependency index.

`python -m tests.bench.rules`: prints microseconds, the best of many short repeats, for a full profile (50 products, 16
pages, 12 orders, a cart). The targets: 20 us a rule, 300 us for the hundred rules of a page view. No two of the hundred
are the same: copies of an example differ in amounts, counts, periods and patterns.
"""

import functools
import re
import time
import timeit
from collections.abc import Callable

from core.model import Advertiser, Segment
from segments.audiences.ready_made import READY_MADE, ParameterKind, ParameterValue, rule_of
from segments.facts.facts import (
    DAY_S,
    FACT_NAMES,
    Bought,
    CartLine,
    Entry,
    Facts,
    Order,
    PathVisit,
    Product,
    Search,
)
from segments.rules.ruleset import CompiledRules, Rule, compile_rule
from segments.rules.view import View

NOW_S = 1_790_000_000
RETENTION_S = 90 * DAY_S
REPEATS = 60

# What a page view of a known visitor changes (segments/facts/apply.py): the commonest event by far.
PAGE_VIEW = frozenset({"last_visit_s", "pages", "visit_pages", "paths", "events", "score", "engagement", "cart_idle_s"})

RULES = (
    "score >= 100",
    "purchases.count > 3",
    'source = "facebook" and entries.phrase contains "szpilki"',
    "cart.value >= 500 PLN and cart.age in 1h..14d and not purchased since cart",
    "lifecycle = exit",
    "last_visit > 30d ago",
    'visited "/promo/*" in 7d',
    'viewed category "shoes*" in 7d and not bought category "shoes*" in 30d',
    "count(visited in 7d) >= 3",
    "total(bought in 90d) >= 1000 PLN",
    'attribute.loyalty_tier in ("gold", "silver") and has cart',
)

_EXAMPLES: dict[ParameterKind, ParameterValue] = {ParameterKind.TEXTS: ("shoes*", "hats"), ParameterKind.STAGE: "form"}


def full_profile() -> Facts:
    """A visitor whose bounded lists are all full."""
    ages = [NOW_S - index * 40_000 for index in range(50, 0, -1)]
    return Facts(
        first_visit_s=ages[0], last_visit_s=NOW_S, visit_start_s=NOW_S - 600, visits=40, pages=300, score=120.0,
        entries=[Entry(at, "facebook", "cpc", "spring", "czerwone szpilki", "/") for at in ages[-6:]],
        products=[Product(f"sku-{at}", f"shoes-{at % 7}", at, 100_000_000) for at in ages],
        searches=[Search(f"szpilki {at}", at) for at in ages[-8:]],
        paths=[PathVisit(f"/category/{at}/", at) for at in ages[-15:]] + [PathVisit("/promo/x", NOW_S)],
        cart=[CartLine(f"sku-{at}", "shoes", 100_000_000) for at in ages[-6:]], cart_micros=600_000_000, cart_stage=2,
        cart_since_s=NOW_S - 900, cart_changed_s=NOW_S - 60, cart_idle_s=NOW_S,
        purchases=12, purchases_micros=2_400_000_000, first_purchase_s=ages[0], last_purchase_s=ages[-20],
        orders=[Order(at, at, 200_000_000) for at in ages[-32:-20]],
        bought=[Bought(f"sku-{at}", "hats", at) for at in ages[-40:-20]],
        lifecycle=3, attributes={"loyalty_tier": "gold"}, events={f"event_{at}": at for at in ages[-24:]},
        lifetime_value_micros=1_200_000_000,
    )  # fmt: skip


def ready_made_rules() -> list[str]:
    """Every ready-made segment, with examples where a parameter has no default."""
    return [
        rule_of(key, "PLN", {p.name: _EXAMPLES[p.kind] for p in segment.parameters if p.default is None})
        for key, segment in READY_MADE.items()
    ]


def variant(rule: str, copy: int) -> str:
    """Another rule of the same shape; copy 0 is the rule itself."""
    if not copy:
        return rule
    rule = re.sub(r'"([^"]*)"', lambda found: f'"{found[1][:-1]}-{copy}{found[1][-1:]}"', rule)
    return re.sub(r"(>=?|in) (\d+)(?!\.\.|h)", lambda found: f"{found[1]} {int(found[2]) + copy}", rule)


def microseconds(work: Callable[[], object], number: int) -> float:
    """CPU time, best of many repeats: other work of the machine only ever adds."""
    return min(timeit.Timer(work, timer=time.process_time).repeat(REPEATS, number)) / number * 1e6


def _alone(rule: Rule, facts: Facts) -> object:
    """One rule without company: nothing is shared with others."""
    return rule.holds(View(facts, NOW_S))


def main() -> None:
    facts = full_profile()
    print("one rule, full profile                                                     us")
    for text in RULES:
        rule = compile_rule(1, text, "PLN", RETENTION_S)
        print(f"  {text[:70]:70} {microseconds(functools.partial(_alone, rule, facts), 200):6.2f}")
    texts = ready_made_rules()
    examples = (*RULES, *texts)
    hundred = [
        Segment(id=at, advertiser_id=1, name="", rule=variant(examples[at % len(examples)], at // len(examples)))
        for at in range(100)
    ]
    if len({segment.rule for segment in hundred}) < 90:  # a few have nothing to vary
        raise AssertionError("the rules are too alike")
    rules = CompiledRules(hundred, Advertiser(id=1, name=""))
    stored = rules.renewed(facts, FACT_NAMES, NOW_S * 1000, [], NOW_S + RETENTION_S)
    for label, changed in (("a page view", PAGE_VIEW), ("everything changed", FACT_NAMES)):
        work = functools.partial(rules.renewed, facts, changed, NOW_S * 1000, stored, NOW_S)
        concerned = len(rules.affected(changed))
        print(f"100 rules, {label} ({concerned} evaluated)".ljust(73) + f"{microseconds(work, 40):6.1f}")
    compiling = functools.partial(compile_rule, 1, RULES[3], "PLN", RETENTION_S)
    print("compiling one rule".ljust(73) + f"{microseconds(compiling, 40):6.1f}")


if __name__ == "__main__":
    main()
