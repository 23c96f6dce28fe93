"""The tables `[[webhook]]`: which keys one has, and what they say; they stand in the file alone.

Not here: what a webhook is (`netmap_actors.webhooks.spec`), and single tables (`config.options`).
"""

from __future__ import annotations

import importlib.util
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from netmap_actors.boot import MAX_WEBHOOKS
from netmap_actors.errors import ConfigurationError, escape
from netmap_supervisor.config import kinds
from netmap_supervisor.config.options import Option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from netmap_actors.webhooks.spec import WebhookSpec

__all__ = [
    "ABOUT",
    "MAX_WEBHOOKS",
    "TABLE",
    "doubtful_files",
    "is_world_readable",
    "read",
    "rows",
    "toml",
    "used_files",
]

TABLE: Final = "webhook"
ABOUT: Final = (
    f"Who is told what happens, by HTTP: one table [[webhook]] for each, {MAX_WEBHOOKS} at most. They stand in "
    "this file alone, without flags and variables, and need a history (history.keep)."
)
MAX_SIZE: Final = 12 << 10
"""Bytes of all of them as JSON: they and what they name have to fit into a boot record."""
_REQUIRED = ("name", "url")


class SecretFile(kinds.Written, msgspec.Struct, frozen=True):
    """Where a secret is read from: `file:PATH` or `credential:NAME`. The secret itself is refused, unrepeated."""

    credentials: str = ""
    """The directory of systemd's credentials; empty outside a unit."""
    metavar: str = "file:PATH|credential:NAME"

    def parse(self, given: object, base: Path) -> str:
        how, separator, rest = (given.strip() if isinstance(given, str) else "").partition(":")
        # The URL itself behind "file:" is a slip, and its path would be shown.
        if separator and how == "file" and rest and "://" not in rest:
            return f"file:{kinds.absolute(kinds.read_text(rest), base)}"
        if separator and how == "credential" and re.fullmatch(r"[A-Za-z0-9_.-]{1,255}", rest):
            return f"file:{Path(self.credentials) / rest}" if self.credentials else f"credential:{rest}"
        raise kinds.BadValue(
            "it has to say where it is read from, as file:PATH or credential:NAME; a URL of a webhook is a secret, "
            "and belongs into a file of its own (what was given is not shown here)"
        )

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^(file:.+|credential:[A-Za-z0-9_.-]+)$"}


class TextArray(msgspec.Struct, frozen=True):
    """An array of texts."""

    known: tuple[str, ...] = ()
    """The only ones; empty: any."""
    metavar: str = "ARRAY"

    def parse(self, given: object, base: Path) -> tuple[str, ...]:  # noqa: ARG002
        if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
            raise kinds.BadValue('an array of texts such as ["one", "two"] is expected')
        words = tuple(dict.fromkeys(map(kinds.read_text, given)))
        for word in words:
            if self.known and word not in self.known:
                raise kinds.BadValue(f"{escape(word, 60)!r} is none of {', '.join(self.known)}")
        return words

    def show(self, value: tuple[str, ...]) -> str:
        return ",".join(value)

    def toml(self, value: tuple[str, ...]) -> str:
        return f"[{', '.join(map(kinds.Text().toml, value))}]"

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"enum": [*self.known]} if self.known else {"type": "string"}}


_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "name": (
        "What it is called in `status`, metrics and commands",
        "Small letters, digits, - and _, 32 at most.",
    ),
    "url": (
        "Where its URL is read from: who has the URL may write there, so it is a secret",
        (
            "A file with the URL alone, for nobody else to read, or a credential of the unit (systemd's "
            "LoadCredential=). https, or http to this machine."
        ),
    ),
    "secret": (
        "Where the key is read from that requests are signed with",
        "In the header Tailscale-Webhook-Signature, as Tailscale's own webhooks have it.",
    ),
    "events": ("What it is told of", "There are {events}."),
    "tags": (
        "Only of nodes with any of these tags, or of those in `names`",
        "What is of no node is told in any case.",
    ),
    "names": ("Only of nodes whose name fits any of these patterns, or those in `tags`", ""),
    "hold_down": (
        "How long a node has to be offline, or the netmap stale, before that is told",
        "What ends sooner is not told, nor its end.",
    ),
    "body": (
        "What a request says: the JSON of Tailscale's webhooks, a message of a chat, or a template's text",
        "",
    ),
    "template": ('The Jinja2 template, with body = "template"', "It needs the extra `template`."),
    "retry_for": (
        "How long an event is tried again while the receiver does not take it",
        "Afterwards it is given up and counted.",
    ),
    "events_per_minute": (
        "How many events it is told in a minute",
        "The documented limits of the chats hold besides.",
    ),
    "events_per_body": ("How many events one request tells", ""),
    "plaintext": ("Let its URL be http to another machine: what is sent can then be read on the way", ""),
}
"""Of each key the help, and what the documentation says beyond it."""


def rows(credentials: str = "") -> dict[str, Option]:
    """The keys of one table, in order. `credentials`: $CREDENTIALS_DIRECTORY, for whom files are looked for."""
    # Loaded here: most runs have no webhook.
    from netmap_actors.webhooks import spec  # noqa: PLC0415

    known: dict[str, kinds.OptionKind[Any]] = {
        "name": kinds.Text(metavar="NAME"),
        "url": SecretFile(credentials),
        "secret": SecretFile(credentials),
        "events": TextArray(spec.EVENTS),
        "tags": kinds.Tags(),
        "names": TextArray(),
        "hold_down": kinds.Duration(1.0, 86_400.0, off=True),
        "body": kinds.Choice(tuple(map(str, spec.BodyForm))),
        "template": kinds.File(),
        "retry_for": kinds.Duration(60.0, 30 * 86_400.0),
        "events_per_minute": kinds.Number(1, 60_000, whole=True),
        "events_per_body": kinds.Number(1, 1000, whole=True),
        "plaintext": kinds.Boolean(),
    }
    defaults = {field.name: field.default for field in msgspec.structs.fields(spec.WebhookSpec)}
    return {
        name: Option(
            name=name,
            table=TABLE,
            kind=kind,
            default="" if name in _REQUIRED else defaults[name],
            help=_TEXTS[name][0],
            more=_TEXTS[name][1].format(events=", ".join(spec.EVENTS)),
            default_text="needed" if name in _REQUIRED else "",
        )
        for name, kind in known.items()
    }


def read(
    tables: object, file: Path, credentials: str, complain: Callable[[str, str], None]
) -> tuple[WebhookSpec, ...]:
    """What `[[webhook]]` of a file says; `complain(place, text)` is told what is wrong with it."""
    from netmap_actors.webhooks.spec import WebhookSpec  # noqa: PLC0415

    place = f"{file}: {TABLE}"
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        complain(place, f"it has to be an array of tables: [[{TABLE}]]")
        return ()
    if len(tables) > MAX_WEBHOOKS:
        complain(place, f"there are {len(tables)}, and {MAX_WEBHOOKS} are the most")
        return ()
    known = rows(credentials)
    found: dict[str, WebhookSpec] = {}
    for number, table in enumerate(tables, start=1):
        where = f"{place}[{number}]"
        values = _values(table, known, file.parent, where, complain)
        if values is None:
            continue
        if values["name"] in found:
            complain(f"{where}.name", f"there is another webhook of the name {values['name']!r}")
            continue
        try:
            found[values["name"]] = msgspec.convert(values, WebhookSpec)
        except ConfigurationError as error:
            complain(where, str(error))
    size = len(msgspec.json.encode(list(found.values())))
    if size > MAX_SIZE:
        complain(place, f"together they have {size} bytes, and {MAX_SIZE} are the most; shorten their lists")
    return tuple(found.values())


def _values(
    table: Mapping[str, object],
    known: Mapping[str, Option],
    base: Path,
    where: str,
    complain: Callable[[str, str], None],
) -> dict[str, Any] | None:
    """The values of one table; None where something is wrong."""
    values: dict[str, Any] = {}
    whole = True
    for key, given in table.items():
        if key not in known:
            complain(where, f"there is no {TABLE}.{escape(key, 60)}; it has {', '.join(known)}")
            whole = False
            continue
        try:
            values[key] = known[key].kind.parse(given, base)
        except kinds.BadValue as error:
            complain(f"{where}.{key}", str(error))
            whole = False
    for key in _REQUIRED:
        if key not in table:
            complain(where, f"it has no {key}")
            whole = False
    return values if whole else None


def toml(spec: WebhookSpec) -> Iterator[str]:
    """The lines of its table; what has its default is left out."""
    yield f"[[{TABLE}]]"
    for key, row in rows().items():
        value = getattr(spec, key)
        if key in _REQUIRED or value != row.default:
            yield f"{key} = {row.kind.toml(value)}"


def used_files(spec: WebhookSpec) -> Iterator[tuple[str, str]]:
    """(key, path) of each file that it names."""
    for key in ("url", "secret"):
        how, _, path = getattr(spec, key).partition(":")
        if how == "file":
            yield key, path
    if spec.template:
        yield "template", spec.template


def is_world_readable(path: str) -> bool:
    return bool(Path(path).stat().st_mode & stat.S_IROTH)


def _absence(path: str) -> str:
    try:
        Path(path).stat()
    except FileNotFoundError:
        return ": there is no such file"
    except OSError:
        pass
    return ""


def doubtful_files(hooks: tuple[WebhookSpec, ...]) -> Iterator[str]:
    """Warnings about what they name: nothing is told until it is there."""
    if any(hook.template for hook in hooks) and importlib.util.find_spec("jinja2") is None:
        yield (
            "a webhook has a template, and Jinja2 is not installed; it is told nothing until it is: pip install "
            "'netmap-supervisor[template]'"
        )
    for hook in hooks:
        for key in ("url", "secret"):
            if getattr(hook, key).startswith("credential:"):
                yield (
                    f"webhook {hook.name}.{key} is a credential of the unit, and $CREDENTIALS_DIRECTORY is not set "
                    "here; without it nothing is told"
                )
        for key, path in used_files(hook):
            what = f"the file {path} of webhook {hook.name}.{key}"
            if not os.access(path, os.R_OK):
                yield f"{what} cannot be read{_absence(path)}; it is told nothing until it can"
            elif key != "template" and is_world_readable(path):
                yield f"{what} can be read by everybody; chmod 600 it"
