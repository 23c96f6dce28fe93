"""registration.json: what a respawn must keep so that the tailnet does not notice it.

Not here: when it is written (`control_connection`) and what each field decides (`register`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.errors import ConfigurationError
from netmap_actors.protocol.keys import BadKey, DiscoPrivate, MachineKey, NodeKey, NodePrivate
from netmap_actors.tailcfg import Hostinfo  # noqa: TC001 - msgspec reads the annotations when it decodes

if TYPE_CHECKING:
    from netmap_actors.control_connection.client.registration.hostinfo import HostDescription

__all__ = ["PendingLogin", "Registration", "auth_key_digest"]


class PendingLogin(msgspec.Struct, frozen=True):
    """A registration under way, stored before its request so that a respawn continues it."""

    node_key: NodePrivate
    auth_url: str
    """The login URL; "" until the server gives one."""
    old_node_key: NodeKey | None
    """The key this one replaces."""


class Registration(msgspec.Struct, frozen=True):
    """This node as the control server knows it."""

    disco_key: DiscoPrivate
    backend_log_id: str
    hostinfo: Hostinfo
    """Byte for byte the same until `hostinfo_basis` changes: peers see every change."""
    hostinfo_basis: str
    """Digest of the settings the hostinfo was made from."""
    registered_node_key: NodeKey | None = None
    """The node key that the server has accepted."""
    auth_key_digest: str = ""
    """Of the auth key configured at the last registration."""
    removed: bool = False
    """The server no longer knew the node."""
    pending: PendingLogin | None = None
    server_key: MachineKey | None = None
    """The control key that this node found proved, or found in a node file without a registration beside it.

    None in a file of an older version, whose pin may be no more than an answer of `/key`.
    """

    @classmethod
    def fresh(cls, random32: bytes, backend_log_id: str, description: HostDescription) -> Registration:
        """Of a node that was never registered; `random32` becomes its disco key."""
        return cls(
            disco_key=DiscoPrivate.generate(random32),
            backend_log_id=backend_log_id,
            hostinfo=description.hostinfo(backend_log_id),
            hostinfo_basis=description.basis,
        )

    def described(self, description: HostDescription) -> Registration:
        """The same with the hostinfo of these settings, if they changed. The name stays unless one is configured."""
        if self.hostinfo_basis == description.basis:
            return self
        return msgspec.structs.replace(
            self,
            hostinfo=description.hostinfo(self.backend_log_id, self.hostinfo.hostname),
            hostinfo_basis=description.basis,
        )

    @property
    def begun(self) -> bool:
        """Whether a registration of this node was ever answered, or is under way."""
        return bool(self.registered_node_key or self.pending or self.removed or self.auth_key_digest)

    @property
    def was_let_in(self) -> bool:
        """Whether peers can have seen the node: it was registered, and not removed since."""
        return bool(self.registered_node_key or self.auth_key_digest) and not self.removed

    def unregistered(self, server_key: MachineKey) -> Registration:
        """The same node, unknown to the server with this key."""
        return msgspec.structs.replace(
            self, registered_node_key=None, removed=False, pending=None, server_key=server_key
        )

    def to_json(self) -> bytes:
        """The file's content; it holds private keys."""
        pending = self.pending
        document = _Document(
            disco_key=self.disco_key.to_text(),
            backend_log_id=self.backend_log_id,
            hostinfo=self.hostinfo,
            hostinfo_basis=self.hostinfo_basis,
            registered_node_key=str(self.registered_node_key) if self.registered_node_key else "",
            auth_key_digest=self.auth_key_digest,
            removed=self.removed,
            pending=_PendingDocument(
                node_key=pending.node_key.to_text(),
                auth_url=pending.auth_url,
                old_node_key=str(pending.old_node_key) if pending.old_node_key else "",
            )
            if pending
            else None,
            server_key=str(self.server_key) if self.server_key else "",
        )
        return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"

    @classmethod
    def from_json(cls, data: bytes, path: str) -> Registration:
        """Raises ConfigurationError, with what to do and without the content."""
        try:
            document = msgspec.json.decode(data, type=_Document)
            pending = document.pending
            return cls(
                disco_key=DiscoPrivate.parse(document.disco_key),
                backend_log_id=document.backend_log_id,
                hostinfo=document.hostinfo,
                hostinfo_basis=document.hostinfo_basis,
                registered_node_key=_optional(document.registered_node_key),
                auth_key_digest=document.auth_key_digest,
                removed=document.removed,
                pending=PendingLogin(
                    NodePrivate.parse(pending.node_key), pending.auth_url, _optional(pending.old_node_key)
                )
                if pending
                else None,
                server_key=MachineKey.parse(document.server_key) if document.server_key else None,
            )
        except BadKey as error:
            why = str(error)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            why = "it is not the JSON this program wrote"
        raise ConfigurationError(
            f"cannot read {path}: {why}; restore it from a backup, or move it away to register again"
        )


def auth_key_digest(auth_key: str) -> str:
    """The digest by which a change of the auth key is noticed."""
    return hashlib.sha256(b"netmap-supervisor auth key\0" + auth_key.encode()).hexdigest()


def _optional(text: str) -> NodeKey | None:
    return NodeKey.parse(text) if text else None


class _PendingDocument(msgspec.Struct):
    node_key: str
    auth_url: str = ""
    old_node_key: str = ""


class _Document(msgspec.Struct):
    disco_key: str
    backend_log_id: str
    hostinfo: Hostinfo
    hostinfo_basis: str = ""
    registered_node_key: str = ""
    auth_key_digest: str = ""
    removed: bool = False
    pending: _PendingDocument | None = None
    server_key: str = ""
