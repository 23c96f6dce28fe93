"""The two state files of a control URL: our keys, and our registration with the server.

Not here: their formats (`registration.node_file`, `registration.record`). Only this process opens them.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from netmap_actors import __version__
from netmap_actors.control_connection.client.registration.hostinfo import HostDescription
from netmap_actors.control_connection.client.registration.node_file import NodeFile
from netmap_actors.control_connection.client.registration.record import Registration
from netmap_actors.errors import ConfigurationError
from netmap_actors.protocol.keys import MachinePrivate, NodePrivate
from netmap_actors.state_file import read_state_file, write_state_file

if TYPE_CHECKING:
    from netmap_actors.boot import ConnectionSettings
    from netmap_actors.protocol.keys import MachineKey

__all__ = ["NODE_FILE", "REGISTRATION_FILE", "NodeState", "make_directory", "new_node_key"]

NODE_FILE = "node.json"
REGISTRATION_FILE = "registration.json"


def make_directory(settings: ConnectionSettings) -> None:
    """The directory of a control URL, 0700. Raises OSError."""
    Path(settings.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)


def new_node_key() -> NodePrivate:
    """A node key of fresh randomness."""
    return NodePrivate.generate(secrets.token_bytes(32))


class NodeState:
    """The content of the files, written once the server's key is pinned."""

    def __init__(self, settings: ConnectionSettings) -> None:
        """Raises ConfigurationError; a file that cannot be used is left as it is."""
        directory = Path(settings.state_dir)
        try:
            make_directory(settings)
        except OSError as error:
            raise ConfigurationError(
                f"cannot use {directory}: {error.strerror}; choose another --state-dir"
            ) from None
        self._node_path = directory / NODE_FILE
        self._registration_path = directory / REGISTRATION_FILE
        self._url = settings.control_url
        description = _description(settings)
        data = read_state_file(self._node_path)
        known = NodeFile.from_json(data, str(self._node_path)) if data is not None else None
        # The embedded server has another port in each run; it is identified by its key.
        if known is not None and not settings.embedded:
            known.demand_server(settings.control_url, str(self._node_path))
        self.server_key: MachineKey | None = None
        """The pinned key; None = the server is not known yet."""
        if known is not None and not known.server_key.is_low_order:
            self.server_key = known.server_key
        self.machine_key = known.machine_key if known else MachinePrivate.generate(secrets.token_bytes(32))
        self.node_key = known.node_key if known else new_node_key()
        stored = self._stored_registration() if known else None
        registration = stored or self._fresh(description, self.server_key)
        if self.server_key is not None and registration.server_key not in (None, self.server_key):
            # Only one of the two files was written: the registration is of the server before.
            registration = registration.unregistered(self.server_key)
        self.registration = registration.described(description)
        self._known_as = stored.hostinfo.hostname if stored is not None and stored.was_let_in else ""
        """The host name that the tailnet knows; "" while it has not seen this node."""
        self._node_saved = known is not None and known.server_url == settings.control_url
        self._registration_saved = self.registration == stored

    def pin(self, server_key: MachineKey) -> None:
        """Trust this key from now on: a handshake has proved it. A registration with another server is dropped."""
        registration = msgspec.structs.replace(self.registration, server_key=server_key)
        if server_key != self.server_key:
            self._node_saved = False
            if self.server_key is not None:
                registration = self.registration.unregistered(server_key)
        self.server_key = server_key
        self._set_registration(registration)

    @property
    def pinned_unproved(self) -> bool:
        """Whether the pin may be a mere answer of `/key`, as older versions wrote it, with no registration begun.

        A pin without a registration file beside it may be of a registered node, of `tsp` for example, and is kept.
        """
        return self.registration.server_key is None and not self.registration.begun

    def take_node_key(self, node_key: NodePrivate) -> None:
        """This is our node key now."""
        self.node_key = node_key
        self._node_saved = False

    def take_registration(self, registration: Registration) -> None:
        """What the server knows of us now."""
        self._set_registration(msgspec.structs.replace(registration, server_key=self.registration.server_key))

    def _set_registration(self, registration: Registration) -> None:
        self._registration_saved = self._registration_saved and registration == self.registration
        self.registration = registration

    def save(self) -> None:
        """Write what is not on disk yet. Raises OSError, with the old files intact.

        The node file first: a registration belongs to its node. Nothing before a key is pinned.
        """
        if self.server_key is None:
            return
        if not self._node_saved:
            node = NodeFile(self.node_key, self.machine_key, self._url, self.server_key)
            write_state_file(self._node_path, node.to_json())
            self._node_saved = True
        if not self._registration_saved:
            write_state_file(self._registration_path, self.registration.to_json())
            self._registration_saved = True

    def connection_info(self) -> dict[str, str]:
        """Fields of ConnectionInfo. A change of the host name is reported once it is on disk, and so once."""
        hostname = self.registration.hostinfo.hostname
        renamed = self._registration_saved and self._known_as not in {"", hostname}
        return {
            "server_key": str(self.server_key) if self.server_key is not None else "",
            "previous_hostname": self._known_as if renamed else "",
            "hostname": hostname if renamed else "",
        }

    def _stored_registration(self) -> Registration | None:
        data = read_state_file(self._registration_path)
        return Registration.from_json(data, str(self._registration_path)) if data is not None else None

    @staticmethod
    def _fresh(description: HostDescription, server_key: MachineKey | None) -> Registration:
        fresh = Registration.fresh(secrets.token_bytes(32), secrets.token_hex(32), description)
        return msgspec.structs.replace(fresh, server_key=server_key)


def _description(settings: ConnectionSettings) -> HostDescription:
    machine = os.uname()
    return HostDescription(
        configured_hostname=settings.hostname,
        request_tags=settings.request_tags,
        version=__version__,
        machine_hostname=machine.nodename,
        os_version=machine.release,
    )
