"""Names and types: from what was written to what it means, or to an error that says what to write instead."""

from segments.facts.traits import LABEL, ON_SALE, PRICE
from segments.rules import conditions, patterns, predicates, syntax
from segments.rules.conditions import Condition
from segments.rules.errors import FaultCode, RuleError, Span, did_you_mean
from segments.rules.happenings import SOURCES, HappeningSource, source_of
from segments.rules.lexer import TokenKind
from segments.rules.parser import VERBS, parse
from segments.rules.vocabulary import ATTRIBUTE_PREFIX, Fact, Type, fact_named, names

# By a fact's type: the kind of literal that it is compared with, and an example of one.
_KINDS = {
    Type.NUMBER: (TokenKind.NUMBER, "100"),
    Type.MONEY: (TokenKind.MONEY, "500 PLN"),
    Type.DURATION: (TokenKind.DURATION, "10m"),
    Type.MOMENT: (TokenKind.DURATION, "7d"),
    Type.AGE: (TokenKind.DURATION, "1h"),
    Type.TEXT: (TokenKind.STRING, '"text"'),
    Type.TEXTS: (TokenKind.STRING, '"text"'),
    Type.WORD: (TokenKind.NAME, ""),
}
_QUANTITIES = frozenset({Type.NUMBER, Type.MONEY, Type.DURATION})
_TEXTS = frozenset({Type.TEXT, Type.TEXTS})
_ORDERINGS = frozenset({"<", "<=", ">", ">="})


def check(text: str, currency: str) -> Condition:
    """The meaning of a rule for an advertiser whose amounts are in `currency`. Raises RuleError."""
    return _Checker(text, currency).condition(parse(text))


class _Checker:
    __slots__ = ("_currency", "_text")

    def __init__(self, text: str, currency: str) -> None:
        self._text = text
        self._currency = currency

    def condition(self, node: syntax.Node) -> Condition:
        match node:
            case syntax.And(parts=parts):
                return conditions.AllOf(tuple(map(self.condition, parts)))
            case syntax.Or(parts=parts):
                return conditions.AnyOf(tuple(map(self.condition, parts)))
            case syntax.Not(part=part):
                return conditions.Opposite(self.condition(part))
            case syntax.Constant(holds=holds):
                return conditions.Fixed(holds)
            case syntax.Has(fact=name):
                return self._has(name)
            case syntax.Comparison():
                return self._comparison(node)
            case syntax.Measure():
                return self._measure(node)
            case syntax.EventClause():
                return self._occurrences(node, least=1, most=None, weighted=False)

    # Facts

    def _fact(self, name: syntax.Name) -> Fact:
        fact = fact_named(name.text)
        if fact is None:
            raise self._fault(name.span, f'there is no fact "{name.text}"', "rule_name", _hint_for_name(name.text))
        if name.text == ATTRIBUTE_PREFIX:
            raise self._fault(name.span, "the attribute has no name", "rule_name", "write attribute.loyalty_tier")
        return fact

    def _has(self, name: syntax.Name) -> Condition:
        fact = self._fact(name)
        if fact.always:
            hint = f"compare it: {fact.name} > 0{' ' + self._currency if fact.type is Type.MONEY else ''}"
            raise self._fault(name.span, f"{fact.name} always has a value, be it 0", "rule_type", hint)
        return conditions.Known(fact)

    def _comparison(self, node: syntax.Comparison) -> Condition:
        fact = self._fact(node.fact)
        if node.direction and fact.type is not Type.MOMENT:
            hint = f"leave it out: {fact.name} is a {fact.type.value}, not a moment"
            if fact.type is Type.AGE:
                hint = f"leave it out: {fact.name} is already a time since something"
            raise self._fault(node.span, f'"{node.direction}" does not belong here', "rule_type", hint)
        if fact.type in {Type.MOMENT, Type.AGE}:
            return self._distance(node, fact)
        if fact.type is Type.ATTRIBUTE:
            return conditions.Test(fact, self._attribute_predicate(node))
        if fact.type in _TEXTS:
            return conditions.Test(fact, self._text_predicate(node, fact))
        return conditions.Test(fact, self._ordered_predicate(node, fact))

    def _distance(self, node: syntax.Comparison, fact: Fact) -> Condition:
        operator, value = node.operator, node.value
        if operator in {"=", "!=", "contains", "like"} or isinstance(value, syntax.Choices):
            hint = f"write {fact.name} > 7d{'' if fact.type is Type.AGE else ' ago'}, or {fact.name} in 1d..7d"
            raise self._fault(node.span, f"a moment cannot be compared with {operator}", "rule_type", hint)
        if fact.type is Type.MOMENT and operator != "in" and not node.direction:
            written = self._text[node.span.start : node.span.end]
            problem = f"{fact.name} is a moment: say how long ago"
            raise self._fault(node.span, problem, "rule_type", f'write "{written} ago"')
        low, high = self._bounds(fact, operator, value)
        return conditions.Distance(fact, low or 0, high, node.direction == "ahead")

    def _ordered_predicate(self, node: syntax.Comparison, fact: Fact) -> predicates.Predicate:
        """Numbers, money, durations and words: all are compared as numbers."""
        value, operator = node.value, node.operator
        if operator in {"contains", "like"}:
            raise self._operator_fault(node, fact, "=, !=, in" + ("" if fact.words and not fact.ordered else ", <, >"))
        if fact.words and not fact.ordered and (operator in _ORDERINGS or isinstance(value, syntax.Range)):
            raise self._operator_fault(node, fact, "=, != and in (a, b)")
        if isinstance(value, syntax.Choices):
            return predicates.one_of_numbers([self._quantity(fact, item) for item in value.items])
        if isinstance(value, syntax.Range):
            low, high = self._quantity(fact, value.low), self._quantity(fact, value.high)
            self._refuse_empty(low, high, value.span)
            return predicates.between(low, high)
        if operator == "in":
            hint = f"write {fact.name} in {_sample_range(fact, self._currency)}, or use ="
            raise self._fault(value.span, '"in" needs a range or a list', "rule_type", hint)
        return predicates.numeric(operator, self._quantity(fact, value))

    def _text_predicate(self, node: syntax.Comparison, fact: Fact) -> predicates.Predicate:
        value, operator = node.value, node.operator
        if operator in _ORDERINGS or isinstance(value, syntax.Range):
            raise self._operator_fault(node, fact, "=, in (a, b), contains and like")
        if operator == "!=" and fact.type is Type.TEXTS:
            hint = f'write not {fact.name} = "...": none of them is'
            raise self._fault(node.span, f"{fact.name} holds several texts", "rule_type", hint)
        if isinstance(value, syntax.Choices):
            texts = [self._string(fact, item) for item in value.items]
            return predicates.textual(_text_match(operator, texts))
        text = self._string(fact, value)
        if operator == "in":
            raise self._fault(value.span, '"in" needs a list', "rule_type", f'write {fact.name} = "{text}"')
        return predicates.textual(_text_match(operator, [text]))

    def _attribute_predicate(self, node: syntax.Comparison) -> predicates.Predicate:
        """The literal's type decides: an attribute of another type does not match."""
        value, operator, fact = node.value, node.operator, self._fact(node.fact)
        first = value.items[0] if isinstance(value, syntax.Choices) else value
        first = first.low if isinstance(first, syntax.Range) else first
        if first.kind is TokenKind.NUMBER:
            return self._ordered_predicate(node, _as(fact, Type.NUMBER))
        if first.kind is TokenKind.STRING:
            return self._text_predicate(node, _as(fact, Type.TEXT))
        if first.text in {"true", "false"} and operator in {"=", "!="}:
            return predicates.is_flag((first.text == "true") == (operator == "="))
        hint = 'attributes are numbers, texts in quotes, true or false: attribute.loyalty_tier = "gold"'
        raise self._fault(first.span, f'"{first.text}" is not a value of an attribute', "rule_type", hint)

    # Events

    def _measure(self, node: syntax.Measure) -> Condition:
        weighted = node.function == "total"
        if node.operator == "!=":
            equal = syntax.Measure(node.function, node.event, "=", node.value, node.span)
            return conditions.Opposite(self._measure(equal))
        counted = Fact(
            name=node.function, type=Type.MONEY if weighted else Type.NUMBER, summary="", reads=frozenset(),
            value=lambda _, __: None,
        )  # fmt: skip
        least, most = self._bounds(counted, node.operator, node.value)
        source = self._source(node.event)
        if weighted and source.amounts is None:
            hint = "total() adds up the value of purchases: total(bought in 30d) >= 500 PLN"
            raise self._fault(node.event.span, "these events have no value", "rule_type", hint)
        if not weighted and (least or 0) > source.limit:
            problem = f"a profile keeps the latest {source.limit} of these, so the count is never higher"
            raise self._fault(node.span, problem, "rule_type", "compare with a smaller number")
        return self._occurrences(node.event, least=least or 0, most=most, weighted=weighted)

    def _occurrences(self, node: syntax.EventClause, *, least: int, most: int | None, weighted: bool) -> Condition:
        source = self._source(node)
        low, high, since = 0, None, None
        if node.period is not None and not source.timed:
            problem = f'a profile does not keep when something was "{node.verb.text}"'
            raise self._fault(node.span, problem, "rule_type", "leave the period out")
        if isinstance(node.period, syntax.InPeriod):
            low, high = node.period.low, node.period.high
        elif node.period is not None:
            since = self._anchor(node.period.moment)
        return conditions.Occurrences(
            source=source, patterns=self._selecting(node), low=low, high=high, since=since, least=least,
            most=most, weighted=weighted,
        )  # fmt: skip

    def _selecting(self, node: syntax.EventClause) -> patterns.Selecting:
        if node.amount is not None:
            return self._price_range(node.amount, node.span)
        texts = [literal.text for literal in node.patterns]
        return patterns.AnyPartPatterns(texts) if node.kind == LABEL else patterns.TextPatterns(texts)

    def _price_range(self, amount: syntax.PriceClause, span: Span) -> patterns.AmountRange:
        price = Fact(name="price", type=Type.MONEY, summary="", reads=frozenset(), value=lambda _, __: None)
        if amount.operator == "!=":
            hint = "write not viewed price = ..., or a range"
            raise self._fault(span, "a price cannot be compared with !=", "rule_type", hint)
        least, most = self._bounds(price, amount.operator, amount.value)
        return patterns.AmountRange(least or 0, most)

    def _anchor(self, name: syntax.Name) -> Fact:
        fact = self._fact(name)
        if fact.type is not Type.MOMENT:
            hint = "moments are: cart, last_visit, visit.start, first_visit, last_purchase"
            raise self._fault(name.span, f"{fact.name} is not a moment", "rule_type", hint)
        return fact

    def _source(self, node: syntax.EventClause) -> HappeningSource:
        verb = node.verb.text
        for literal in node.patterns:
            if literal.kind is not TokenKind.STRING:
                hint = f'put it in quotes: "{literal.text}"'
                raise self._fault(literal.span, "this is not a text", "rule_type", hint)
        source = source_of(verb, node.kind, patterned=bool(node.patterns))
        objects = [kind for known, kind in SOURCES if known == verb.replace("purchased", "bought") and kind]
        forms = " or ".join(f'{verb} {kind} "..."' for kind in objects if kind not in {PRICE, ON_SALE})
        if source is None:
            hint = f"write {forms}" if forms else f"leave {node.kind} out"
            raise self._fault(node.span, f'"{verb} {node.kind}" is not an event', "rule_type", hint)
        if node.patterns and not source.patterned:
            raise self._fault(node.span, f'"{verb}" must say what the text is', "rule_type", f"write {forms}")
        if source.required and not node.patterns:
            hint = f'write {verb} "sign_up"'
            raise self._fault(node.span, f'"{verb}" must name the event', "rule_type", hint)
        return source

    # Values

    def _bounds(
        self, fact: Fact, operator: str, value: syntax.Literal | syntax.Range | syntax.Choices
    ) -> tuple[int | None, int | None]:
        """The lowest and the highest whole number that satisfy a comparison; None where there is no bound."""
        if isinstance(value, syntax.Choices):
            raise self._fault(value.span, "a list does not belong here", "rule_type", "write a range: 1..5")
        if isinstance(value, syntax.Range):
            low, high = self._whole(fact, value.low), self._whole(fact, value.high)
            self._refuse_empty(low, high, value.span)
            return low, high
        number = self._whole(fact, value)
        if operator == "in":
            if value.kind is not TokenKind.DURATION:
                raise self._fault(value.span, '"in" needs a range', "rule_type", "write a range: 1..5")
            return 0, number
        low_high: dict[str, tuple[int | None, int | None]] = {
            "=": (number, number), "<": (None, number - 1), "<=": (None, number), ">": (number + 1, None),
        }  # fmt: skip
        low_bound, high_bound = low_high.get(operator, (number, None))
        if high_bound is not None and high_bound < 0:
            raise self._fault(value.span, "this is never true", "rule_type", "nothing is below zero here")
        return low_bound, high_bound

    def _whole(self, fact: Fact, literal: syntax.Literal) -> int:
        number = self._quantity(fact, literal)
        if number != int(number):
            raise self._fault(literal.span, "a count is a whole number", "rule_type", "round it")
        return int(number)

    def _quantity(self, fact: Fact, literal: syntax.Literal) -> int | float:
        """The value of a literal in the fact's unit, after the check that it is of the fact's type."""
        if fact.type is Type.WORD:
            return self._word(fact, literal)
        wanted, sample = _KINDS[fact.type]
        if literal.kind is not wanted:
            hint = f"write for example {sample}"
            if fact.type is Type.MONEY and literal.kind is TokenKind.NUMBER:
                hint = f"write the currency: {literal.text} {self._currency}"
            raise self._kind_fault(fact, literal, hint)
        if literal.currency and literal.currency != self._currency:
            problem = f"this advertiser's amounts are in {self._currency}, not in {literal.currency}"
            hint = f"write the amount in {self._currency}"
            raise self._fault(literal.span, problem, "rule_type", hint)
        return literal.number

    def _word(self, fact: Fact, literal: syntax.Literal) -> int:
        word = literal.text.lower()
        if literal.kind in {TokenKind.NAME, TokenKind.STRING} and word in fact.words:
            return fact.words.index(word)
        hint = did_you_mean(word, fact.words) or f"{fact.name} is one of: {', '.join(fact.words)}"
        raise self._fault(literal.span, f'"{literal.text}" is not a value of {fact.name}', "rule_type", hint)

    def _string(self, fact: Fact, literal: syntax.Literal | syntax.Range) -> str:
        if isinstance(literal, syntax.Range) or literal.kind is not TokenKind.STRING:
            written = self._text[literal.span.start : literal.span.end]
            raise self._fault(literal.span, f"{fact.name} is a text", "rule_type", f'put it in quotes: "{written}"')
        return literal.text

    # Faults

    def _refuse_empty(self, low: float, high: float, span: Span) -> None:
        if low > high:
            raise self._fault(span, "the range is empty", "rule_type", "the smaller value comes first")

    def _kind_fault(self, fact: Fact, literal: syntax.Literal, hint: str) -> RuleError:
        problem = f"{fact.name} is compared with {_KINDS[fact.type][0].value}, not with {literal.kind.value}"
        return self._fault(literal.span, problem, "rule_type", hint)

    def _operator_fault(self, node: syntax.Comparison, fact: Fact, allowed: str) -> RuleError:
        problem = f"{fact.name} cannot be compared with {node.operator}"
        if isinstance(node.value, syntax.Range):
            problem = f"{fact.name} has no ranges"
        return self._fault(node.span, problem, "rule_type", f"it can be compared with {allowed}")

    def _fault(self, span: Span, problem: str, code: FaultCode, hint: str) -> RuleError:
        return RuleError(self._text, span, problem, code=code, hint=hint)


def _as(fact: Fact, kind: Type) -> Fact:
    return Fact(name=fact.name, type=kind, summary=fact.summary, reads=fact.reads, value=fact.value)


def _text_match(operator: str, texts: list[str]) -> patterns.Matcher:
    if operator == "contains":
        return patterns.contains(texts)
    if operator == "like":
        return patterns.TextPatterns(texts).covers
    matches = patterns.one_of(texts)
    return (lambda text: not matches(text)) if operator == "!=" else matches


def _sample_range(fact: Fact, currency: str) -> str:
    if fact.words:
        return f"({fact.words[1]}, {fact.words[2]})"
    samples = {Type.MONEY: f"100 {currency}..500 {currency}", Type.DURATION: "1m..10m"}
    return samples.get(fact.type, "1..5")


def _hint_for_name(name: str) -> str:
    inside = [known for known in names() if known.startswith(f"{name}.") and not known.endswith(".age")]
    if inside:
        return f"write one of: {', '.join(inside)}"
    everywhere = "docs/segments.md lists all facts; what the shop sent is attribute.<name>"
    return did_you_mean(name, [*names(), *VERBS]) or everywhere
