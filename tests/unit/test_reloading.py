from __future__ import annotations

import msgspec
import pytest

from netmap_supervisor.reloading import NEXT_CONNECTION, NOW, compare
from netmap_supervisor.run_settings import RunSettings

OLD = RunSettings(state_dir="/s", runtime_dir="/r")
CHANGED = {bool: lambda value: not value, str: lambda value: value + "x", int: lambda value: value + 1}


def changed(name: str) -> RunSettings:
    value = getattr(OLD, name)
    other = ("tag:x",) if isinstance(value, tuple) else value + 1.0 if isinstance(value, float) else None
    return msgspec.structs.replace(OLD, **{name: CHANGED[type(value)](value) if other is None else other})


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
