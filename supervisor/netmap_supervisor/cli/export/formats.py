"""The formats of `export`: what makes the text of each, and which options it takes."""

from __future__ import annotations

import operator
import os
from typing import TYPE_CHECKING, NamedTuple

from netmap_actors.clock import SystemClock
from netmap_actors.exports import netmap_json, zone_serial
from netmap_actors.exports.remarks import CannotExport
from netmap_supervisor.admin.commands import CommandFailed

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Callable
    from pathlib import Path

    from netmap_actors.exports.nodes import NodeChoice
    from netmap_actors.subscriber import EventKind, Snapshot

__all__ = ["FORMATS", "Format", "Selection"]


class Selection(NamedTuple):
    """Which nodes are exported, and how."""

    nodes: NodeChoice
    port: int | None
    suffixes: tuple[str, ...]
    origin: str | None
    servers: tuple[str, ...]
    reverse: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    host: str | None
    template: Path | None


class Format(NamedTuple):
    """One export format. Its room is loaded when it is asked for."""

    kinds: tuple[EventKind, ...] | None
    """The kinds of event that can change it; None: all."""
    options: frozenset[str]
    """Those of the options that are not for every format, by the names of the command's parameters."""
    make: Callable[[Snapshot, Selection], str]
    same: Callable[[bytes, bytes], bool] = operator.eq
    """Whether an old and a new content are equivalent."""
    succeeding: Callable[[bytes, bytes], bytes] = lambda _, new: new
    """The new content in the place of an old one."""

    def text(self, snapshot: Snapshot, choice: Selection) -> str:
        """The whole content. Raises CommandFailed."""
        try:
            return self.make(snapshot, choice)
        except CannotExport as error:
            raise CommandFailed(str(error)) from None


def _hosts(snapshot: Snapshot, choice: Selection) -> str:
    from netmap_actors.exports import hosts

    return hosts.text(
        snapshot.netmap,
        state=snapshot.state,
        **choice.nodes,
        suffixes=choice.suffixes,
        machine=os.uname().nodename,
    )


def _json(snapshot: Snapshot, choice: Selection) -> str:
    return netmap_json.text(netmap_json.json_object(snapshot, **choice.nodes))


def _prometheus_sd(snapshot: Snapshot, choice: Selection) -> str:
    from netmap_actors.exports import prometheus_sd

    return prometheus_sd.text(
        prometheus_sd.target_groups(
            snapshot.netmap,
            state=snapshot.state,
            port=choice.port,
            **choice.nodes,
        )
    )


def _zone(snapshot: Snapshot, choice: Selection) -> str:
    from netmap_actors.exports import zone

    return zone.text(
        snapshot.netmap,
        state=snapshot.state,
        serial=zone_serial.serial_at(SystemClock().wall()),
        origin=choice.origin,
        servers=choice.servers,
        reverse=choice.reverse,
        **choice.nodes,
    )


def _ansible(snapshot: Snapshot, choice: Selection) -> str:
    from netmap_actors.exports import ansible

    shown = ansible.inventory(
        snapshot.netmap,
        state=snapshot.state,
        **choice.nodes,
    )
    return ansible.text(shown) if choice.host is None else ansible.host_text(shown, choice.host)


def _template(snapshot: Snapshot, choice: Selection) -> str:
    from netmap_actors.exports.template_values import template_values
    from netmap_supervisor.cli.export.template import rendered

    assert choice.template is not None, "the command asks for it"
    values = template_values(
        snapshot.netmap,
        state=snapshot.state,
        **choice.nodes,
    )
    return rendered(choice.template, values)


_NODES: tuple[EventKind, ...] = ("peer_upserted", "peer_removed", "self_changed", "domain_changed")
_SELF = frozenset({"include_self"})
FORMATS = {
    "hosts": Format((*_NODES, "dns_changed"), _SELF | {"suffixes"}, _hosts),
    "json": Format(None, frozenset(), _json, netmap_json.same),
    "prometheus-sd": Format((*_NODES, "user_profiles_changed"), _SELF | {"port"}, _prometheus_sd),
    "zone": Format(
        (*_NODES, "dns_changed"),
        _SELF | {"origin", "servers", "reverse"},
        _zone,
        zone_serial.same,
        zone_serial.succeeding,
    ),
    "ansible": Format((*_NODES, "user_profiles_changed"), _SELF | {"as_list", "host"}, _ansible),
    "template": Format((*_NODES, "user_profiles_changed", "dns_changed"), _SELF | {"template"}, _template),
}
"""By name, in the order of the help."""
