import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from core.errors import ConfigError
from core.model import AuctionType, BillingEvent, Clearing, PriceEncryption, UnreadablePrice
from core.money import MAX_CPM_MICROS
from core.terms import FORMATS_BY_NUMBER
from pacing.budgets.timing import DEFAULT_MAX_AGE_S, MAX_CLOCK_SKEW_S
from pacing.notices.claims import Claims, Terms, landing_digest
from pacing.notices.tokens import TOKEN_CHARS, TokenError, TokenFault, TokenSigner
from tests.kit.old_tokens import old_token

NOW = 1_790_000_000
SIGNER = TokenSigner({1: b"a" * 32})

ids = st.integers(0, 2**32 - 1)
prices = st.integers(0, MAX_CPM_MICROS // 10_000).map(lambda groszes: groszes * 10_000)
claims_of_any_kind = st.builds(
    Claims,
    share=st.integers(0, 255),
    line_item_id=ids,
    advertiser_id=ids,
    campaign_id=ids,
    creative_id=ids,
    exchange_id=ids,
    lease_id=st.integers(0, 2**53),
    reserved_micros=st.integers(0, 2**53),
    bid_cpm=prices,
    second_cpm=prices,
    floor_cpm=prices,
    currency=st.sampled_from(("PLN", "USD", "JPY")),
    nonce=st.integers(0, 2**64 - 1),
    terms=st.builds(
        Terms,
        st.sampled_from(BillingEvent),
        st.sampled_from(Clearing),
        st.sampled_from(PriceEncryption),
        st.sampled_from(UnreadablePrice),
    ),
    auction_type=st.sampled_from(AuctionType),
    format=st.sampled_from(FORMATS_BY_NUMBER),
    multiplier_milli=st.integers(0, 2**32 - 1),
    shading=st.integers(0, 2**16 - 1),
    arm=st.integers(0, 255),
    model_version=st.integers(0, 2**16 - 1),
    issued_s=st.just(NOW),
    user_id=st.sampled_from(("", "A" * 22, "zz-_" * 5 + "zz")),
    landing=st.binary(min_size=8, max_size=8),
    is_test=st.booleans(),
)
CLAIMS = Claims(
    share=0, line_item_id=1, advertiser_id=2, campaign_id=3, creative_id=4, exchange_id=5, lease_id=6,
    reserved_micros=1_230, bid_cpm=1_230_000, second_cpm=0, floor_cpm=0, currency="PLN", issued_s=NOW,
    nonce=77, terms=Terms(),
)  # fmt: skip


def fault_of(signer: TokenSigner, token: str | bytes, now: int = NOW) -> TokenFault:
    with pytest.raises(TokenError) as caught:
        signer.verify(token, now)
    return caught.value.fault


@given(claims_of_any_kind)
def test_a_token_says_what_was_signed(claims: Claims) -> None:
    token = SIGNER.sign(claims)
    assert len(token) == TOKEN_CHARS <= 160
    assert SIGNER.verify(token, NOW) == claims
    assert SIGNER.verify(token.decode(), NOW) == claims


@pytest.mark.parametrize("place", range(120))
def test_a_change_of_any_bit_of_any_byte_is_found(place: int) -> None:
    raw = base64.urlsafe_b64decode(SIGNER.sign(CLAIMS))
    for bit in range(8):
        changed = bytearray(raw)
        changed[place] ^= 1 << bit
        fault = fault_of(SIGNER, base64.urlsafe_b64encode(bytes(changed)))
        assert fault is (TokenFault.UNKNOWN_KEY if place < 2 else TokenFault.FORGED), bit


@given(st.integers(0, TOKEN_CHARS - 1), st.characters(codec="utf-8"))
def test_a_change_of_any_character_is_found(place: int, character: str) -> None:
    token = SIGNER.sign(CLAIMS).decode()
    changed = token[:place] + character + token[place + 1 :]
    if changed != token:
        assert fault_of(SIGNER, changed) in {TokenFault.MALFORMED, TokenFault.FORGED, TokenFault.UNKNOWN_KEY}


@given(st.text(max_size=200))
def test_any_text_is_refused_without_another_error(text: str) -> None:
    assert fault_of(SIGNER, text) in set(TokenFault)


def test_prices_off_the_grid_are_lifted_to_it() -> None:
    lifted = SIGNER.verify(SIGNER.sign(structs.replace(CLAIMS, floor_cpm=10_001, second_cpm=1)), NOW)
    assert (lifted.floor_cpm, lifted.second_cpm) == (20_000, 10_000)


def test_an_old_key_is_accepted_until_it_is_taken_out() -> None:
    old = SIGNER.sign(CLAIMS)
    rotated = TokenSigner({1: b"a" * 32, 2: b"b" * 32})
    assert rotated.verify(old, NOW) == CLAIMS
    assert fault_of(SIGNER, rotated.sign(CLAIMS)) is TokenFault.UNKNOWN_KEY
    assert fault_of(TokenSigner({2: b"b" * 32}), old) is TokenFault.UNKNOWN_KEY
    assert fault_of(TokenSigner({1: b"c" * 32}), old) is TokenFault.FORGED


@pytest.mark.parametrize("layout", [0, 1, 2, 4, 255])
def test_a_token_of_another_layout_is_refused_though_its_key_is_known(
    monkeypatch: pytest.MonkeyPatch, layout: int
) -> None:
    signer = TokenSigner({1: b"k" * 32})
    monkeypatch.setattr("pacing.notices.tokens.LAYOUT", layout)
    token = signer.sign(CLAIMS)
    monkeypatch.undo()
    assert fault_of(signer, token) is TokenFault.UNKNOWN_KEY


@pytest.mark.parametrize("terms", [6, 7, 0b0110_0000, 0b1110_0000])
def test_terms_of_a_later_release_are_not_guessed(monkeypatch: pytest.MonkeyPatch, terms: int) -> None:
    monkeypatch.setattr("pacing.notices.tokens.encode_terms", lambda _terms, **_marks: terms)
    token = SIGNER.sign(CLAIMS)
    assert fault_of(SIGNER, token) is TokenFault.UNKNOWN_KEY


def test_an_auction_of_an_unknown_type_counts_as_first_price() -> None:
    claims = SIGNER.verify(SIGNER.sign(structs.replace(CLAIMS, auction_type=200)), NOW)
    assert claims.auction_type is AuctionType.FIRST_PRICE


def test_each_bid_of_each_process_has_a_nonce_of_its_own() -> None:
    signers = [TokenSigner({1: b"a" * 32}) for _ in range(20)]
    nonces = [next(signer.nonces) for signer in signers for _ in range(1_000)]
    assert len(set(nonces)) == len(nonces)
    assert all(0 <= nonce < 2**64 for nonce in nonces)
    steps = {(later - earlier) % 2**64 for earlier, later in itertools.pairwise(nonces[:1_000])}
    assert len(steps) == 1 != steps.pop(), "how many bids lie between two tokens is not to be seen"


def test_a_token_of_layout_2_is_read() -> None:
    token = old_token(
        b"a" * 32, share=3, line_item_id=1, advertiser_id=2, campaign_id=3, creative_id=4, exchange_id=5,
        landing=b"12345678", currency="USD", request_id="r", issued_s=NOW, user_id="u" * 22, lease_id=6,
        reserved_micros=7, bid_groszes=800, second_groszes=9, floor_groszes=10, position=11,
    )  # fmt: skip
    claims = SIGNER.verify(token, NOW)
    assert claims == Claims(
        share=3, line_item_id=1, advertiser_id=2, campaign_id=3, creative_id=4, exchange_id=5, landing=b"12345678",
        currency="USD", issued_s=NOW, user_id="u" * 22, lease_id=6, reserved_micros=7, bid_cpm=8_000_000,
        second_cpm=90_000, floor_cpm=100_000, auction=claims.auction, position=11,
    )  # fmt: skip
    assert len(claims.auction) == 8
    assert claims.terms is None
    changed = token[:50] + ("A" if token[50] != "A" else "B") + token[51:]
    assert fault_of(SIGNER, changed) is TokenFault.FORGED
    assert fault_of(SIGNER, token, NOW + DEFAULT_MAX_AGE_S + 1) is TokenFault.EXPIRED


def test_a_click_on_a_product_is_signed_for_this_bid_product_and_page() -> None:
    url = "https://shop.example/shoe?x=1&y=2"
    signature = SIGNER.sign_click(77, "shoe-1", url)
    assert len(signature) == 16
    assert SIGNER.is_signed_click(77, "shoe-1", url, signature)
    assert not SIGNER.is_signed_click(78, "shoe-1", url, signature)
    assert not SIGNER.is_signed_click(77, "shoe-2", url, signature)
    assert not SIGNER.is_signed_click(77, "shoe-1", url + "3", signature)
    assert not SIGNER.is_signed_click(77, "shoe-1" + url[:1], url[1:], signature)
    assert not SIGNER.is_signed_click(77, "shoe-1", url, signature[:-1] + "\u0105")
    assert not SIGNER.is_signed_click(77, "shoe-1", url, "")
    rotated = TokenSigner({1: b"a" * 32, 2: b"b" * 32})
    assert rotated.is_signed_click(77, "shoe-1", url, signature)
    assert rotated.sign_click(77, "shoe-1", url) != signature


def test_a_key_may_wait_before_it_signs() -> None:
    waiting = TokenSigner({1: b"a" * 32, 2: b"b" * 32}, signing_key_id=1)
    assert waiting.sign(CLAIMS) == SIGNER.sign(CLAIMS)


def test_a_token_expires_and_still_tells_its_claims() -> None:
    token = SIGNER.sign(CLAIMS)
    assert SIGNER.verify(token, NOW + DEFAULT_MAX_AGE_S) == CLAIMS
    with pytest.raises(TokenError) as caught:
        SIGNER.verify(token, NOW + DEFAULT_MAX_AGE_S + 1)
    assert (caught.value.fault, caught.value.claims) == (TokenFault.EXPIRED, CLAIMS)


def test_clocks_may_differ_up_to_the_stated_bound() -> None:
    token = SIGNER.sign(CLAIMS)
    assert SIGNER.verify(token, NOW - MAX_CLOCK_SKEW_S) == CLAIMS
    assert fault_of(SIGNER, token, NOW - MAX_CLOCK_SKEW_S - 1) is TokenFault.FROM_THE_FUTURE


@pytest.mark.parametrize("keys", [{}, {256: b"a" * 32}, {1: b"short"}, {1: b"a" * 65}])
def test_unfit_keys_are_refused(keys: dict[int, bytes]) -> None:
    with pytest.raises(ConfigError):
        TokenSigner(keys)


def test_a_signing_key_without_a_secret_is_refused() -> None:
    with pytest.raises(ConfigError, match="key 3"):
        TokenSigner({1: b"a" * 32}, signing_key_id=3)


def test_digests_tell_pages_apart() -> None:
    assert landing_digest("https://a.example/") != landing_digest("https://a.example/?")
