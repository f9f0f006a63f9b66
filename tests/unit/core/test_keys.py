import subprocess
import sys

from core import keys, product_keys
from tests.kit.fixtures import REPOSITORY


def tag(key: str) -> str:
    """What Redis Cluster hashes: the text in the first pair of braces."""
    return key.partition("{")[2].partition("}")[0]


def test_document_is_what_the_docstrings_say() -> None:
    printed = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "make-redis-keys", "--print"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    document = (REPOSITORY / "docs" / "redis-keys.md").read_text(encoding="utf-8")
    assert document == printed, "run scripts/make-redis-keys"


def test_document_names_every_family() -> None:
    named = {**vars(keys), **vars(product_keys)}
    families = [name for name, value in named.items() if callable(value) and not name.startswith("_")]
    constants = [value for value in named.values() if isinstance(value, str) and "{" in value and "\n" not in value]
    document = (REPOSITORY / "docs" / "redis-keys.md").read_text(encoding="utf-8")
    rows = [line for line in document.splitlines() if line.startswith("| `")]
    assert len(rows) >= len(families)
    assert [constant for constant in constants if f"`{constant}`" not in document] == []
    assert [row for row in rows if row.endswith("|  |")] == []


def test_all_keys_of_one_user_share_a_slot() -> None:
    assert {tag(keys.user_profile("someone")), tag(keys.user_facts("someone"))} == {"someone"}


def test_all_products_of_one_advertiser_share_a_slot() -> None:
    tags = {tag(product_keys.product_heads(7)), tag(product_keys.product_model(7)), tag(product_keys.feed_lock(7, 2))}
    assert tags == {"p:7"}


def test_all_money_of_one_advertiser_shares_a_slot() -> None:
    tags = {
        tag(keys.money_levels(7)),
        tag(keys.money_meta(7)),
        tag(keys.money_pools(7)),
        tag(keys.money_leases(7)),
        tag(keys.money_notices(7, 3)),
        tag(keys.money_ledger(7)),
    }
    assert tags == {"a:7"}
