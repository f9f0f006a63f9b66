"""Who may send for an exchange, and how much."""

import msgspec
import pytest

from bidder.door.gate import Gate, Refusal, gate_of
from bidder.door.port import STRANGER, Sender
from core.dialects import DIALECTS
from core.model import Exchange, RefusalStyle
from core.reasons import NoBid


def gate(**members: object) -> Gate:
    found = gate_of(Exchange(id=1, key="ssp", **members))  # type: ignore[arg-type]  # members are the test's
    assert found is not None
    return found


def status(refusal: Refusal | None) -> int:
    return refusal[1] if refusal is not None else 200


def test_an_exchange_that_asks_for_nothing_has_no_gate() -> None:
    assert gate_of(Exchange(id=1, key="ssp")) is None


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [(b"", 401), (b"Bearer", 401), (b"Bearer s3cre", 401), (b"bearer s3cret", 401), (b"Bearer s3cret", 200)],
)
def test_a_bearer_token_is_compared_whole(authorization: bytes, expected: int) -> None:
    assert status(gate(bearer_token="s3cret").refusal(Sender(authorization), 0.0)) == expected


@pytest.mark.parametrize(("fields", "expected"), [({}, 401), ({b"x-key": b"other"}, 401), ({b"x-key": b"s3cret"}, 200)])
def test_a_secret_header_is_known_by_its_name_in_any_case(fields: dict[bytes, bytes], expected: int) -> None:
    asked = gate(secret_header="X-Key", header_secret="s3cret")
    assert status(asked.refusal(Sender(fields=fields), 0.0)) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("198.51.100.7", 200), ("198.51.101.7", 403), ("::ffff:198.51.100.7", 200), ("2001:db8::1", 200),
        ("2001:db9::1", 403), ("", 403), ("not an address", 403),
    ],
)  # fmt: skip
def test_requests_come_from_listed_networks(address: str, expected: int) -> None:
    asked = gate(networks=("198.51.100.0/24", "2001:db8::/32"))
    assert status(asked.refusal(Sender(address=address), 0.0)) == expected


def test_all_that_is_set_is_asked_for() -> None:
    both = gate(bearer_token="s3cret", networks=("198.51.100.7",))
    assert status(both.refusal(Sender(b"Bearer s3cret", "198.51.100.8"), 0.0)) == 403
    assert status(both.refusal(Sender(b"Bearer x", "198.51.100.7"), 0.0)) == 401
    assert status(both.refusal(Sender(b"Bearer s3cret", "198.51.100.7"), 0.0)) == 200


def test_a_cap_is_of_each_second_and_wrong_credentials_use_none_of_it() -> None:
    capped = gate(requests_per_second=2, bearer_token="s3cret")
    good = Sender(b"Bearer s3cret")
    for _ in range(5):
        assert status(capped.refusal(STRANGER, 7.1)) == 401
    assert [capped.refusal(good, 7.0 + at / 10) is None for at in range(4)] == [True, True, False, False]
    assert capped.refusal(good, 8.0) is None


@pytest.mark.parametrize(("style", "expected"), [(RefusalStyle.NO_CONTENT, 204), (RefusalStyle.TOO_MANY, 429)])
def test_above_the_cap_it_is_what_the_dialect_wants(
    style: RefusalStyle, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = msgspec.structs.replace(DIALECTS["generic"], over_cap=style)
    monkeypatch.setattr("core.dialects.DIALECTS", {**DIALECTS, "generic": changed})
    capped = gate(requests_per_second=1, name=style)
    assert capped.refusal(STRANGER, 0.0) is None
    refusal = capped.refusal(STRANGER, 0.5)
    assert refusal is not None
    assert refusal[:2] == (NoBid.RATE_CAPPED, expected)
