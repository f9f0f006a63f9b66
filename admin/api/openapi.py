"""The OpenAPI 3.1 document, made of the same types that validate requests, so that it cannot say anything else."""

from collections.abc import Sequence
from typing import Any

import msgspec

from admin.api import (
    budgets,
    changes,
    doctoring,
    effective,
    explanations,
    forecasts,
    fx_rates,
    ledger,
    schemas,
    sessions,
)
from admin.api.approvals import APPROVAL_TYPES, approval_paths
from admin.api.bulk import BulkRequest
from admin.api.desk_paths import DESK_TYPES, desk_paths
from admin.api.handlers import ACTIONS, PREFIX
from admin.api.listing import DEFAULT_LIMIT, MAX_LIMIT, UNLISTED, ListedField, fields_of, reference_filters
from admin.api.problem import CONTENT_TYPE, JSON, Problem
from admin.api.product_paths import PRODUCT_TYPES, product_paths
from admin.api.report_examples import EXAMPLES
from admin.api.resource import Resource
from admin.api.targets import TARGET_TYPES, target_paths
from admin.diagnosis.findings import Report
from admin.diagnosis.funnels import Funnel
from admin.validation.convert import document_field
from admin.validation.fields import AMOUNT
from bidder.diagnosis.explain import Explanation
from core.version import VERSION

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_DESCRIPTION = """Everything that is configured in Grosz. Amounts are decimal texts with a currency; times are ISO 8601.

Every list takes filters on its fields (`name=`, for numbers and times also `name.min=` and `name.max=`), `q=`,
`sort=`, `fields=`, `limit=` and `cursor=`; repeating a filter means any of its values. Archived objects are listed
only by `status=archived`. Every field of one value is a filter and an order, but for secrets and {unlisted}. Of
fields of many values, those that name objects are filters (`creative_id=`) where the list says so. Every write takes
`dry_run=true`, an `Idempotency-Key` and, for existing objects, `If-Match` with the version that you read. Errors are
problem documents (RFC 9457) with every fault at once.
"""

_FIELD_SCHEMAS: dict[str, Json] = {
    "text": {"type": "string"},
    "integer": {"type": "integer", "minimum": -(2**63) + 1, "maximum": 2**63 - 1},
    "amount": {"type": "string", "pattern": AMOUNT},
    "moment": {"type": "string", "format": "date-time"},
    "boolean": {"type": "boolean"},
}
_HEADERS: Json = {
    "ETag": {"description": "Version of the object, for If-Match.", "schema": {"type": "string"}},
    "Grosz-Catalogue-Version": {
        "description": "Version for GET /v1/effective-version: when bidders have it, the change is effective.",
        "schema": {"type": "string"},
    },
}


def describe(resources: Sequence[Resource]) -> Json:
    """The whole document."""
    paths: Json = {}
    for resource in resources:
        paths |= _resource_paths(resource)
    paths |= _session_paths() | _other_paths()
    unlisted = ", ".join(f"`{name}` ({reason})" for name, reason in UNLISTED.items())
    return {
        "openapi": "3.1.0",
        "info": {"title": "Grosz admin API", "version": VERSION, "description": _DESCRIPTION.format(unlisted=unlisted)},
        "paths": paths,
        "components": {"schemas": _schemas(resources), "securitySchemes": _security_schemes()},
        "security": [{"key": []}, {"session": []}],
        "tags": [{"name": resource.name, "description": resource.summary} for resource in resources],
    }


def _schemas(resources: Sequence[Resource]) -> Json:
    types: list[Any] = [Problem, BulkRequest, schemas.BulkResults]
    for resource in resources:
        kind = resource.kind
        types += [kind.document, schemas.read_type(kind), schemas.page_type(kind), schemas.patch_type(kind.document)]
        types.append(schemas.created_type(kind))
    types += [
        sessions.LoginRequest,
        sessions.PasswordRequest,
        sessions.SetupRequest,
        sessions.Identity,
        effective.EffectiveVersion,
    ]
    types += [fx_rates.FxRates, fx_rates.FxRatesRequest, fx_rates.FxRefreshRequest]
    types += [changes.ChangePage, budgets.BudgetPage, ledger.LedgerPage, ledger.DayPage]
    types += [explanations.ExplainRequest, Explanation, Funnel, Report]
    types += [*PRODUCT_TYPES, *TARGET_TYPES, *DESK_TYPES, *APPROVAL_TYPES]
    _, components = msgspec.json.schema_components(list(dict.fromkeys(types)), ref_template=_REF)
    for resource in resources:
        components[schemas.type_name(resource.kind.document)]["examples"] = [resource.example]
    components["ExplainRequest"]["examples"] = [explanations.EXAMPLE]
    components["ForecastRequest"]["examples"] = [forecasts.EXAMPLE]
    for name, example in EXAMPLES.items():
        components[name]["examples"] = [example]
    return components


def _security_schemes() -> Json:
    return {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "grosz_session",
            "description": "A browser's login; writes also need the X-CSRF-Token header.",
        },
    }


def _resource_paths(resource: Resource) -> Json:
    kind, base, tag = resource.kind, f"{PREFIX}/{resource.name}", resource.tag
    read, created = schemas.read_type(kind), schemas.created_type(kind)
    document, patch = kind.document, schemas.patch_type(kind.document)
    one = f"{base}/{{id}}"
    title = kind.title
    listed = _operation(resource, f"list{tag}s", f"List {title}s", schemas.page_type(kind), _list_parameters(resource))
    create = _operation(resource, f"create{tag}", f"Create one {title}", created, _write_parameters(), document, 201)
    create["responses"]["201"]["links"] = _links(tag)
    paths: Json = {
        base: {"get": listed, "post": _or_dry_run(create)},
        one: {
            "get": _operation(resource, f"read{tag}", f"Read one {title}, with its warnings", read, [_ID]),
            "patch": _operation(
                resource, f"patch{tag}", f"Change one {title} (JSON merge patch)", read,
                [_ID, *_write_parameters(match=True)], patch,
            ),
            "delete": _operation(
                resource, f"delete{tag}", f"Archive one {title}", read, [_ID, *_write_parameters(match=True)]
            ),
        },
        f"{one}/copy": {
            "post": _or_dry_run(
                _operation(
                    resource, f"copy{tag}", f"Copy one {title}, paused, with changes", created,
                    [_ID, *_write_parameters()], patch, 201,
                )
            )
        },
    }  # fmt: skip
    for action in ACTIONS:
        operation = _operation(
            resource,
            f"{action}{tag}",
            f"{action.capitalize()} one {title}",
            read,
            [_ID, *_write_parameters(match=True)],
        )
        paths[f"{one}/{action}"] = {"post": operation}
    if resource.bulk:
        bulk = _operation(
            resource,
            f"bulk{tag}s",
            f"Write many {title}s at once",
            schemas.BulkResults,
            _write_parameters(),
            BulkRequest,
        )
        paths[f"{base}/bulk"] = {"post": bulk}
    return paths


def _operation(
    resource: Resource | None,
    name: str,
    summary: str,
    answer: Any,  # noqa: ANN401 - a type
    parameters: Sequence[Json],
    body: Any = None,  # noqa: ANN401 - a type
    status: int = 200,
) -> Json:
    operation: Json = {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            str(status): {"description": "Done.", "content": _content(answer)},
            "default": {"description": "A problem.", "content": _content(Problem, CONTENT_TYPE)},
        },
    }
    if resource is not None:
        operation["tags"] = [resource.name]
    if resource is not None and answer is not schemas.BulkResults and "Page" not in schemas.type_name(answer):
        operation["responses"][str(status)]["headers"] = _HEADERS
    if body is not None:
        operation["requestBody"] = {"required": not name.startswith("copy"), "content": _content(body)}
    return operation


def _or_dry_run(operation: Json) -> Json:
    created = {key: value for key, value in operation["responses"]["201"].items() if key != "links"}
    operation["responses"]["200"] = created | {"description": "A dry run: what would be created."}
    return operation


def _content(wanted: Any, content_type: str = JSON) -> Json:  # noqa: ANN401 - a type
    return {content_type: {"schema": {"$ref": _REF.format(name=schemas.type_name(wanted))}}}


def _links(tag: str) -> Json:
    names = [f"{verb}{tag}" for verb in ("read", "patch", "copy", *ACTIONS, "delete")]
    if tag == "LineItem":
        names.append("funnel")
    return {name: {"operationId": name, "parameters": {"id": "$response.body#/id"}} for name in names}


_ID: Json = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": 2**32 - 1},
}


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _write_parameters(*, match: bool = False) -> list[Json]:
    key = {"type": "string", "maxLength": 255, "pattern": "^[ -~]+$"}
    version = {"type": "string", "pattern": r'^("[0-9]{1,18}"|[0-9]{1,18}|\*)$'}
    found = [
        _query("dry_run", {"type": "boolean", "default": False}, "Check everything, save nothing."),
        {"name": "Idempotency-Key", "in": "header", "schema": key, "description": "Repeats of it get the same answer."},
    ]
    if match:
        text = "The version that you read; 409 when the object has another."
        found.append({"name": "If-Match", "in": "header", "schema": version, "description": text})
    return found


def _list_parameters(resource: Resource) -> list[Json]:
    fields = fields_of(resource.kind)
    names = sorted(fields)
    chosen = sorted(
        {document_field(name) for name in resource.kind.domain.__struct_fields__} | {"created_at", "updated_at"}
    )
    one_of = "|".join(chosen)
    found = [
        _query(
            "limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}, "Page size."
        ),
        _query("cursor", {"type": "string"}, "`next` of the page before."),
        _query("total", {"type": "boolean", "default": False}, "Also count all pages together."),
        _query("sort", {"enum": [sign + name for sign in ("", "-") for name in names], "default": "id"}, "Order."),
        _query("fields", {"type": "string", "pattern": f"^({one_of})(,({one_of}))*$"}, "Only these fields, by commas."),
        _query("q", {"type": "string"}, "Part of the name or external id."),
        _query("updated_after", _FIELD_SCHEMAS["moment"], "Changed after this time."),
        _query("created_after", _FIELD_SCHEMAS["moment"], "Created after this time."),
    ]
    for name in names:
        found += _filters(fields[name])
    for name, kind in reference_filters(resource).items():
        found.append(_query(name, _FIELD_SCHEMAS["integer"], f"Naming this object of {kind}."))
    return found


def _filters(field: ListedField) -> list[Json]:
    schema = {"type": "string", "enum": list(field.allowed)} if field.allowed else _FIELD_SCHEMAS[field.kind]
    found = [_query(field.name, schema, f"With this {field.name}.")]
    if field.has_range:
        found.append(_query(f"{field.name}.min", schema, f"{field.name} of this or more."))
        found.append(_query(f"{field.name}.max", schema, f"{field.name} of this or less."))
    return found


def _struct_parameters(wanted: type[msgspec.Struct]) -> list[Json]:
    _, components = msgspec.json.schema_components([wanted], ref_template=_REF)
    schema = components[wanted.__name__]
    required = schema.get("required", [])
    return [
        _query(name, _without_null(one), "") | ({"required": True} if name in required else {})
        for name, one in schema["properties"].items()
    ]


def _without_null(schema: Json) -> Json:
    """The schema without null: a query string has none, an optional parameter is left out."""
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    return dict(options[0]) if options else dict(schema)


def _session_paths() -> Json:
    login = _operation(None, "login", "Log in", sessions.Identity, [], sessions.LoginRequest)
    setup = _operation(None, "setup", "Create the first administrator", Problem, [], sessions.SetupRequest, 201)
    setup["responses"]["201"]["content"] = {JSON: {"schema": {"$ref": _REF.format(name="User")}}}
    for public in (login, setup):
        public["security"] = []
    logout = _operation(None, "logout", "Log out", Problem, [])
    password = _operation(
        None, "changePassword", "Change one's own password; other sessions end", Problem, [], sessions.PasswordRequest
    )
    for silent, text in ((logout, "Logged out."), (password, "Changed.")):
        silent["responses"] = {"204": {"description": text}, "default": silent["responses"]["default"]}
    me = _operation(None, "me", "Who am I", sessions.Identity, [])
    return {
        "/v1/login": {"post": login},
        "/v1/logout": {"post": logout},
        "/v1/setup": {"post": setup},
        "/v1/me": {"get": me},
        "/v1/me/password": {"post": password},
    }


def _other_paths() -> Json:
    return {
        "/v1/effective-version": {
            "get": _operation(
                None, "effectiveVersion", "Which version all bidders run", effective.EffectiveVersion,
                _struct_parameters(effective.EffectiveQuery),
            )
        },
        "/v1/change-log": {
            "get": _operation(
                None, "changeLog", "Who changed what, newest first", changes.ChangePage,
                _struct_parameters(changes.ChangeQuery),
            )
        },
        "/v1/budgets": {
            "get": _operation(
                None, "budgets", "What is spent, held and free now", budgets.BudgetPage,
                _struct_parameters(budgets.BudgetQuery),
            )
        },
        "/v1/fx-rates": {
            "get": _operation(None, "fxRates", "The rates in force, their day and source", fx_rates.FxRates, []),
            "put": _operation(
                None, "setFxRates", "Replace the exchange rates", fx_rates.FxRates, [], fx_rates.FxRatesRequest
            ),
        },
        "/v1/fx-rates/refresh": {
            "post": _operation(
                None, "refreshFxRates", "Read the exchange rates from their source now", fx_rates.FxRates, [],
                fx_rates.FxRefreshRequest,
            )
        },
        "/v1/explain": {
            "post": _operation(
                None, "explain", "Why each line item bids or does not bid on a request", Explanation, [],
                explanations.ExplainRequest,
            )
        },
        "/v1/line-items/{id}/funnel": {
            "get": _operation(None, "funnel", "From requests to spend, in the last hour and day", Funnel, [_ID])
        },
        "/v1/doctor": {
            "get": _operation(
                None, "doctor", "What stops delivery, and what to do", Report, _struct_parameters(doctoring.DoctorQuery)
            )
        },
        **product_paths(_operation, _struct_parameters, _query, _ID), **target_paths(_operation, _ID),
        **approval_paths(_operation, _struct_parameters, _ID), **desk_paths(_operation, _struct_parameters, _ID),
        "/v1/ledger": {
            "get": _operation(
                None, "ledger", "Settled rows of an advertiser", ledger.LedgerPage,
                _struct_parameters(ledger.LedgerQuery),
            )
        },
        "/v1/ledger/days": {
            "get": _operation(
                None, "ledgerDays", "What was spent on a day", ledger.DayPage, _struct_parameters(ledger.DayQuery)
            )
        },
    }  # fmt: skip
