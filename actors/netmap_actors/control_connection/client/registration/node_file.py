"""The node file: keys and pinned server key in exactly the format of tailscale's `tsp`.

Not here: the atomic write (`netmap_actors.state_file`).
Source: tailscale: control/tsp/nodefile.go.
"""

from __future__ import annotations

import msgspec

from netmap_actors.errors import ConfigurationError, escape
from netmap_actors.protocol.keys import BadKey, MachineKey, MachinePrivate, NodePrivate
from netmap_actors.web_url import BadUrl, WebUrl

__all__ = ["NodeFile"]


def _same_server(one: str, other: str) -> bool:
    try:
        first, second = (WebUrl.parse_origin(url, interface=True) for url in (one, other))
        return first.origin == second.origin
    except BadUrl:
        return False


class _Document(msgspec.Struct):
    node_key: str
    machine_key: str
    server_url: str
    server_key: str


class NodeFile(msgspec.Struct, frozen=True):
    """Our keys and the server's."""

    node_key: NodePrivate
    machine_key: MachinePrivate
    server_url: str
    server_key: MachineKey
    """Of low order in a file that was written before the server's key was proved."""

    def to_json(self) -> bytes:
        """The file's content, byte for byte as Go's json.MarshalIndent writes it."""
        document = _Document(
            node_key=self.node_key.to_text(),
            machine_key=self.machine_key.to_text(),
            server_url=self.server_url,
            server_key=str(self.server_key),
        )
        return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"

    @classmethod
    def from_json(cls, data: bytes, path: str) -> NodeFile:
        """Raises ConfigurationError, with what to do and without the content."""
        try:
            document = msgspec.json.decode(data, type=_Document)
            node = cls(
                NodePrivate.parse(document.node_key),
                MachinePrivate.parse(document.machine_key),
                document.server_url,
                MachineKey.parse(document.server_key),
            )
        except BadKey as error:
            why = str(error)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            why = "it is not a node file (node_key, machine_key, server_url, server_key)"
        else:
            return node
        raise ConfigurationError(
            f"cannot read {path}: {why}; restore it from a backup, or move it away to become a new node"
        )

    def demand_server(self, url: str, path: str) -> None:
        """Raises ConfigurationError when this file belongs to another control server."""
        if not _same_server(self.server_url, url):
            raise ConfigurationError(
                f"cannot use {path} with {escape(url)}: it belongs to {escape(self.server_url)}; "
                "use that control URL, another --state-dir, or move the file away to become a new node"
            )
