import pytest

from segments.rules import syntax
from segments.rules.errors import RuleError
from segments.rules.parser import MAX_CHOICES, MAX_NESTING, MAX_TERMS, parse


def outline(node: syntax.Node) -> str:
    """The tree in prefix form."""
    match node:
        case syntax.And(parts=parts):
            return f"and({', '.join(map(outline, parts))})"
        case syntax.Or(parts=parts):
            return f"or({', '.join(map(outline, parts))})"
        case syntax.Not(part=part):
            return f"not({outline(part)})"
        case syntax.Comparison(fact=fact, operator=operator):
            return f"{fact.text}{operator}"
        case syntax.EventClause(verb=verb):
            return verb.text
        case syntax.Measure(function=function, event=event):
            return f"{function}[{event.verb.text}]"
        case syntax.Has(fact=fact):
            return f"has {fact.text}"
        case syntax.Constant(holds=holds):
            return str(holds)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("score > 1 and score > 2 or score > 3", "or(and(score>, score>), score>)"),
        ("score > 1 or score > 2 and score > 3", "or(score>, and(score>, score>))"),
        ("(score > 1 or score > 2) and score > 3", "and(or(score>, score>), score>)"),
        ("not score > 1 and score > 2", "and(not(score>), score>)"),
        ("not (score > 1 and score > 2)", "not(and(score>, score>))"),
        ("not not everyone", "not(not(True))"),
        ('source not in ("a", "b")', "not(sourcein)"),
        ("count(visited in 7d) >= 3", "count[visited]"),
        ('viewed category "a" in 7d and nobody', "and(viewed, False)"),
        ("has cart and not purchased since cart", "and(has cart, not(purchased))"),
    ],
)
def test_binding_strength_is_not_and_or(text: str, tree: str) -> None:
    assert outline(parse(text)) == tree


def test_an_event_has_object_patterns_and_period() -> None:
    node = parse('bought category ("a*", "b") in 1h..7d')
    assert isinstance(node, syntax.EventClause)
    assert (node.kind, [literal.text for literal in node.patterns]) == ("category", ["a*", "b"])
    assert isinstance(node.period, syntax.InPeriod)
    assert (node.period.low, node.period.high) == (3_600, 604_800)


def test_a_period_with_one_duration_begins_now() -> None:
    node = parse("visited in 7d")
    assert isinstance(node, syntax.EventClause)
    assert isinstance(node.period, syntax.InPeriod)
    assert node.period.low == 0


def test_spans_cover_what_was_written() -> None:
    text = "  score in 1..5 "
    node = parse(text)
    assert isinstance(node, syntax.Comparison)
    assert text[node.span.start : node.span.end] == "score in 1..5"
    assert isinstance(node.value, syntax.Range)
    assert text[node.value.span.start : node.value.span.end] == "1..5"


def test_a_negative_number_is_a_value() -> None:
    node = parse("attribute.balance < -2.5")
    assert isinstance(node, syntax.Comparison)
    assert isinstance(node.value, syntax.Literal)
    assert node.value.number == -2.5


def test_the_deepest_allowed_nesting_is_taken_and_one_more_is_not() -> None:
    assert parse("(" * (MAX_NESTING - 1) + "everyone" + ")" * (MAX_NESTING - 1)) == syntax.Constant(True)
    with pytest.raises(RuleError, match="nested deeper"):
        parse("(" * MAX_NESTING + "everyone" + ")" * MAX_NESTING)
    with pytest.raises(RuleError, match="nested deeper"):
        parse("not " * MAX_NESTING + "everyone")


def test_as_many_conditions_as_allowed_are_taken_and_one_more_is_not() -> None:
    assert parse(" or ".join(["everyone"] * MAX_TERMS)) == syntax.Or((syntax.Constant(True),) * MAX_TERMS)
    with pytest.raises(RuleError, match="more than 64 conditions"):
        parse(" or ".join(["everyone"] * (MAX_TERMS + 1)))


def test_a_list_is_bounded() -> None:
    numbers = list(map(str, range(MAX_CHOICES)))
    assert isinstance(parse(f"score in ({', '.join(numbers)})"), syntax.Comparison)
    with pytest.raises(RuleError, match="more than 100 values"):
        parse(f"score in ({', '.join([*numbers, '100'])})")
