"""The CURVE keys of remote subscribers on disk: the publisher's own pair and the clients it admits.

    <state>/curve/server.key_secret   0600, made once
    <state>/curve/allowed/<name>.key  0600, one public key a file

A key file is a comment and one line of Z85 (ZeroMQ RFC 32), 40 characters. Not here: authentication (`bus.zap`).
"""

from __future__ import annotations

import os
import re
import struct
from typing import TYPE_CHECKING, NamedTuple

import zmq
import zmq.utils.z85

from netmap_actors.errors import ConfigurationError
from netmap_actors.named_files import NAME_RULE, NamedFiles, make_private, read_regular, write_new

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "SERVER_KEY",
    "AllowList",
    "ClientKey",
    "CurvePair",
    "check_public",
    "generate",
    "is_key",
    "load_server_pair",
    "read_secret",
    "write_secret",
]

_Z85 = r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}"
_WHAT = "the CURVE key"
SERVER_KEY = "server.key_secret"
"""The publisher's own pair, in `<state>/curve`."""


class CurvePair(NamedTuple):
    """Both halves in Z85."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"CurvePair(public={self.public!r}, secret=[redacted])"


class ClientKey(NamedTuple):
    """One admitted client."""

    name: str
    public: str


def generate() -> CurvePair:
    """A new pair, from libzmq's random numbers."""
    while True:
        public, secret = zmq.curve_keypair()
        # The public key is a command argument, where a dash begins an option.
        if not public.startswith(b"-"):
            return CurvePair(public.decode("ascii"), secret.decode("ascii"))


def is_key(text: str) -> bool:
    """Whether it is Z85 of 32 bytes; five characters may exceed four bytes."""
    if not re.fullmatch(_Z85, text):
        return False
    try:
        zmq.utils.z85.decode(text.encode("ascii"))
    except struct.error:
        return False
    return True


def check_public(text: str) -> str:
    """The key without surrounding white space. Raises ConfigurationError when it is none."""
    key = text.strip()
    if not is_key(key):
        raise ConfigurationError(
            "cannot use this CURVE key: 40 characters of Z85 are expected; "
            "`netmap-supervisor keys generate` makes a pair and prints the public half"
        )
    return key


def read_secret(path: Path) -> CurvePair:
    """A client's pair from the file `keys generate` wrote. Raises ConfigurationError."""
    try:
        lines = read_regular(path, _WHAT).splitlines()
    except OSError as error:
        raise ConfigurationError(f"cannot read the CURVE key file {path}: {_why(error)}") from None
    keys = [line for line in lines if line and not line.startswith("#")]
    if len(keys) != 2 or not all(map(is_key, keys)):
        raise ConfigurationError(
            f"cannot use {path}: it does not hold a public and a secret CURVE key; put the file back, or remove it for "
            "a new pair"
        )
    pair = CurvePair(*keys)
    if zmq.curve_public(pair.secret.encode()).decode() != pair.public:
        raise ConfigurationError(f"cannot use {path}: its public key does not belong to its secret key")
    return pair


def write_secret(path: Path, pair: CurvePair) -> None:
    """Write a pair to a new file of mode 0600. Raises ConfigurationError, also for an existing file."""
    text = f"# CURVE key pair of a netmap subscriber: keep the second line secret.\n{pair.public}\n{pair.secret}\n"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        write_new(fd, text, path)
    except FileExistsError:
        raise ConfigurationError(
            f"cannot write the CURVE key file {path}: it is there, and a key is not overwritten; name another file, or "
            "remove it"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the CURVE key file {path}: {_why(error)}; {path.parent} has to be a directory "
            "that you may write to"
        ) from None


def load_server_pair(directory: Path) -> CurvePair:
    """The publisher's pair in `<state>/curve`, generated at the first call. Raises ConfigurationError."""
    path = directory / SERVER_KEY
    if not path.exists():
        make_private(directory)
        try:
            write_secret(path, generate())
        except ConfigurationError:
            # Daemon and command may race for the first call.
            if not path.exists():
                raise
    return read_secret(path)


class AllowList:
    """The clients in `<state>/curve/allowed`; read again when the directory or one of its files changes.

    A file that is no key is one of `problems`, and the others remain valid.
    """

    def __init__(self, directory: Path) -> None:
        self._files = NamedFiles(directory / "allowed", ".key")
        self._keys: dict[str, ClientKey] = {}
        self._problems: tuple[str, ...] = ()

    def clients(self) -> list[ClientKey]:
        """The admitted clients, by name. Raises OSError when the directory cannot be read."""
        self._refresh()
        return sorted(self._keys.values())

    def problems(self) -> tuple[str, ...]:
        """Files that are no keys, and why. Raises OSError as `clients`."""
        self._refresh()
        return self._problems

    def find(self, public: str) -> ClientKey | None:
        """The client with this key, None when it is not admitted. Raises OSError as `clients`."""
        self._refresh()
        return self._keys.get(public)

    def allow(self, name: str, public: str) -> ClientKey:
        """Admit a client. Raises ConfigurationError for a bad name or key, or a name that is taken; PermissionError."""
        path = self._files.path(name)
        if path is None:
            raise ConfigurationError(f"cannot name a client {name!r}: {NAME_RULE}")
        key = check_public(public)
        held = self.find(key)
        if held is not None:
            raise ConfigurationError(f"cannot allow this key again: it is {held.name}'s")
        if path.exists():
            raise ConfigurationError(f"cannot allow {name}: the name is taken; revoke it first")
        try:
            self._files.add(path, f"{key}\n")
        except PermissionError:
            raise
        except OSError as error:
            raise ConfigurationError(
                f"cannot write {path}: {_why(error)}; make room, and allow it again"
            ) from None
        return ClientKey(name, key)

    def revoke(self, name: str) -> None:
        """Remove this client. Raises ConfigurationError when there is none of that name."""
        path = self._files.path(name)
        if path is None or not path.exists():
            known = ", ".join(client.name for client in self.clients()) or "nobody"
            raise ConfigurationError(f"cannot revoke {name!r}: not among the allowed clients ({known})")
        path.unlink()

    def _refresh(self) -> None:
        paths = self._files.changed()
        if paths is None:
            return
        keys: dict[str, ClientKey] = {}
        problems: list[str] = []
        for path in paths:
            try:
                key = check_public(_read_small(path))
            except (ConfigurationError, OSError) as error:
                problems.append(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
                continue
            keys[key] = ClientKey(path.stem, key)
        self._keys, self._problems = keys, tuple(problems)


def _read_small(path: Path) -> str:
    """The key line of a small regular file. Raises OSError, ConfigurationError."""
    text = read_regular(path, _WHAT)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return lines[0] if len(lines) == 1 else text


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
