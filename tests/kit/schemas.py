"""The JSON Schemas of OpenRTB in the corpus."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types


@functools.cache
def _validator(path: Path) -> Any:  # noqa: ANN401 - untyped library
    return jsonschema.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def schema_faults(corpus: Path, name: str, instance: object) -> list[str]:
    """The faults that a schema, such as "openrtb-2.6-202606-bid-response", finds in some JSON; empty if it is valid."""
    validator = _validator(corpus / "schemas" / f"{name}.schema.json")
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(instance)]
