import pytest

from segments.rules.errors import RuleError, Span
from segments.rules.lexer import MAX_RULE_CHARS, MAX_STRING_CHARS, Token, TokenKind, tokens_of


def kinds(text: str) -> list[TokenKind]:
    return [token.kind for token in tokens_of(text)][:-1]


def first(text: str) -> Token:
    return tokens_of(text)[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90m", 5_400), ("1h", 3_600), ("14d", 1_209_600), ("2w", 1_209_600), ("1d12h", 129_600), ("1_0s", 10)],
)
def test_a_duration_is_in_seconds(text: str, seconds: int) -> None:
    assert (first(text).kind, first(text).number) == (TokenKind.DURATION, seconds)


@pytest.mark.parametrize("text", ["500 PLN", "500PLN", "500.00 PLN", "5_00\tPLN"])
def test_an_amount_is_in_micros_with_its_currency(text: str) -> None:
    token = first(text)
    assert (token.kind, token.number, token.currency) == (TokenKind.MONEY, 500_000_000, "PLN")
    assert token.span == Span(0, len(text))


def test_a_keyword_in_upper_case_after_a_number_is_no_currency() -> None:
    assert kinds("score > 5 AND 1") == [
        TokenKind.NAME,
        TokenKind.SYMBOL,
        TokenKind.NUMBER,
        TokenKind.KEYWORD,
        TokenKind.NUMBER,
    ]


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("2.5", 2.5), ("1_000_000", 1_000_000)])
def test_a_number_is_whole_unless_it_has_a_point(text: str, value: float) -> None:
    number = first(text).number
    assert (number, type(number)) == (value, type(value))


@pytest.mark.parametrize(("text", "value"), [("1__0", 10), ("7_", 7), ("1_0d", 864_000)])
def test_underscores_in_numbers_are_for_the_eye(text: str, value: int) -> None:
    assert first(text).number == value


def test_digits_of_other_scripts_are_not_numbers() -> None:
    with pytest.raises(RuleError):
        tokens_of("score > \u0663")


def test_a_range_is_two_numbers_and_dots() -> None:
    assert [token.text for token in tokens_of("1..5")] == ["1", "..", "5", ""]
    assert kinds("1h..14d") == [TokenKind.DURATION, TokenKind.SYMBOL, TokenKind.DURATION]


@pytest.mark.parametrize(
    ("text", "value"),
    [('"a b"', "a b"), ("'it\"s'", 'it"s'), (r'"a\"b\\c"', r'a"b\c'), ('"zażółć #"', "zażółć #"), ('""', "")],
)
def test_a_text_may_hold_anything_but_a_line_end(text: str, value: str) -> None:
    assert (first(text).kind, first(text).text) == (TokenKind.STRING, value)


def test_names_and_keywords_are_read_without_case() -> None:
    tokens = tokens_of("Cart.Value AND miejsce_2.x")
    assert [token.text for token in tokens] == ["cart.value", "and", "miejsce_2.x", ""]


def test_comments_and_line_ends_separate_tokens() -> None:
    assert kinds("score # points\n > 3") == [TokenKind.NAME, TokenKind.SYMBOL, TokenKind.NUMBER]


@pytest.mark.parametrize(("text", "symbol"), [("==", "="), ("<>", "!="), ("<=", "<=")])
def test_operators_of_other_languages_that_mean_the_same_are_taken(text: str, symbol: str) -> None:
    assert first(text).text == symbol


@pytest.mark.parametrize("text", ["&", '"abc', "5q", "1h2h", "1.5h", "10000000000000", "4000d", "\x00", "a ~ b"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        tokens_of(text)


def test_limits_are_inclusive() -> None:
    assert tokens_of(" " * MAX_RULE_CHARS)
    assert first(f'"{"x" * MAX_STRING_CHARS}"').text == "x" * MAX_STRING_CHARS
    with pytest.raises(RuleError, match="longer than 4,000"):
        tokens_of(" " * (MAX_RULE_CHARS + 1))


@pytest.mark.parametrize("text", ['"' * 3_999, "\\" * 3_999, '"\\' * 1_999, "1" * 3_999, "a." * 1_999, "9_" * 1_999])
def test_hostile_rules_end_in_an_error_of_ours(text: str) -> None:
    with pytest.raises(RuleError):
        tokens_of(text)
