"""`schema`: the JSON Schemas of what is shown."""

from __future__ import annotations

from typing import Any

import click

from netmap_actors import shown_json
from netmap_actors.http_endpoint import openapi
from netmap_actors.schemas import documents
from netmap_supervisor.config.documents import schema

__all__ = ["SCHEMAS", "command", "schema_of"]

SCHEMAS = {
    **{name: about for name, (about, _) in documents.SHAPES.items()},
    "config": "The configuration file",
    "openapi": "The HTTP endpoint, as an OpenAPI document",
}
"""What each is a schema of."""


def schema_of(name: str) -> dict[str, Any]:
    """The document."""
    if name == "openapi":
        return openapi.document()
    if name == "config":
        return schema() | {"$id": documents.identifier(name)}
    return documents.document(name, *documents.SHAPES[name])


@click.command("schema")
@click.argument("name", required=False, metavar="[NAME]", type=click.Choice(list(SCHEMAS)))
def command(name: str | None) -> None:
    """Print the JSON Schema of what NAME shows; without a NAME, list what there is.

    \b
    Examples:
      netmap-supervisor schema
      netmap-supervisor schema netmap > netmap.schema.json
      netmap-supervisor schema openapi > openapi.json
    """
    if name is None:
        for one, about in SCHEMAS.items():
            click.echo(f"{one:<9} {about}")
    else:
        click.echo(shown_json.indented(schema_of(name)))
