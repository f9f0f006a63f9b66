import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import is_hash_of_nothing, is_unfilled, is_user_id, means_nobody, new_user_id


def test_new_ids_have_the_shape_of_ids_and_differ() -> None:
    made = {new_user_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(is_user_id(user_id) for user_id in made)


@pytest.mark.parametrize(
    "text", ["", "a" * 21, "a" * 23, "a" * 21 + " ", "ą" * 22, "a" * 21 + "+", "a" * 21 + "\n", "²" * 22]
)
def test_anything_else_is_somebody_else_s(text: str) -> None:
    assert not is_user_id(text)


def test_dashes_and_underscores_are_part_of_the_alphabet() -> None:
    assert is_user_id("-" * 21 + "a")
    assert is_user_id("a" + "_" * 21)


@pytest.mark.parametrize(
    "text",
    [
        "$UID", "[UID]", "${USER_ID}", "{uid}", "{{uid}}", "<uid>", "%%UID%%", "%24%7BUSER_ID%7D", "__UID__", "##UID##",
        "@@UID@@", "$!{user.id}", "(uid)", "0", "00000000", "-1", "-", "", "  ", "null", "NULL", "(null)", "undefined",
        "Undefined",
        "none", "OPTOUT", "opt-out", "unknown", "uid", "user_id", "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "0000000000000000000000",
        "<script>alert(1)</script>", "[object Object]", "a b", "'; DROP", "%3Cuid%3E", "partner_uid", "$" * 30,
        "NO_CONSENT", "noconsent", "REPLACE_ME", "not-set", "error", "opt_out=1", "!UID!", "|UID|", "~UID~", "#UID",
        "%UID%", "%2524UID", "%257Buid%257D", "11111111-1111-1111-1111-111111111111", "undefinedundefined",
        "00000000-0000-0000-0000-000000000001", "12345678-1234-1234-1234-123456789012", "consent_required", "idfa",
        "UID_HERE", "YOUR_USER_ID", "your-user-id-here", "ID_PLACEHOLDER", "SSP_USER_ID", "EXTERNAL_USER_ID",
        "userIdMacro", "CONSENT_STRING", "user_macro", "bidswitch_ssp_id", "insert-user-id-here", "test", "gdpr=1",
        "%00", "USER.ID", "PublisherUserId", "unknown_user", "no-user-id", "id_of_user", "*|UID|*", "&uid;", "uid=",
        "unavailable", "not-available", "private", "masked", "anonymized", "limit_ad_tracking_enabled", "LIMITED",
        "cookies_disabled", "UIDMACRO", "not_consented", "denied", "blocked_by_user", "ZERO_UUID", "ID5*null",
        "ID5-DISABLED", "uid:undefined", "guest_user", "d41d8cd98f00b204e9800998ecf8427e", "Infinity",
        "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709", "12345678-1234-5678-1234-567812345678",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "deadbeef-dead-beef-dead-beefdeadbeef",
    ],
)  # fmt: skip
def test_a_placeholder_is_nobody(text: str) -> None:
    assert means_nobody(text)


@pytest.mark.parametrize(
    "text",
    [
        "7", "42", "1234567890", "6D92078A-8246-4BA4-AE5B-76104861E7DC", "CAESEFPxfvNZq3hMeW2dQgJUwRs", "a1b2c3d4",
        "AMsySZbXZ-3m9QzWq", "8d2f1c0e~k2", "ID5*aBcD-12_x", "1a00000000000000", "user123456", "abc@example.com|x",
        "0f0e0d0c0b0a09080706050403020100", "XQ4-aB9_zz01LmNoPqRsTu", "u" * 22, "p=AbC+/=", "theirs-1", "%7E12ab",
        "~x1", "#1001", "11111111-1111-1111-1111-111111111112", "1f1e1d1c1b1a19181716151413121110", "*ab-12", "errors",
        "user-1", "exchange-user-1", "their-id-7", "kRmWqXvBnTzLpYs", "idUserXq", "anna", "uidA", "dc=1",
        "ID5*nullable1", "abc&uid", "d41d8cd98f00b204e9800998ecf8427f", "blockedX7",
    ],
)  # fmt: skip
def test_an_id_is_somebody(text: str) -> None:
    assert not means_nobody(text)


@given(st.binary(min_size=16, max_size=16))
def test_a_random_id_of_ours_is_one(raw: bytes) -> None:
    text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert is_user_id(text) or not text.strip("0-_:. fFxX")


@pytest.mark.parametrize(
    "text",
    ["undefined", "null", "0", "-1", "(not set)", "N/A", "{{ecommerce.transaction_id}}", "${ORDER_ID}", "{orderId}",
     "[ORDER]", "$order_id", "%%ORDER%%", "__ORDER__", "<order>", " None "],
)  # fmt: skip
def test_a_name_that_was_not_filled_in_is_none(text: str) -> None:
    assert is_unfilled(text)


@pytest.mark.parametrize(
    "text",
    ["7", "00", "ZAM 12/2026", "[12]", "#1001", "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "A(1)", "0001", "order",
     "__12__", "$12.50", "FV/1/11/2026", "ÓŁ-1", "{12}", "a{b}"],
)  # fmt: skip
def test_the_number_of_an_order_is_a_name(text: str) -> None:
    assert not is_unfilled(text)


@pytest.mark.parametrize("field", ["", " ", "null", "NULL", "Undefined", "undefined", "none", "0", "+", "{{email}}"])
def test_the_hash_of_an_empty_field_names_nobody(field: str) -> None:
    """Linked by it, every visitor who has typed in nothing would be one person."""
    digest = hashlib.sha256(field.encode()).hexdigest()
    assert is_hash_of_nothing(digest)
    assert is_hash_of_nothing(digest.upper())
    assert is_hash_of_nothing("0" * 64)


@pytest.mark.parametrize("address", ["jan@example.pl", "null@example.pl", "guest@guest.pl", "0@example.com"])
def test_the_hash_of_an_address_names_somebody(address: str) -> None:
    assert not is_hash_of_nothing(hashlib.sha256(address.encode()).hexdigest())
