"""Win prices, plain and encrypted."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.model import Exchange, PriceEncryption
from core.money import MAX_CPM_MICROS
from pacing.notices.prices import PriceError, PriceKeys, UnfilledPrice, decrypt_price, keys_of

GOOGLE, RUBICON, PLAIN = PriceEncryption.GOOGLE, PriceEncryption.RUBICON, PriceEncryption.NONE
NO_KEYS = PriceKeys()


@pytest.fixture
def vectors(corpus: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((corpus / "price_encryption.json").read_text(encoding="utf-8"))
    return data


def google_keys(vectors: dict[str, Any], name: str) -> PriceKeys:
    (keys,) = [keys for keys in vectors["google_openx"]["keys"] if keys["name"] == name]
    return PriceKeys(encryption=keys["e_key"], integrity=keys["i_key"])


def test_google_prices_decrypt_to_the_cpm_they_hide(vectors: dict[str, Any]) -> None:
    for vector in vectors["google_openx"]["vectors"]:
        keys = google_keys(vectors, vector["keys"])
        cpm = Decimal(vector["cpm"]) * 1_000_000
        if cpm <= MAX_CPM_MICROS:
            assert decrypt_price(vector["cipher"], GOOGLE, keys) == cpm
        else:
            with pytest.raises(PriceError, match="out of range"):
                decrypt_price(vector["cipher"], GOOGLE, keys)


def test_google_prices_that_were_touched_are_refused(vectors: dict[str, Any]) -> None:
    for vector in vectors["google_openx"]["invalid"]:
        keys = google_keys(vectors, vector["keys"])
        if vector.get("swap_keys"):
            keys = PriceKeys(encryption=keys.integrity, integrity=keys.encryption)
        with pytest.raises(PriceError):
            decrypt_price(vector["cipher"], GOOGLE, keys)


def test_keys_may_be_in_either_base64_and_unpadded(vectors: dict[str, Any]) -> None:
    vector = vectors["google_openx"]["vectors"][0]
    keys = google_keys(vectors, vector["keys"])
    plain = PriceKeys(
        encryption=keys.encryption.replace("-", "+").replace("_", "/").rstrip("="),
        integrity=keys.integrity.replace("-", "+").replace("_", "/").rstrip("="),
    )
    assert plain != keys
    assert decrypt_price(vector["cipher"], GOOGLE, plain) == decrypt_price(vector["cipher"], GOOGLE, keys)


@pytest.mark.parametrize("key", ["", "not base64!", "A"])
def test_a_key_that_is_no_key_is_named_as_the_fault(vectors: dict[str, Any], key: str) -> None:
    cipher = vectors["google_openx"]["vectors"][0]["cipher"]
    with pytest.raises(PriceError, match="key is not base64"):
        decrypt_price(cipher, GOOGLE, PriceKeys(encryption=key, integrity=key))


def test_rubicon_prices_decrypt(vectors: dict[str, Any]) -> None:
    for vector in vectors["rubicon_bf"]["vectors"]:
        keys = PriceKeys(encryption=vector["key"])
        assert decrypt_price(vector["cipher"], RUBICON, keys) == Decimal(vector["cpm"]) * 1_000_000


def test_rubicon_prices_that_are_none_are_refused(vectors: dict[str, Any]) -> None:
    for vector in vectors["rubicon_bf"]["invalid"]:
        with pytest.raises(PriceError):
            decrypt_price(vector["cipher"], RUBICON, PriceKeys(encryption=vector["key"]))
    with pytest.raises(PriceError, match="key has no length"):
        decrypt_price("386C13726472656E", RUBICON, NO_KEYS)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("1.25", 1_250_000),
        ("1.", 1_000_000),
        (".5", 500_000),
        (" 2 ", 2_000_000),
        ("1%2E5", 1_500_000),
        ("0.0000004", 0),
        ("0.0000005", 1),
        ("1.0E-4", 100),
        ("2e1", 20_000_000),
        ("1000000", MAX_CPM_MICROS),
    ],
)
def test_plain_prices(text: str, micros: int) -> None:
    assert decrypt_price(text, PLAIN, NO_KEYS) == micros


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "+1",
        "nan",
        "inf",
        "1,5",
        "1 2",
        "٣",
        "0x1",
        "1e99",
        "1e999",
        "1000000.01",
        "9" * 65,
        "1.5PLN",
        "1..2",
        ".",
    ],
)
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(PriceError) as caught:
        decrypt_price(text, PLAIN, NO_KEYS)
    assert not isinstance(caught.value, UnfilledPrice)


@pytest.mark.parametrize("scheme", list(PriceEncryption))
@pytest.mark.parametrize(
    "text",
    ["", "  ", "AUDIT", "${AUCTION_PRICE}", "%24%7BAUCTION_PRICE%7D", "${AUCTION_PRICE:BF}", "%%WINNING_PRICE%%"],
)
def test_a_macro_that_was_not_filled_in_is_told_apart(text: str, scheme: PriceEncryption) -> None:
    with pytest.raises(UnfilledPrice):
        decrypt_price(text, scheme, NO_KEYS)


def test_keys_come_from_the_exchange() -> None:
    exchange = Exchange(id=1, key="x", encryption_key="a", integrity_key="b")
    assert keys_of(exchange) == PriceKeys(encryption="a", integrity="b")
