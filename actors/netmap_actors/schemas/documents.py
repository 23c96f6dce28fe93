"""JSON Schemas (2020-12) of shapes. Pure but for the source of the shapes, which is read for what stands below fields.

A schema says what is there, and not that nothing else may come: an answer only ever gains names.
"""

from __future__ import annotations

import ast
import functools
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from netmap_actors.schemas import netmap_parts, shapes
from netmap_actors.wire.status import StatusReport
from netmap_actors.wire.topics import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SHAPES", "components", "document", "identifier"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SHAPES: Final[Mapping[str, tuple[str, Any]]] = {
    "netmap": ("The netmap: `netmap --json`, and /netmap over HTTP", shapes.NetmapAnswer),
    "watch": ("One event: a line of `watch --json`, and the data of one of /events over HTTP", shapes.EVENTS),
    "history": ("What happened: `history --json`, and /history over HTTP", shapes.HistoryAnswer),
    "sd": (
        "Targets for Prometheus: `export prometheus-sd`, and /sd over HTTP",
        list[shapes.TargetGroup],
    ),
    "status": (
        "Whether the netmap can be trusted: `status --json`, and /status over HTTP",
        StatusReport,
    ),
    "dns": ("The settings for DNS: `netmap dns --json`", netmap_parts.DnsAnswer),
    "users": ("The users and their nodes: `netmap users --json`", netmap_parts.UsersAnswer),
    "filter": ("The packet filter: `netmap filter --json`", netmap_parts.PacketFilterAnswer),
}
"""By name, what it is a schema of, and the shape."""


def identifier(name: str) -> str:
    """`$id` of a schema. Its number changes when an old reader could misread what a new program shows."""
    return f"urn:netmap-supervisor:schema:{SCHEMA}:{name}"


def document(name: str, title: str, shape: Any) -> dict[str, Any]:
    """The schema of one shape as a document of its own."""
    (root,), parts = components([shape], "#/$defs/{name}")
    return {"$schema": DIALECT, "$id": identifier(name), "title": title, **root, "$defs": parts}


def components(wanted: Sequence[Any], template: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(a schema for each, the schemas they refer to by name). `template`: a reference, with {name}."""
    roots, parts = msgspec.json.schema_components(wanted, ref_template=template)
    kinds = {kind.__name__: kind for kind in _structs(msgspec.Struct)}
    for name in parts.keys() & kinds.keys():
        _complete(parts[name], kinds[name])
    if (labels := parts.get(shapes.TargetLabels.__name__)) is not None:
        labels["patternProperties"] = {
            shapes.LABEL_OF_A_TAG: {"const": "1", "description": "The node has the tag."}
        }
    return list(roots), dict(sorted(parts.items()))


def _structs(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    return [one for direct in kind.__subclasses__() for one in (direct, *_structs(direct))]


def _complete(schema: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """What is always shown is required, whatever stands for it when it is made; fields get their descriptions."""
    for one in msgspec.structs.fields(kind):
        found = schema["properties"][one.encode_name]
        found.pop("default", None)
        if one.default is not msgspec.UNSET and one.encode_name not in schema.setdefault("required", []):
            schema["required"].append(one.encode_name)
        for base in kind.__mro__:
            if text := _below_fields(base.__module__).get(f"{base.__qualname__}.{one.name}"):
                found["description"] = text
                break


@functools.cache
def _below_fields(module: str) -> dict[str, str]:
    """CLASS.FIELD -> the text below it. Empty where Python was installed without sources."""
    path = Path(getattr(sys.modules[module], "__file__", None) or "")
    if path.suffix != ".py" or not path.is_file():
        return {}
    return {
        f"{kind.name}.{one.target.id}": " ".join(below.value.value.split())
        for kind in ast.parse(path.read_text()).body
        if isinstance(kind, ast.ClassDef)
        for one, below in itertools.pairwise(kind.body)
        if isinstance(one, ast.AnnAssign)
        and isinstance(one.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
