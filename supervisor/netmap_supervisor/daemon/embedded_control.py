"""What outlives the process of the embedded control server: listener, auth key, directory.

The listener is bound here and inherited, the key is in a file: to the client `kill -9` of dev_control is a restart of
the same control server. Not here: the server itself, which is a child.
"""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING

from netmap_actors.errors import ConfigurationError
from netmap_actors.state_file import write_state_file
from netmap_supervisor.system.single_instance import make_private

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EmbeddedControl"]

DIRECTORY = "embedded-server"
_BACKLOG = 512


class EmbeddedControl:
    """One run's listener on loopback, and its auth key."""

    def __init__(self, state_dir: Path) -> None:
        """Raises ConfigurationError when the directory cannot be used, OSError when nothing can be bound."""
        self.directory = state_dir / DIRECTORY
        make_private(self.directory)
        key_path = self.directory / "auth_key"
        if not key_path.exists():
            try:
                write_state_file(key_path, f"embedded-{secrets.token_hex(16)}\n".encode())
            except OSError as error:
                raise ConfigurationError(f"cannot write {key_path}: {error.strerror}") from None
        self.auth_key = f"file:{key_path}"
        """Source of the auth key, for both sides."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def listen_fd(self) -> int:
        """The listening socket that every dev_control of the run inherits; the last one may have cut its backlog."""
        self._listener.listen(_BACKLOG)
        return self._listener.fileno()

    def close(self) -> None:
        """Close this process's descriptor of the listener."""
        self._listener.close()
