"""Tokens to a tree, by recursive descent: one method a production of the grammar in docs/segments.md.

Nesting, terms and list lengths are bounded while parsing, so every later pass may recurse and loop without asking.
"""

from segments.facts.traits import BRAND, LABEL, MARGIN, ON_SALE, PRICE
from segments.rules import syntax
from segments.rules.errors import FaultCode, RuleError, Span, did_you_mean
from segments.rules.lexer import Token, TokenKind, tokens_of

# People lose the thread at four levels; one with sixteen is generated. It also bounds every recursion over the tree.
MAX_NESTING = 16

# A rule is evaluated for each event that changes one of its facts; 64 terms keep the slowest at a fraction of a
# millisecond.
MAX_TERMS = 64

# A longer list is an upload of an audience: the shop should send what its members share as an attribute.
MAX_CHOICES = 100

VERBS = frozenset({"visited", "viewed", "liked", "searched", "bought", "purchased", "added", "did"})
COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TRAITS = frozenset({MARGIN, BRAND, LABEL, PRICE, ON_SALE})
_OBJECTS = frozenset({"product", "category", "page"}) | _TRAITS
_LISTABLE = frozenset({"in", "contains", "like"})
_WORDS = frozenset({"true", "false"})

_EXAMPLES = {"margin": "high", "label": "outlet", "brand": "Gino*"}

# Operators of other languages.
_FOREIGN_OPERATORS = {
    "is": 'write "=", or "has" before a fact to ask whether it is known',
    "equals": 'write "="',
    "between": 'write "in 1..5"',
    "matches": 'write "like" with * for any text',
    "starts": 'write like "text*"',
    "ends": 'write like "*text"',
    "within": 'write "in 7d"',
    "before": 'write "> 7d ago"',
    "after": 'write "< 7d ago"',
    "within_last": 'write "in 7d"',
    "older": 'write "> 7d ago"',
}


def parse(text: str) -> syntax.Node:
    """The tree of a rule. Raises RuleError with the place of the first fault."""
    parser = _Parser(text)
    if parser.at_end():
        raise parser.error("the rule is empty", hint='write "everyone" for all visitors')
    node = parser.alternatives(0)
    if not parser.at_end():
        raise parser.unexpected('"and", "or" or the end of the rule', hint=parser.hint_for_rest())
    return node


class _Parser:
    __slots__ = ("_position", "_terms", "_text", "_tokens", "token")

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._position = 0
        self._terms = 0
        self.token: Token = self._tokens[0]

    def at_end(self) -> bool:
        return self.token.kind is TokenKind.END

    # Connectives

    def alternatives(self, depth: int) -> syntax.Node:
        parts = [self._conjunction(depth)]
        while self._accept("or"):
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else syntax.Or(tuple(parts))

    def _conjunction(self, depth: int) -> syntax.Node:
        parts = [self._negation(depth)]
        while self._accept("and"):
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else syntax.And(tuple(parts))

    def _negation(self, depth: int) -> syntax.Node:
        if depth >= MAX_NESTING:
            problem = f"the rule is nested deeper than {MAX_NESTING} levels"
            raise self.error(problem, code="rule_limit", hint="split it into several segments")
        if self._accept("not"):
            return syntax.Not(self._negation(depth + 1))
        if self._accept("("):
            node = self.alternatives(depth + 1)
            self._expect(")")
            return node
        return self._test()

    # Tests

    def _test(self) -> syntax.Node:
        self._count_term()
        token = self.token
        if token.kind is TokenKind.KEYWORD:
            return self._keyword_test(token)
        if token.kind is not TokenKind.NAME:
            raise self.unexpected("a fact or an event", hint=self._hint_for_missing_fact(token))
        name = self._name()
        if name.text in VERBS:
            return self._event(name)
        if self.token.kind is TokenKind.STRING or self.token.text in _OBJECTS:
            hint = did_you_mean(name.text, VERBS) or "events are: visited, viewed, liked, searched, bought, added, did"
            raise RuleError(self._text, name.span, f'there is no event "{name.text}"', code="rule_name", hint=hint)
        return self._comparison(name)

    def _keyword_test(self, token: Token) -> syntax.Node:
        if token.text in {"everyone", "nobody"}:
            self._advance()
            return syntax.Constant(token.text == "everyone")
        if self._accept("has"):
            return syntax.Has(self._name())
        if token.text in {"count", "total"}:
            self._advance()
            return self._measure(token)
        hint = f"say of which event: viewed {token.text}, bought {token.text} or added {token.text}"
        raise self.unexpected("a fact or an event", hint=hint if token.text in _TRAITS else "")

    def _measure(self, function: Token) -> syntax.Measure:
        self._expect("(")
        verb = self._name()
        if verb.text not in VERBS:
            hint = did_you_mean(verb.text, VERBS) or f"write for example {function.text}(bought in 30d)"
            raise RuleError(self._text, verb.span, f'there is no event "{verb.text}"', code="rule_name", hint=hint)
        event = self._event(verb)
        self._expect(")")
        operator = self._operator()
        if operator not in COMPARISONS and operator != "in":
            raise self.unexpected("a comparison", at=self._previous)
        value = self._range_or_literal() if operator == "in" else self._literal()
        return syntax.Measure(function.text, event, operator, value, self._span_from(function.span))

    def _event(self, verb: syntax.Name) -> syntax.EventClause:
        kind = self._object()
        amount = self._amount(verb) if kind == PRICE else None
        patterns: tuple[syntax.Literal, ...] = ()
        if kind not in {PRICE, ON_SALE}:
            patterns = self._patterns(verb, kind)
        period = self._period()
        return syntax.EventClause(verb, kind, patterns, period, self._span_from(verb.span), amount)

    def _patterns(self, verb: syntax.Name, kind: str) -> tuple[syntax.Literal, ...]:
        if kind and self.token.kind is not TokenKind.STRING and self.token.text != "(":
            example = _EXAMPLES.get(kind, "shoes*")
            raise self.unexpected("a text in quotes", hint=f'write for example {verb.text} {kind} "{example}"')
        if self.token.kind is TokenKind.STRING:
            return (self._literal(),)
        if self.token.text == "(" and self.token.kind is TokenKind.SYMBOL:
            return self._choices().items
        return ()

    def _amount(self, verb: syntax.Name) -> syntax.PriceClause:
        """Parse what a price is compared with; `check` looks at the type of the value."""
        hint = f"write for example {verb.text} price >= 200 PLN"
        operator = self.token.text
        if operator not in COMPARISONS and operator != "in":
            raise self.unexpected("a comparison", hint=hint)
        self._advance()
        value = self._range_or_literal() if operator == "in" else self._literal()
        if operator == "in" and not isinstance(value, syntax.Range):
            hint = f"write a range: {verb.text} price in 100 PLN..200 PLN"
            raise RuleError(self._text, value.span, '"in" needs a range', code="rule_type", hint=hint)
        return syntax.PriceClause(operator, value)

    def _object(self) -> str:
        token = self.token
        if token.kind is not TokenKind.KEYWORD or token.text not in _OBJECTS:
            return ""
        self._advance()
        return token.text

    def _period(self) -> syntax.InPeriod | syntax.Since | None:
        start = self.token.span
        if self._accept("since"):
            return syntax.Since(self._name())
        if not self._accept("in"):
            return None
        value = self._range_or_literal()
        low, high = (value.low, value.high) if isinstance(value, syntax.Range) else (None, value)
        for bound in (low, high):
            if bound is not None and bound.kind is not TokenKind.DURATION:
                hint = 'a period is a duration: "in 7d" or "in 1d..7d"'
                raise RuleError(self._text, bound.span, "this is not a duration", code="rule_type", hint=hint)
        self._accept("ago")
        lowest = int(low.number) if low else 0
        if lowest > high.number:
            hint = "the shorter duration comes first"
            raise RuleError(self._text, value.span, "the period is empty", code="rule_type", hint=hint)
        return syntax.InPeriod(lowest, int(high.number), self._span_from(start))

    def _comparison(self, fact: syntax.Name) -> syntax.Node:
        negated = self._accept("not")
        if negated and self.token.text not in _LISTABLE:
            hint = f'write "not" before the condition: not {fact.text} ...'
            raise self.unexpected('"in", "contains" or "like" after "not"', hint=hint)
        operator = self._operator()
        value: syntax.Literal | syntax.Range | syntax.Choices
        if operator in _LISTABLE and self.token.text == "(":
            value = self._choices()
        else:
            value = self._range_or_literal() if operator == "in" else self._literal()
        direction = self.token.text if self.token.text in {"ago", "ahead"} else ""
        if direction:
            self._advance()
        node = syntax.Comparison(fact, operator, value, direction, self._span_from(fact.span))
        return syntax.Not(node) if negated else node

    def _operator(self) -> str:
        token = self.token
        if token.kind is TokenKind.SYMBOL and token.text in COMPARISONS:
            self._advance()
            return token.text
        if token.kind is TokenKind.KEYWORD and token.text in _LISTABLE:
            self._advance()
            return token.text
        hint = _FOREIGN_OPERATORS.get(token.text, "")
        if not hint and token.kind in {TokenKind.END, TokenKind.KEYWORD}:
            hint = 'write "has" before a fact to ask whether it is known: has cart'
        raise self.unexpected("a comparison (=, !=, <, <=, >, >=, in, contains, like)", hint=hint)

    # Values

    def _range_or_literal(self) -> syntax.Literal | syntax.Range:
        low = self._literal()
        if not self._accept(".."):
            return low
        high = self._literal()
        return syntax.Range(low, high, self._span_from(low.span))

    def _choices(self) -> syntax.Choices:
        start = self.token.span
        self._expect("(")
        items = [self._literal()]
        while self._accept(","):
            if len(items) == MAX_CHOICES:
                problem = f"the list has more than {MAX_CHOICES} values"
                raise self.error(problem, code="rule_limit", hint="send what they share as an attribute of the visitor")
            items.append(self._literal())
        self._expect(")")
        return syntax.Choices(tuple(items), self._span_from(start))

    def _literal(self) -> syntax.Literal:
        start = self.token.span
        negative = self._accept("-")
        token = self.token
        if negative and token.kind is not TokenKind.NUMBER:
            raise self.unexpected("a number after the minus sign")
        bare = token.kind is TokenKind.NAME or (token.kind is TokenKind.KEYWORD and token.text in _WORDS)
        if not bare and token.kind not in {TokenKind.STRING, TokenKind.NUMBER, TokenKind.MONEY, TokenKind.DURATION}:
            raise self.unexpected("a value")
        self._advance()
        kind = TokenKind.NAME if bare else token.kind
        number = -token.number if negative else token.number
        return syntax.Literal(kind, token.text, self._span_from(start), number, token.currency)

    def _name(self) -> syntax.Name:
        token = self.token
        if token.kind is not TokenKind.NAME:
            raise self.unexpected("a name")
        self._advance()
        return syntax.Name(token.text, token.span)

    # Tokens

    @property
    def _previous(self) -> Token:
        return self._tokens[self._position - 1]

    def _advance(self) -> None:
        self._position += 1
        self.token = self._tokens[self._position]

    def _accept(self, text: str) -> bool:
        if self.token.text != text or self.token.kind not in {TokenKind.SYMBOL, TokenKind.KEYWORD}:
            return False
        self._advance()
        return True

    def _expect(self, symbol: str) -> None:
        if not self._accept(symbol):
            raise self.unexpected(f'"{symbol}"')

    def _span_from(self, start: Span) -> Span:
        return Span(start.start, self._previous.span.end)

    def _count_term(self) -> None:
        self._terms += 1
        if self._terms > MAX_TERMS:
            problem = f"the rule has more than {MAX_TERMS} conditions"
            raise self.error(problem, code="rule_limit", hint="use lists, or split it into several segments")

    # Errors

    def error(self, problem: str, *, code: FaultCode = "rule_syntax", hint: str = "") -> RuleError:
        """A fault at the current token."""
        return RuleError(self._text, self.token.span, problem, code=code, hint=hint)

    def unexpected(self, wanted: str, *, hint: str = "", at: Token | None = None) -> RuleError:
        """A fault because another token was needed here."""
        token = at or self.token
        shown = (
            token.kind.value if token.kind is TokenKind.END else f'"{self._text[token.span.start : token.span.end]}"'
        )
        return RuleError(self._text, token.span, f"{shown} stands where {wanted} is expected", hint=hint)

    def hint_for_rest(self) -> str:
        """What was probably meant by a token after a complete condition."""
        if self._previous.kind is TokenKind.NUMBER and self.token.kind is TokenKind.NAME:
            return "units follow the number at once: 30s, 5m, 12h, 7d, 2w; currencies are upper case: 500 PLN"
        return ""

    def _hint_for_missing_fact(self, token: Token) -> str:
        if token.text in COMPARISONS:
            return 'repeat the fact on both sides of "and", or write a range: cart.value in 100 PLN..500 PLN'
        if token.kind in {TokenKind.STRING, TokenKind.NUMBER, TokenKind.MONEY, TokenKind.DURATION}:
            return "the fact comes first, then the comparison, then the value: score >= 100"
        return ""
