import pytest

from core.model import Clearing, Exchange, PriceEncryption
from core.money import FxTable
from pacing.notices.claims import Terms, terms_of
from pacing.notices.price_forms import NO_PRICE, BidTerms, NoticePrice, PriceForm, read_price

FX = FxTable("PLN", {"USD": 4_000_000})
BID = BidTerms(5_000_000, "PLN")
PLAIN = Exchange(id=1, key="plain")
HOUSE = Exchange(id=1, key="house", clearing=Clearing.HOUSE)
ENCRYPTED = Exchange(
    id=1,
    key="google",
    price_encryption=PriceEncryption.GOOGLE,
    encryption_key="skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o=",
    integrity_key="arO23ykdNqUQ5LEoQ0FVmPkBd7xB5CO89PDZlSjpFxo=",
)


def read(text: str | None, currency: str | None = None, exchange: Exchange | None = PLAIN) -> NoticePrice:
    terms = terms_of(exchange) if exchange else Terms()
    return read_price(text, currency, BID, terms, exchange, FX)


@pytest.mark.parametrize(
    ("text", "form", "cpm"),
    [
        ("1.23", PriceForm.NUMBER, 1_230_000),
        (" 1.23 ", PriceForm.NUMBER, 1_230_000),
        ("0", PriceForm.NUMBER, 0),
        ("5", PriceForm.NUMBER, 5_000_000),
        ("5.01", PriceForm.ABOVE_BID, 5_000_000),
        ("1e9", PriceForm.MALFORMED, NO_PRICE),
        (None, PriceForm.ABSENT, NO_PRICE),
        ("", PriceForm.ABSENT, NO_PRICE),
        ("AUDIT", PriceForm.AUDIT, NO_PRICE),
        ("audit", PriceForm.AUDIT, NO_PRICE),
        ("${AUCTION_PRICE}", PriceForm.MACRO, NO_PRICE),
        ("%24%7BAUCTION_PRICE%7D", PriceForm.MACRO, NO_PRICE),
        ("%%WINNING_PRICE%%", PriceForm.MACRO, NO_PRICE),
        ("-1", PriceForm.MALFORMED, NO_PRICE),
        ("nan", PriceForm.MALFORMED, NO_PRICE),
        ("inf", PriceForm.MALFORMED, NO_PRICE),
        ("1,5", PriceForm.MALFORMED, NO_PRICE),
        ("9" * 200, PriceForm.MALFORMED, NO_PRICE),
    ],
)
def test_each_form_of_a_price_has_one_meaning(text: str | None, form: PriceForm, cpm: int) -> None:
    assert read(text) == NoticePrice(form, cpm)


@pytest.mark.parametrize("currency", [None, "", "PLN", "pln", "${AUCTION_CURRENCY}", "%24%7BAUCTION_CURRENCY%7D"])
def test_a_currency_that_is_not_named_is_the_auctions(currency: str | None) -> None:
    assert read("1.00", currency) == NoticePrice(PriceForm.NUMBER, 1_000_000)


def test_a_price_in_another_currency_is_converted_and_then_judged() -> None:
    assert read("1.00", "USD") == NoticePrice(PriceForm.CONVERTED, 4_000_000)
    assert read("1.30", "USD") == NoticePrice(PriceForm.ABOVE_BID, 5_000_000)


def test_a_currency_without_a_rate_makes_the_price_worthless() -> None:
    assert read("1.00", "XYZ") == NoticePrice(PriceForm.UNKNOWN_CURRENCY, NO_PRICE)


def test_an_encrypted_price_is_decrypted() -> None:
    assert read("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgA", exchange=ENCRYPTED) == NoticePrice(
        PriceForm.ENCRYPTED, 1_900_000
    )


@pytest.mark.parametrize("text", ["1.23", "garbage", "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxPgA"])
def test_what_is_not_encrypted_by_the_exchange_is_not_believed(text: str) -> None:
    assert read(text, exchange=ENCRYPTED) == NoticePrice(PriceForm.UNDECRYPTABLE, NO_PRICE)


def test_the_house_rule_does_not_look_at_prices_but_sees_reviews() -> None:
    assert read("1.23", exchange=HOUSE) == NoticePrice(PriceForm.HOUSE, NO_PRICE)
    assert read("AUDIT", exchange=HOUSE) == NoticePrice(PriceForm.AUDIT, NO_PRICE)


def test_an_exchange_that_is_gone_is_read_as_a_plain_one() -> None:
    assert read("1.23", exchange=None) == NoticePrice(PriceForm.NUMBER, 1_230_000)
