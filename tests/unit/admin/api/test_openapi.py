"""The description of the API, and the pages that show it."""

import re

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest

from admin.access.passwords import Passwords
from admin.api.app import description, resources
from admin.api.handlers import PREFIX
from admin.api.resource import Resource


def test_every_route_is_described_and_every_description_is_a_route() -> None:
    described = {(method.upper(), path) for path, methods in description()["paths"].items() for method in methods}
    assert len(described) > 100
    for resource in resources(Passwords()):
        assert ("POST", f"{PREFIX}/{resource.name}") in described
        assert (("POST", f"{PREFIX}/{resource.name}/bulk") in described) is resource.bulk


@pytest.mark.parametrize("resource", resources(Passwords()), ids=lambda resource: resource.name)
def test_every_example_fits_its_schema(resource: Resource) -> None:
    document = description()
    name = resource.kind.document.__name__
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(resource.example)


def test_every_reference_leads_somewhere() -> None:
    document = description()
    names = set(re.findall(r"#/components/schemas/([A-Za-z]+)", str(document)))
    assert names <= set(document["components"]["schemas"])
    operations = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(operations) == len(set(operations))


def test_no_read_schema_has_a_secret_hash() -> None:
    schemas = description()["components"]["schemas"]
    assert "password" not in schemas["User"]["properties"]
    assert "secret" not in schemas["ApiKey"]["properties"]
    assert "secret" in schemas["NewApiKey"]["properties"]
