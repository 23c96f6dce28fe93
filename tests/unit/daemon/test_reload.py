"""What a reload says of each setting, and whether it is so."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from netmap_actors.webhooks.spec import WebhookSpec
from netmap_supervisor.config.options import OPTIONS
from netmap_supervisor.config.settings import RunSettings
from netmap_supervisor.connection.messages import ConnectionStart
from netmap_supervisor.daemon.boot_records import BootRecords, endpoints_of
from netmap_supervisor.daemon.keyring import Keyring
from netmap_supervisor.daemon.reload import NEXT_CONNECTION, NOW, compare
from netmap_supervisor.supervision.messages import Spawn

HOOKS = (WebhookSpec(name="a", url="file:/u"),)
OLD = RunSettings(state_dir="/s", runtime_dir="/r", webhooks=HOOKS)
REAL = RunSettings(
    state_dir="/s",
    runtime_dir="/r",
    control_url="https://c.example",
    auth_key="env:KEY",
    http_listen="127.0.0.1:1",
    webhooks=HOOKS,
)
ACTORS = ("publisher", "liveness", "http_endpoint", "control_connection", "dev_control", "webhooks")
PROBES = {"probe_timeout"}
"""The Supervisor itself asks with it: tests/process/test_supervisor.py looks at what is asked."""
CHANGED = {bool: lambda value: not value, str: lambda value: value + "x", int: lambda value: value + 1}


def changed(name: str, of: RunSettings = OLD) -> RunSettings:
    if name == "webhooks":
        return msgspec.structs.replace(of, webhooks=())
    value = getattr(of, name)
    other = ("tag:x",) if isinstance(value, tuple) else value + 1.0 if isinstance(value, float) else None
    return msgspec.structs.replace(of, **{name: CHANGED[type(value)](value) if other is None else other})


def told(boots: BootRecords) -> dict[str, object]:
    """The settings of a process of each actor if it were started now."""
    spawns = [Spawn(name, 1, ConnectionStart() if name == "control_connection" else None) for name in ACTORS]
    found: dict[str, object] = {spawn.actor: boots.record(spawn, 3) for spawn in spawns}
    return found


def test_settings_that_did_not_change_change_nothing() -> None:
    settings, changes = compare(OLD, OLD)
    assert settings == OLD
    assert (changes.applied, changes.with_next_connection, changes.needs_restart) == ((), (), ())


@pytest.mark.parametrize("name", RunSettings.__struct_fields__)
def test_every_setting_is_taken_over_or_named_as_needing_a_restart(name) -> None:
    settings, changes = compare(OLD, changed(name))
    if name in NOW:
        assert changes.applied == (name,)
    elif name in NEXT_CONNECTION:
        assert changes.with_next_connection == (name,)
    else:
        assert changes.needs_restart == (name,)
    assert (settings == OLD) == (changes.needs_restart == (name,))


def test_where_the_daemon_is_never_changes_under_it() -> None:
    assert not {"control_url", "state_dir", "runtime_dir", "silence_timeout"} & (NOW | NEXT_CONNECTION)


@pytest.mark.parametrize("name", RunSettings.__struct_fields__)
def test_what_is_said_of_a_setting_is_what_the_next_processes_are_told(name) -> None:
    boots = BootRecords(
        settings=REAL,
        run="00" * 8,
        parent_pid=1,
        endpoints=endpoints_of(Path("/r/r-1"), Path("/r")),
        control_url=REAL.control_url,
        auth_key=REAL.auth_key,
        secrets_of=lambda auth_key: {auth_key: "its value"},
        connection_dir=Path("/s/x"),
        keyring=Keyring(),
        server_dir=Path("/s/dev"),
    )
    before = told(boots)
    now, changes = compare(REAL, changed(name, REAL))
    boots.renew(now)
    after = told(boots)
    moved = {actor for actor in before if before[actor] != after[actor]}
    if name in changes.with_next_connection and name not in PROBES:
        assert moved == {"control_connection"} | ({"webhooks"} if name in {"ca_file", "proxy"} else set())
    elif name == "webhooks":
        assert moved == {"webhooks"}, "which begins anew"
    else:
        assert moved == set(), "it says that this holds now, with a restart only, or for the Supervisor"


def test_a_reload_knows_every_option() -> None:
    assert {*OPTIONS, "webhooks"} == set(RunSettings.__struct_fields__)


def test_the_first_webhooks_need_a_restart() -> None:
    """Their process has its place in the tree from the start on."""
    none = msgspec.structs.replace(OLD, webhooks=())
    settings, changes = compare(none, OLD)
    assert (settings.webhooks, changes.needs_restart, changes.applied) == ((), ("webhooks",), ())
