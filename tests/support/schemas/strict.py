"""The published schemas with nothing let through that they do not name."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from netmap_actors import shown_json
from netmap_supervisor.cli.descriptions.schema import schema_of

if TYPE_CHECKING:
    from jsonschema.protocols import Validator


def closed(schema: Any) -> Any:
    """The same, with `additionalProperties: false` in each object whose names it gives."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


@functools.cache
def strict(name: str) -> Validator:
    """A validator of what `netmap-supervisor schema NAME` describes."""
    return Draft202012Validator(closed(schema_of(name)))


def held(name: str, answer: object) -> None:
    """Raises ValidationError for an answer that has a key too many or too few, or a value of another kind."""
    shown = answer if isinstance(answer, bytes | str) else shown_json.encode(answer)
    strict(name).validate(json.loads(shown))


@functools.cache
def part(name: str, component: str) -> Validator:
    """A validator of one part of the OpenAPI document's schemas."""
    document = closed(schema_of(name))
    return Draft202012Validator({"$ref": f"#/components/schemas/{component}", **document})
