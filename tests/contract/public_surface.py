"""The public surface: names, commands, options, JSON, log events, messages, metrics and statuses others rely on.

`python -m tests.contract.public_surface` writes the record, test_public_surface compares.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from typing import TYPE_CHECKING, Any

import click
import msgspec

import netmap_supervisor
from netmap_actors import subscriber
from netmap_actors.dev_control.faults.catalogue import FAULTS
from netmap_actors.dev_control.http.state import Seen
from netmap_actors.dev_control.operator.listings import ClientView, NodeView
from netmap_actors.dev_control.standalone import Edits
from netmap_actors.exit_reason import ExitReason, status_of
from netmap_actors.subscriber.netmap_view import Contents
from netmap_actors.wire import internal_pb2, netmap_pb2
from netmap_actors.wire.status import StatusReport
from netmap_supervisor import testing
from netmap_supervisor.cli import PROGRAM, commands
from netmap_supervisor.cli.process.exit_codes import ExitCode
from netmap_supervisor.config.options import OPTIONS
from tests.contract.test_house import PACKAGES, ROOT, modules, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

RECORD = ROOT / "tests" / "contract" / "public_surface.json"
LEVELS = {"debug", "info", "warning", "error"}


def surface() -> dict[str, list[str]]:
    """Every item as one line of text, by what it is a part of."""
    parts = {
        "commands": _commands(commands, PROGRAM),
        "exit statuses": _statuses(),
        "faults": (f"{name}({', '.join(kind.parameters)})" for name, kind in FAULTS.items()),
        "json": (*_status_keys(StatusReport, "status"), *_event_keys()),
        "log events": _log_events(),
        "messages": (*_messages(netmap_pb2), *_messages(internal_pb2)),
        "metrics": _metrics(),
        "names": _names(),
        "options": (
            f"{row.path} {row.flag} {row.variable} {row.kind.metavar} = {row.shown_default}"
            for row in OPTIONS.values()
        ),
    }
    return {part: sorted(set(items)) for part, items in parts.items()}


def _commands(command: click.Command, path: str) -> Iterator[str]:
    for parameter in command.params:
        yield f"{path} {' '.join((*parameter.opts, *parameter.secondary_opts))}"
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, f"{path} {name}")


def _statuses() -> Iterator[str]:
    yield from (f"command {code.value} {code.name}" for code in ExitCode)
    yield from (f"child {status_of(reason)} {reason.value}" for reason in ExitReason)


def _status_keys(kind: type[msgspec.Struct], path: str) -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        yield f"{path}.{field.encode_name}"
        for inner in _structs(field.type):
            yield from _status_keys(inner, f"{path}.{field.encode_name}")


def _structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in getattr(kind, "__args__", ()):
        yield from _structs(inner)


def _event_keys() -> Iterator[str]:
    """Keys of `watch --json`, by type, and of what is in them."""
    stamp: dict[str, Any] = {"epoch": 1, "seq": 1, "state": "fresh", "age_s": 0.0}
    peer, netmap = subscriber.Peer(b"", {}), subscriber.Netmap(Contents())
    user = subscriber.UserProfile(id=1, login_name="", display_name="", profile_pic_url="")
    events: tuple[subscriber.Event, ...] = (
        subscriber.Snapshot(netmap=netmap, **stamp),
        subscriber.PeerUpserted(peer=peer, previous={}, **stamp),
        subscriber.PeerRemoved(peer=peer, **stamp),
        subscriber.SelfChanged(node=peer, previous={}, **stamp),
        *(
            subscriber.DocumentChanged(document=name, value=1, previous=1, **stamp)
            for name in ("dns", "packet_filter", "derp_map", "ssh_policy", "health", "settings")
        ),
        subscriber.UserProfilesChanged(upserted=(user,), removed=(), **stamp),
        subscriber.DomainChanged(domain="", previous="", **stamp),
        subscriber.StateChanged(previous="stale", reason="received", **stamp),
    )
    yield from (f"watch.{event.to_json()['type']}.{key}" for event in events for key in event.to_json())
    yield from (f"peer.{key}" for key in peer.to_json())
    yield from (f"netmap.{key}" for key in netmap.to_json())
    yield from (f"user_profile.{key}" for key in user.to_json())


def _log_events() -> Iterator[str]:
    for path in modules():
        for call in ast.walk(parsed(path)):
            if isinstance(call, ast.Call):
                called = ast.unparse(call.func).rpartition(".")[2]
                if called in LEVELS | {"_log", "_put", "event", "log", "LogEvent"}:
                    words = {one.value for one in call.args if isinstance(one, ast.Constant)} - LEVELS
                    yield from (word for word in words if re.fullmatch(r"[a-z][a-z_]+", str(word)))


def _messages(schema: ModuleType) -> Iterator[str]:
    file = schema.DESCRIPTOR
    for message in file.message_types_by_name.values():
        yield from _fields(message)
    for kind in file.enum_types_by_name.values():
        yield from (f"{kind.full_name}.{value.name} = {value.number}" for value in kind.values)


def _fields(message: Any) -> Iterator[str]:
    for field in message.fields:
        kind = field.message_type or field.enum_type
        yield f"{message.full_name}.{field.name} = {field.number}: {kind.full_name if kind else field.type}"
    for inner in message.nested_types:
        yield from _fields(inner)


def _metrics() -> Iterator[str]:
    for path in (PACKAGES[0] / "http_endpoint").glob("*.py"):
        yield from re.findall(r'"(netmap_[a-z_]+)"', path.read_text())


def _names() -> Iterator[str]:
    for module in (netmap_supervisor, testing, subscriber):
        for name in module.__all__:
            yield f"{module.__name__}.{name}"
            yield from _members(getattr(module, name))
    for kind in (ClientView, Edits, NodeView, Seen):
        yield from _members(kind)


def _members(value: Any) -> Iterator[str]:
    """What of a class or function others can use; a parameter's default as "=", for its value is in the options."""
    if not isinstance(value, type) or value is testing.DevControlOptions:
        yield from (f"{value.__name__}.{name}" for name in getattr(value, "__annotations__", ()))
        return
    yield f"{value.__name__}{_parameters(value)}"
    # What Python gives to every text, enumeration and exception is not ours, and differs between its versions.
    inherited = {
        name for base in value.__mro__ if base.__module__ in {"builtins", "enum"} for name in vars(base)
    }
    for name in dir(value):
        if not name.startswith("_") and name not in inherited:
            member = getattr(value, name)
            yield f"{value.__name__}.{name}{_parameters(member) if callable(member) else ''}"


def _parameters(value: Any) -> str:
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return "()"
    marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    shown = (
        marks.get(one.kind, "") + one.name + ("" if one.default is inspect.Parameter.empty else "=")
        for one in parameters
    )
    return f"({', '.join(shown)})"


if __name__ == "__main__":
    RECORD.write_text(json.dumps(surface(), indent=1) + "\n")
