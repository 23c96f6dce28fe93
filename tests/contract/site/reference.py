"""The parts of the reference that the program itself knows: docs/conf.py puts them into the pages that name them.

A page names a part by `<!-- generated: NAME -->`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from netmap_actors.exit_reason import ExitReason, status_of
from netmap_actors.history.occurrences import Happening
from netmap_actors.http_endpoint import openapi, peer_metrics
from netmap_actors.schemas.documents import SHAPES, document
from netmap_actors.webhooks.events import WebhookEvent, sentence
from netmap_actors.webhooks.spec import DEFAULT_EVENTS, EVENTS
from netmap_actors.wire.status import StatusReport
from netmap_supervisor.cli import PROGRAM, commands
from tests.contract.test_house import PACKAGES
from tests.support.command_line import root_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PARTS", "filled"]

MARK = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)


def filled(page: str) -> str:
    """The page with each part in its place. Raises KeyError for a part that nobody makes."""
    return MARK.sub(lambda mark: PARTS[mark[1]](), page)


def _table(*head: str, rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def overview() -> str:
    """Every command with its first sentence, each a link into the page of commands."""

    def rows() -> Iterator[tuple[str, ...]]:
        context = root_context()
        for name in commands.list_commands(context):
            command = commands.get_command(context, name)
            if command is not None and not command.hidden:
                yield (
                    f"[`{name}`](../cli.md#{PROGRAM}-{name})",
                    (command.short_help or command.help or "").partition("\n\n")[0],
                )

    return _table("command", "what it does", rows=rows())


def http() -> str:
    """Every path of the endpoint: what it takes and what it answers. What any path may answer is told once."""
    document = openapi.document()
    known = document["components"]["responses"]
    often = {
        (status, one["$ref"].rpartition("/")[2])
        for path in document["paths"].values()
        for method in (path[name] for name in ("get", "post") if name in path)
        for status, one in method["responses"].items()
        if "$ref" in one
    }
    rows = ((status, known[name]["description"]) for status, name in sorted(often))
    common = _table("answer", "of any path, when", rows=iter(rows))
    return "\n".join(
        [common, *(line for path, one in document["paths"].items() for line in _path(path, one))]
    )


def _path(path: str, one: dict[str, Any]) -> Iterator[str]:
    yield f"## `{path}`\n"
    yield f"{one['summary'][0].upper()}{one['summary'][1:]}.\n"
    methods = {name: one[name] for name in ("get", "post") if name in one}
    asked = [
        *one.get("parameters", ()),
        *(parameter for method in methods.values() for parameter in method.get("parameters", ())),
    ]
    if asked:
        rows = ((f"`{it['name']}`", it.get("in", ""), it.get("description", "")) for it in asked)
        yield _table("parameter", "in", "", rows=iter(rows))
    answers = [
        (f"{name.upper()} {status}", it["description"])
        for name, method in methods.items()
        for status, it in method["responses"].items()
        if "$ref" not in it
    ]
    yield _table("answer", "when", rows=iter(answers))


def schemas() -> str:
    """The fields of each shape of JSON."""
    from netmap_supervisor.config.documents import schema

    texts = []
    every = {**SHAPES, "status": ("Whether the netmap can be trusted: `status --json`", StatusReport)}
    for name, (title, shape) in every.items():
        texts.append(f"## {name}\n\n{title}. `{PROGRAM} schema {name}` prints it whole.\n")
        texts += [_fields(*one) for one in document(name, title, shape)["$defs"].items()]
    texts.append(
        f"## config\n\n{schema()['title']}. [Every setting](../configuration.md) has its own line there.\n"
    )
    return "\n".join(texts)


def _fields(name: str, schema: dict[str, Any]) -> str:
    if "properties" not in schema:
        return ""
    rows = ((f"`{key}`", _type(one), one.get("description", "")) for key, one in schema["properties"].items())
    return f"### {name}\n\n{schema.get('description', '')}\n\n" + _table("field", "type", "", rows=iter(rows))


def _type(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": str(ref)}:
            return ref.rpartition("/")[2]
        case {"anyOf": list(several)}:
            return " or ".join(_type(one) for one in several)
        case {"enum": list(values)}:
            return ", ".join(f"`{one}`" for one in values)
        case {"type": "array", "items": dict(items)}:
            return f"list of {_type(items)}"
        case {"type": "array"}:
            return "list"
        case {"type": str(kind)}:
            return {"null": "null", "object": "object", "integer": "integer"}.get(kind, kind)
    return "any"


def metrics() -> str:
    """Every metric with its help, from the module that makes it."""
    found: dict[str, str] = dict(peer_metrics.ABOUT)
    for path in sorted((PACKAGES[0] / "http_endpoint").glob("*metrics.py")):
        found |= dict(re.findall(r'"(netmap_[a-z_]+)"[,:]\s*"([^"]+)"', path.read_text()))
    return _table("metric", "what it is", rows=((f"`{name}`", text) for name, text in sorted(found.items())))


def happenings() -> str:
    """What the history keeps and a webhook can tell, with the sentence a person is sent."""

    def rows() -> Iterator[tuple[str, ...]]:
        for kind in map(str, Happening):
            told = "by itself" if kind in DEFAULT_EVENTS else "when asked for" if kind in EVENTS else ""
            shown = WebhookEvent(id="", number=1, type=kind, at=1_796_083_200.0, subject="n1", name="web-1")
            yield f"`{kind}`", told, sentence(shown, shown.at) if told else ""

    return _table("kind", "a webhook tells", "in words", rows=rows())


def child_statuses() -> str:
    """Exit statuses of the processes that `run` starts."""
    rows = ((str(status_of(one)), f"`{one}`") for one in ExitReason)
    return _table("status", "reason", rows=iter(rows))


PARTS: dict[str, Callable[[], str]] = {
    "child-statuses": child_statuses,
    "commands": overview,
    "happenings": happenings,
    "http": http,
    "metrics": metrics,
    "schemas": schemas,
}
