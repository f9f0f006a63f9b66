"""Documents and the domain model are the same thing in two spellings."""

import msgspec
import pytest

from admin.seed.catalogue import demo_catalogue
from admin.store.kinds import KINDS, ObjectKind
from admin.validation.convert import HIDDEN, merge_patch, represent
from admin.validation.intake import build

META = ("id", "version")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.member], ids=lambda kind: kind.name)
def test_every_object_of_the_demo_survives_the_way_there_and_back(kind: ObjectKind) -> None:
    catalogue = demo_catalogue()
    currencies = {shop.id: shop.currency for shop in catalogue.advertisers}
    for value in getattr(catalogue, kind.member):
        owner: int = getattr(value, "advertiser_id", None) or 0
        currency = getattr(value, "currency", currencies.get(owner, "PLN"))
        shown = msgspec.json.decode(msgspec.json.encode(represent(value, currency, reveal=True)))
        document = {name: field for name, field in shown.items() if name not in META}
        assert build(kind, document, currencies.get, id=value.id, version=value.version) == value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_of_the_domain_is_in_the_document_and_the_reverse(kind: ObjectKind) -> None:
    renamed = {"start_ms": "start", "end_ms": "end", "expires_ms": "expires"}
    domain = {renamed.get(name, name.removesuffix("_micros")) for name in kind.domain.__struct_fields__}
    assert domain - {"id", "version"} == set(kind.document.__struct_fields__)


def test_secrets_are_shown_as_stars() -> None:
    exchange = msgspec.structs.replace(demo_catalogue().exchanges[0], bearer_token="secret")
    assert represent(exchange, "PLN")["bearer_token"] == HIDDEN
    assert represent(exchange, "PLN", reveal=True)["bearer_token"] == "secret"


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_follow_the_standard(
    target: dict[str, object], patch: dict[str, object], result: dict[str, object]
) -> None:
    assert merge_patch(target, patch) == result
