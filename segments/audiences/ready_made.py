"""Segments that an advertiser switches on instead of writing a rule.

Each is a text of the rule language with parameters, so that what it does can be read, copied and changed; nothing here
has abilities that a rule of one's own does not have.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from core.errors import Fault, InputError, NotFoundError
from core.money import MICROS_PER_UNIT, format_micros
from segments.facts.facts import DAY_S
from segments.rules.errors import RuleError, did_you_mean
from segments.rules.lexer import MAX_STRING_CHARS, UNIT_SECONDS, tokens_of
from segments.rules.lexer import TokenKind as Token
from segments.rules.parser import MAX_CHOICES
from segments.rules.vocabulary import STAGE_WORDS

HOUR_S: Final = 3_600

ParameterValue = int | str | tuple[str, ...]


class ParameterKind(enum.StrEnum):
    """What a parameter's value is, in which unit."""

    MONEY = "money"  # micros of the advertiser's currency
    DURATION = "duration"  # seconds
    COUNT = "count"
    TEXTS = "texts"  # patterns, where * stands for any text
    STAGE = "stage"  # a word of cart.stage


class Parameter(msgspec.Struct, frozen=True):
    """One value that the advertiser may set; `default` None means that it must be set."""

    name: str
    kind: ParameterKind
    summary: str
    default: ParameterValue | None = None


class ReadyMade(msgspec.Struct, frozen=True):
    """A ready-made segment: `template` is a rule with `{parameter}` in place of values.

    `bounds` are (parameter, part of the template): the part is left out where the parameter has its default.
    """

    key: str
    name: str
    summary: str
    template: str
    parameters: tuple[Parameter, ...] = ()
    bounds: tuple[tuple[str, str], ...] = ()


def _within(days: int) -> Parameter:
    return Parameter("within", ParameterKind.DURATION, "how far back", days * DAY_S)


def _texts(name: str, summary: str, *default: str) -> Parameter:
    return Parameter(name, ParameterKind.TEXTS, summary, default or None)


def _money(name: str, summary: str, units: int) -> Parameter:
    return Parameter(name, ParameterKind.MONEY, summary, units * 1_000_000)


def _duration(name: str, summary: str, seconds: int) -> Parameter:
    return Parameter(name, ParameterKind.DURATION, summary, seconds)


# Reminders within the first hour lower purchases against no reminder, and after two weeks a cart is worth nothing any
# more (docs/evidence.md, "Carts").
_DELAY: Final = _duration("delay", "how long after the visitor left the cart", HOUR_S)
_UNTIL: Final = _duration("until", "when the cart counts as lost", 14 * DAY_S)
_ABANDONED: Final = "cart.age in {delay}..{until} and not purchased since cart"

_ALL: Final = (
    ReadyMade("all_visitors", "All visitors", "Everybody who came lately.", "last_visit in {within}", (_within(30),)),
    ReadyMade(
        "category_viewers", "Category viewers", "Looked at a category and bought nothing of it since.",
        "viewed category {categories} in {within} and not bought category {categories} in {within}",
        (_texts("categories", "categories as the shop sends them"), _within(30)),
    ),
    ReadyMade(
        "product_viewers", "Product viewers", "Looked at certain products and bought none of them since.",
        "viewed product {products} in {within} and not bought product {products} in {within}",
        (_texts("products", "product ids"), _within(30)),
    ),
    ReadyMade(
        "high_margin_viewers", "Viewers of high-margin products",
        "Looked at products with a margin label of the feed and bought none since.",
        "viewed margin {margins} in {within} and not bought margin {margins} in {within}",
        (_texts("margins", "margin labels of the feed", "high"), _within(30)),
    ),
    ReadyMade(
        "reduced_viewers", "Viewers of products now reduced",
        "Looked at something that is reduced by now and did not buy it.",
        "products.reduced >= {at_least} and viewed in {within}",
        (Parameter("at_least", ParameterKind.COUNT, "reduced products", 1), _within(30)),
    ),
    ReadyMade(
        "searchers", "Searchers", "Used the shop's search.", "searched {phrases} in {within}",
        (_texts("phrases", "phrases, e.g. *szpilki*", "*"), _within(14)),
    ),
    ReadyMade(
        "cart_abandoners", "Cart abandoners by value", "Left a cart whose value lies in a tier.",
        "cart.value >= {at_least} and cart.value < {below} and " + _ABANDONED,
        (_money("at_least", "value of the cart, at least", 0), _money("below", "value of the cart, below", 1_000_000),
         _DELAY, _UNTIL),
        (("at_least", "cart.value >= {at_least} and "), ("below", "cart.value < {below} and ")),
    ),
    ReadyMade(
        "cart_abandoners_at_stage", "Cart abandoners by stage", "Left a cart at one step of the checkout.",
        "cart.stage = {stage} and " + _ABANDONED,
        (Parameter("stage", ParameterKind.STAGE, "cart, form, shipping or payment"), _DELAY, _UNTIL),
    ),
    ReadyMade(
        "checkout_abandoners", "Checkout abandoners", "Began to check out and left.",
        "cart.stage >= form and " + _ABANDONED, (_DELAY, _UNTIL),
    ),
    ReadyMade("buyers", "Buyers", "Bought lately.", "last_purchase in {within}", (_within(90),)),
    ReadyMade(
        "repeat_buyers", "Repeat buyers", "Bought several times.", "purchases.count >= {at_least}",
        (Parameter("at_least", ParameterKind.COUNT, "purchases", 2),),
    ),
    ReadyMade(
        "high_value", "High-value customers", "Worth much in a year at their rhythm.", "lifetime_value >= {at_least}",
        (_money("at_least", "worth of a year", 1_000),),
    ),
    ReadyMade(
        "lapsed", "Lapsed customers (win-back)", "Bought, and have been away since. Visitors must be remembered "
        "for longer than that.",
        "last_purchase > {after} ago and last_visit > {silent} ago",
        (_duration("after", "time since the last purchase", 60 * DAY_S),
         _duration("silent", "time since the last visit", 14 * DAY_S)),
    ),
    ReadyMade(
        "cross_sell", "Cross-sell", "Bought from one category and never from another that goes with it.",
        "bought category {bought} and not bought category {missing}",
        (_texts("bought", "categories bought"), _texts("missing", "categories to offer")),
    ),
    ReadyMade(
        "up_sell", "Up-sell", "Customers with a small average basket who are looking again.",
        "purchases.average < {below} and viewed in {within} and last_purchase > {after} ago",
        (_money("below", "average basket below", 200), _within(14),
         _duration("after", "time since the last purchase", DAY_S)),
    ),
    ReadyMade(
        "discount_seekers", "Discount seekers", "Come for bargains: promotion pages or searches for them.",
        "count(visited page {pages} in {within}) >= 2 or searched {phrases} in {within}",
        (_texts("pages", "paths of promotion pages", "*promo*", "*sale*", "*outlet*", "*wyprzeda*"),
         _texts("phrases", "phrases of bargain hunters", "*promo*", "*rabat*", "*kod*", "*sale*", "*wyprzeda*"),
         _within(30)),
    ),
    ReadyMade(
        "about_to_reorder", "About to reorder", "Their next purchase is due by their own rhythm.",
        "purchases.count >= 2 and (next_purchase in {before} ahead or next_purchase in {overdue} ago)",
        (_duration("before", "begin so long before it is due", 7 * DAY_S),
         _duration("overdue", "end so long after it was due", 14 * DAY_S)),
    ),
    ReadyMade(
        "new_from_campaign", "New visitors from a campaign", "Came for the first time, through a campaign, and have "
        "not bought yet.",
        "first_visit in {within} and purchases.count = 0 and entries.campaign like {campaigns}",
        (_texts("campaigns", "utm_campaign values, * allowed"), _within(7)),
    ),
)  # fmt: skip

READY_MADE: Final[Mapping[str, ReadyMade]] = {segment.key: segment for segment in _ALL}


# What a parameter's value may look like, and an example.
_QUANTITIES: Final = {
    ParameterKind.MONEY: ((Token.NUMBER, Token.MONEY), "500 or 49.90"),
    ParameterKind.DURATION: ((Token.DURATION,), "30d, 12h or 90m"),
    ParameterKind.COUNT: ((Token.NUMBER,), "2"),
}


def ready_made(key: str) -> ReadyMade:
    """The ready-made segment of a name. Raises NotFoundError."""
    segment = READY_MADE.get(key)
    if segment is None:
        raise NotFoundError(f'there is no ready-made segment "{key}"', hint=did_you_mean(key, READY_MADE))
    return segment


def rule_of(key: str, currency: str, values: Mapping[str, ParameterValue] | None = None) -> str:
    """The rule of a ready-made segment, for an advertiser with this currency.

    Raises NotFoundError for an unknown key and InputError with one fault a wrong, unknown or missing parameter.
    """
    segment = ready_made(key)
    values = values or {}
    known = {parameter.name: parameter for parameter in segment.parameters}
    faults = [
        Fault(
            f"/parameters/{name}", "unknown", f"{key} has no parameter {name}", did_you_mean(name, known), tuple(known)
        )
        for name in values
        if name not in known
    ]
    texts: dict[str, str] = {}
    for parameter in segment.parameters:
        value = values.get(parameter.name, parameter.default)
        problem = _problem(parameter, value)
        if problem or value is None:
            faults.append(Fault(f"/parameters/{parameter.name}", "value", problem, parameter.summary))
        else:
            texts[parameter.name] = _text(parameter.kind, value, currency)
    if faults:
        raise InputError(f'the ready-made segment "{key}" cannot be built', faults=faults)
    template = segment.template
    for name, part in segment.bounds:
        if values.get(name, known[name].default) == known[name].default:
            template = template.replace(part, "")
    return template.format(**texts)


def parameter_value(parameter: Parameter, text: str, currency: str) -> ParameterValue:
    """A parameter's value as people write it: `500` or `500 PLN`, `7d`, `3`, `shoes*,boots`, `shipping`.

    Raises InputError for a text that is no value of the parameter's kind.
    """
    if parameter.kind is ParameterKind.TEXTS:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if parameter.kind is ParameterKind.STAGE:
        return text.strip().lower()
    tokens, example = _QUANTITIES[parameter.kind]
    hint = f"write for example {example}"
    try:
        value, *rest = tokens_of(text)
    except RuleError as error:
        raise InputError(f"{parameter.name}: {error.problem}", hint=hint) from None
    if value.kind not in tokens or len(rest) != 1 or value.currency not in ("", currency):
        raise InputError(f"{parameter.name}: '{text}' does not fit", hint=hint)
    if parameter.kind is ParameterKind.MONEY and value.kind is Token.NUMBER:
        return round(value.number * MICROS_PER_UNIT)
    if value.number != int(value.number):
        raise InputError(f"{parameter.name}: '{text}' is not whole", hint=hint)
    return int(value.number)


def default_text(parameter: Parameter) -> str:
    """A parameter's default as `parameter_value` reads it; '' if it has none."""
    value = parameter.default
    if value is None:
        return ""
    match parameter.kind:
        case ParameterKind.TEXTS:
            return ",".join(_tuple(value))
        case ParameterKind.MONEY:
            return format_micros(int(str(value))).removesuffix(".00")
        case ParameterKind.DURATION:
            return duration_text(int(str(value)))
        case _:
            return str(value)


def cart_tiers(currency: str, bounds_micros: Sequence[int]) -> list[str]:
    """Rules of cart abandoners by value tier: below the first bound, between neighbours, from the last one on.

    `bounds_micros` ascend and are positive; the tiers are disjoint and cover every cart.
    """
    if list(bounds_micros) != sorted({bound for bound in bounds_micros if bound > 0}):
        raise InputError("tier bounds must be positive and ascend", hint="write for example 100, 300 and 1000")
    rules = []
    for low, high in zip((0, *bounds_micros), (*bounds_micros, None), strict=True):
        values: dict[str, ParameterValue] = {"at_least": low}
        if high is not None:
            values["below"] = high
        rules.append(rule_of("cart_abandoners", currency, values))
    return rules


def quoted(text: str) -> str:
    """A text as a string of the rule language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def money_text(micros: int, currency: str) -> str:
    """An amount as the rule language has it: 500000000 is '500 PLN'."""
    return f"{format_micros(micros).removesuffix('.00')} {currency}"


def duration_text(seconds: int) -> str:
    """A duration in its largest whole unit up to days: 5400 is '90m'."""
    for unit in "dhm":
        if seconds and seconds % UNIT_SECONDS[unit] == 0:
            return f"{seconds // UNIT_SECONDS[unit]}{unit}"
    return f"{seconds}s"


def _tuple(value: ParameterValue) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)


def _problem(parameter: Parameter, value: ParameterValue | None) -> str:
    """What is wrong with a parameter's value; '' if nothing is."""
    if value is None:
        return "is missing"
    if parameter.kind is ParameterKind.TEXTS:
        texts = _tuple(value)
        sound = isinstance(value, tuple | str) and all(0 < len(text) <= MAX_STRING_CHARS for text in texts)
        single = not any("\n" in text for text in texts)
        return "" if sound and single and 0 < len(texts) <= MAX_CHOICES else "must be one or more texts"
    if parameter.kind is ParameterKind.STAGE:
        return "" if value in STAGE_WORDS[1:] else f"must be one of {', '.join(STAGE_WORDS[1:])}"
    return "" if isinstance(value, int) and value >= 0 else "must be a whole number, not negative"


def _text(kind: ParameterKind, value: ParameterValue, currency: str) -> str:
    writers: dict[ParameterKind, Callable[[], str]] = {
        ParameterKind.MONEY: lambda: money_text(int(str(value)), currency),
        ParameterKind.DURATION: lambda: duration_text(int(str(value))),
        ParameterKind.COUNT: lambda: str(value),
        ParameterKind.STAGE: lambda: str(value),
        ParameterKind.TEXTS: lambda: f"({', '.join(map(quoted, _tuple(value)))})",
    }
    return writers[kind]()
