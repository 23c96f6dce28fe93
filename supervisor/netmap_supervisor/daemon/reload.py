"""What a new set of settings changes in a running daemon: now, with the next connection, or only with a restart."""

from __future__ import annotations

import msgspec

from netmap_supervisor.config.settings import RunSettings

__all__ = ["NEXT_CONNECTION", "NOW", "ReloadResult", "compare"]

NOW = frozenset({"log_level", "webhooks"})
"""Settings that hold at once; webhooks only where there were some: their process has its place in the tree from the
start on."""
NEXT_CONNECTION = frozenset(
    {
        "accept_changed_key",
        "auth_key",
        "ca_file",
        "ephemeral",
        "hostname",
        "insecure_key_fetch",
        "on_removed",
        "probe_timeout",
        "proxy",
        "request_tags",
    }
)
"""Settings only control_connection has, and some of them the webhooks: they hold from its next process on (`reconnect`
starts one)."""


class ReloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of new settings; names of RunSettings fields."""

    applied: tuple[str, ...]
    with_next_connection: tuple[str, ...]
    needs_restart: tuple[str, ...]
    """Changed, and not taken over."""


def compare(old: RunSettings, new: RunSettings) -> tuple[RunSettings, ReloadResult]:
    """The settings that hold from now on, and what became of those that differ."""
    changed = [name for name in RunSettings.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    takeable = (NOW | NEXT_CONNECTION) - (set() if old.webhooks else {"webhooks"})
    taken = {name: getattr(new, name) for name in changed if name in takeable}
    changes = ReloadResult(
        applied=tuple(name for name in changed if name in NOW and name in taken),
        with_next_connection=tuple(name for name in changed if name in NEXT_CONNECTION),
        needs_restart=tuple(name for name in changed if name not in taken),
    )
    return msgspec.structs.replace(old, **taken), changes
