"""What survives a restart: the Noise key, auth keys and registered nodes, in one file of the state directory.

Not here: simulated nodes, which come back from the seed.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec

from netmap_actors.dev_control.registration.registrar import LoginState, PreAuthKey  # noqa: TC001  # msgspec reads annotations
from netmap_actors.dev_control.tailnet.addresses import LAST_PLACE
from netmap_actors.dev_control.tailnet.json_types import JsonNode, JsonUser  # noqa: TC001  # msgspec reads annotations
from netmap_actors.errors import ConfigurationError
from netmap_actors.state_file import read_state_file, write_state_file

__all__ = ["AUTH_KEY_FILE", "MAX_STATE", "SavedLogin", "SavedNode", "State", "Store"]

STATE_FILE = "state.json"
AUTH_KEY_FILE = "auth_key"
MAX_STATE = 256 << 20
"""Bytes of the state file that are read."""

UnixSeconds = Annotated[float, msgspec.Meta(ge=0.0, le=253_402_300_799.0)]
"""UNIX seconds up to the end of the year 9999."""
MAX_AUTH_KEY_FILE = 4096
"""Bytes, as of any auth key that a client reads."""
_AUTH_KEY = re.compile(rb"[!-~]*")
AddressPlace = Annotated[int, msgspec.Meta(ge=1, le=LAST_PLACE)]
"""Where a node's addresses are in the ranges."""


class SavedNode(msgspec.Struct, kw_only=True):
    """A registered node."""

    node: JsonNode
    label: str
    owner: int
    ephemeral: bool
    place: AddressPlace
    hostinfo: dict[str, Any] | None = None
    expires_at: UnixSeconds | None = None
    """None for a key that never expires, or has."""
    routes: tuple[str, ...] | None = None
    """Approved by hand; None: as of a server that did not keep them, those it carries."""


class SavedLogin(msgspec.Struct, kw_only=True):
    """A login that is not completed, or whose answer has not been fetched."""

    id: str
    machine: str
    request: dict[str, Any]
    """Body of the register request, without secrets."""
    expires_at: UnixSeconds
    state: LoginState
    why: str = ""


class State(msgspec.Struct, kw_only=True):
    """All of the file. It holds secrets: the private key and the auth keys."""

    machine_private: str
    incarnation: int = 0
    """Starts of the server so far."""
    born: UnixSeconds = 0.0
    """Of the first start, from which simulated nodes date; 0: not known."""
    auth_keys: list[PreAuthKey] = []
    users: list[JsonUser] = []
    nodes: list[SavedNode] = []
    next_id: int = 1
    """Of a node that registers; those of deleted nodes are not given out again."""
    logins: list[SavedLogin] = []

    def __repr__(self) -> str:
        return f"State(incarnation={self.incarnation}, nodes={len(self.nodes)})"


class Store:
    """One state directory (0700), locked: two servers in one would overwrite each other's state."""

    def __init__(self, directory: str) -> None:
        """Raises ConfigurationError when the directory cannot be used, or another server uses it."""
        self._directory = Path(directory)
        self._lock = -1
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self._directory.stat()
        except OSError as error:
            raise ConfigurationError(
                f"cannot use the state directory {directory}: {error.strerror}"
            ) from None
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise ConfigurationError(
                f"cannot use the state directory {directory}: it belongs to others, or they may write to it"
            )
        self._lock = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise ConfigurationError(
                f"cannot use the state directory {directory}: another control server uses it; end that one, or name "
                "another directory"
            ) from None

    def close(self) -> None:
        """Another server may use the directory. Closing twice is allowed."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __del__(self) -> None:
        self.close()

    def load(self) -> State | None:
        """The state of the last run; None before the first. Raises ConfigurationError when it cannot be read."""
        path = self._directory / STATE_FILE
        data = read_state_file(path, MAX_STATE)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=State)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ConfigurationError(
                f"cannot read {path}: {error}; remove it for a new control server with a new key"
            ) from None

    def save(self, state: State) -> None:
        """Replace the file as a whole, or leave it as it is. Raises OSError."""
        write_state_file(self._directory / STATE_FILE, msgspec.json.encode(state))

    def read_auth_key(self) -> str:
        """The auth key kept there; empty when there is none. Raises ConfigurationError."""
        path = self._directory / AUTH_KEY_FILE
        text = (read_state_file(path, MAX_AUTH_KEY_FILE) or b"").strip()
        if not _AUTH_KEY.fullmatch(text):
            raise ConfigurationError(
                f"cannot use {path}: it is not one word of printable characters; remove it for a new auth key"
            )
        return text.decode("ascii")

    def write_auth_key(self, text: str) -> None:
        """Raises OSError."""
        write_state_file(self._directory / AUTH_KEY_FILE, text.encode("ascii") + b"\n")
