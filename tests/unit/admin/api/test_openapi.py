"""The description of the API, and the pages that show it."""

import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import msgspec
import pytest

from admin.access.passwords import Passwords
from admin.api.app import description, resources
from admin.api.handlers import PREFIX
from admin.api.listing import UNLISTED
from admin.api.report_examples import EXAMPLES
from admin.api.resource import Resource
from admin.diagnosis.forecasting import Forecast
from admin.reports.files import PARQUET, WORKBOOK
from admin.validation.convert import SECRETS
from bidder.decision.tailing import TailedAuction


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


OF_REPORTS = ("/v1/reports", "/v1/forecast", "/v1/replay", "/v1/auctions", "/v1/recorded")


def test_routes_of_reports_and_recorded_traffic_have_examples_that_fit() -> None:
    document = description()
    paths = {path: methods for path, methods in document["paths"].items() if path.startswith(OF_REPORTS)}
    assert len(paths) > 8
    told = [operation for methods in paths.values() for operation in methods.values()]
    bodies = [operation["requestBody"] for operation in told if "requestBody" in operation]
    answers = [
        answer for operation in told for status, answer in operation["responses"].items()
        if status.startswith("2") and "content" in answer
    ]  # fmt: skip
    named = {part["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2] for part in (*bodies, *answers)}
    schemas = document["components"]["schemas"]
    assert {name for name in named if not schemas[name].get("examples")} == set()
    for name in named | EXAMPLES.keys():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        for example in schemas[name]["examples"]:
            jsonschema.Draft202012Validator(schema).validate(example)


@pytest.mark.parametrize(
    ("path", "method", "types"),
    [("/v1/auctions/tail", "get", [TailedAuction]), ("/v1/forecast", "post", [Forecast, dict[str, int], Forecast])],
)
def test_streams_are_described_by_events_that_can_be_read(path: str, method: str, types: list[Any]) -> None:
    content = description()["paths"][path][method]["responses"]["200"]["content"]
    told = re.findall(r"^data: (.*)$", content["text/event-stream"]["example"], re.MULTILINE)
    assert len(told) == len(types)
    for line, wanted in zip(told, types, strict=True):
        msgspec.json.decode(line, type=wanted)


def test_reports_are_described_as_files_too() -> None:
    content = description()["paths"]["/v1/reports/query"]["post"]["responses"]["200"]["content"]
    assert content.keys() == {"application/json", "text/csv", PARQUET, WORKBOOK}


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


def _single(schema: dict[str, Any], components: dict[str, Any]) -> list[str]:
    """Names of the parts of a field that have one value: ``, `spend` and `impressions`, none of a list."""
    options = schema.get("anyOf", [schema])
    if any(option.get("type") == "array" for option in options):
        return []
    named = [option["$ref"].rpartition("/")[2] for option in options if "$ref" in option]
    structs = [name for name in named if components[name].get("type") == "object"]
    if not structs or structs[0] in ("Amount", "Price"):
        return [""]
    return [f".{name}" for name in components[structs[0]]["properties"]] if structs == ["BudgetDocument"] else []


@pytest.mark.parametrize("resource", resources(Passwords()), ids=lambda resource: resource.name)
def test_every_field_of_one_value_is_a_filter_and_an_order_or_is_said_not_to_be(resource: Resource) -> None:
    document = description()
    components = document["components"]["schemas"]
    fields = components[resource.tag]["properties"]
    parameters = {one["name"]: one for one in document["paths"][f"{PREFIX}/{resource.name}"]["get"]["parameters"]}
    single = {name + part for name, schema in fields.items() for part in _single(schema, components)}
    listed = single - SECRETS - set(UNLISTED)
    assert listed <= set(parameters)
    assert set(parameters["sort"]["schema"]["enum"]) == {sign + name for name in listed for sign in ("", "-")}
    ranged = {name for name in listed if f"{name}.min" in parameters}
    assert ranged == {name for name in listed if f"{name}.max" in parameters}
    assert {"id", "version", "created_at", "updated_at"} <= ranged
    for name in UNLISTED:
        assert f"`{name}`" in document["info"]["description"]
