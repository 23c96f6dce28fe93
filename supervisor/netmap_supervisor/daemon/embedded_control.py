"""What the embedded control server keeps over the deaths of its process: listener, auth key, directory.

The listener is bound here and handed over, the key lies in a file: `kill -9` of dev_control looks to the client like
a control server that restarts, not like another server. Not here: the server itself, which is a child.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from typing import TYPE_CHECKING

from netmap_actors.errors import ConfigurationError
from netmap_supervisor.system.single_instance import make_private

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EmbeddedControl"]

DIRECTORY = "embedded-server"
_BACKLOG = 512


class EmbeddedControl:
    """One run's listener on loopback, and the key that opens it."""

    def __init__(self, state_dir: Path) -> None:
        """Raises ConfigurationError when the directory cannot be used, OSError when nothing can be bound."""
        self.directory = state_dir / DIRECTORY
        make_private(self.directory)
        key_path = self.directory / "auth_key"
        if not key_path.exists():
            _write_secret(key_path, f"embedded-{secrets.token_hex(16)}\n")
        self.auth_key = f"file:{key_path}"
        """Source of the auth key, for both sides."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def listen_fd(self) -> int:
        """The listening socket, inherited by every dev_control of the run; the last one may have cut its backlog."""
        self._listener.listen(_BACKLOG)
        return self._listener.fileno()

    def close(self) -> None:
        """Stop listening, as far as this process goes."""
        self._listener.close()


def _write_secret(path: Path, text: str) -> None:
    """All of it or nothing, 0600."""
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, path)  # noqa: PTH104
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None
