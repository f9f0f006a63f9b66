"""The keys of tokens, from the settings."""

from types import SimpleNamespace
from typing import cast

import pytest

from admin.roles.connections import token_signer
from admin.roles.lifecycle import RoleContext
from core.config import MoneySettings, Settings
from core.errors import ConfigError

KEYS = {"1": "11" * 32, "2": "22" * 32}


def role_with(money: MoneySettings) -> RoleContext:
    return cast("RoleContext", SimpleNamespace(settings=Settings(money=money)))


def test_a_number_that_no_key_has_is_refused_and_does_not_make_the_newest_key_sign() -> None:
    with pytest.raises(ConfigError, match="token key 3 should sign but has no secret"):
        token_signer(role_with(MoneySettings(token_keys=KEYS, token_key_id=3)))


def test_without_keys_the_error_says_that_all_machines_share_a_table() -> None:
    with pytest.raises(ConfigError, match="no token key is set") as caught:
        token_signer(role_with(MoneySettings()))
    assert "same table on every bidder and tracker" in caught.value.hint
