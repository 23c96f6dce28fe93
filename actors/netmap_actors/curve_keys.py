"""The CURVE keys of remote subscribers on disk: the publisher's own pair and the clients it admits.

    <state>/curve/server.key_secret   0600, made once
    <state>/curve/allowed/<name>.key  0600, one public key a file

A key file is a comment and one line of Z85 (ZeroMQ RFC 32), 40 characters. Not here: authentication (`bus.zap`).
"""

from __future__ import annotations

import os
import re
import stat
import struct
from pathlib import Path
from typing import NamedTuple

import zmq
import zmq.utils.z85

from netmap_actors.errors import ConfigurationError

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
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_MAX_KEY_FILE = 4096
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
        lines = _read_regular(path).splitlines()
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
        _write_all(fd, text, path)
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
        _make_private(directory)
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
        self._directory = directory / "allowed"
        self._seen: tuple[tuple[str, int, int, int, int], ...] | None = None
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
        if not re.fullmatch(_NAME, name):
            raise ConfigurationError(
                f"cannot name a client {name!r}: letters, digits, '.', '_' and '-' are allowed, 64 at most"
            )
        key = check_public(public)
        held = self.find(key)
        if held is not None:
            raise ConfigurationError(f"cannot allow this key again: it is {held.name}'s")
        path = self._directory / f"{name}.key"
        if path.exists():
            raise ConfigurationError(f"cannot allow {name}: the name is taken; revoke it first")
        _make_private(self._directory)
        import tempfile  # noqa: PLC0415

        # Atomic: the publisher may read at any moment.
        try:
            fd, temporary = tempfile.mkstemp(dir=self._directory, prefix=".new-")
            _write_all(fd, f"{key}\n", Path(temporary))
            Path(temporary).replace(path)
        except PermissionError:
            raise
        except OSError as error:
            raise ConfigurationError(
                f"cannot write {path}: {_why(error)}; make room, and allow it again"
            ) from None
        return ClientKey(name, key)

    def revoke(self, name: str) -> None:
        """Remove this client. Raises ConfigurationError when there is none of that name."""
        path = self._directory / f"{name}.key"
        if not re.fullmatch(_NAME, name) or not path.exists():
            known = ", ".join(client.name for client in self.clients()) or "nobody"
            raise ConfigurationError(f"cannot revoke {name!r}: not among the allowed clients ({known})")
        path.unlink()

    def _refresh(self) -> None:
        found: list[tuple[Path, os.stat_result]] = []
        try:
            entries = sorted(self._directory.iterdir())
        except FileNotFoundError:
            entries = []
        for path in entries:
            # Editors leave locks and copies beside a file.
            if path.suffix != ".key" or not re.fullmatch(_NAME, path.stem):
                continue
            try:
                found.append((path, path.stat()))
            except FileNotFoundError:
                continue  # gone since, or a link to nowhere
        seen = tuple((path.name, s.st_mtime_ns, s.st_ctime_ns, s.st_size, s.st_ino) for path, s in found)
        if seen == self._seen:
            return
        keys: dict[str, ClientKey] = {}
        problems: list[str] = []
        for path, _ in found:
            try:
                key = check_public(_read_small(path))
            except (ConfigurationError, OSError) as error:
                problems.append(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
                continue
            keys[key] = ClientKey(path.stem, key)
        self._keys, self._problems, self._seen = keys, tuple(problems), seen


def _make_private(directory: Path) -> None:
    """Make the directory and its missing parents with mode 0700, which Path.mkdir does not give parents."""
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)


def _write_all(fd: int, text: str, path: Path) -> None:
    """Write a new file durably and close it; on failure it is removed. Raises OSError."""
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _read_regular(path: Path) -> str:
    """A small regular file. Raises OSError, ConfigurationError."""
    # A pipe or a device under that name must not block.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ConfigurationError(f"cannot use the CURVE key {path}: it is no regular file; put the file back")
    with os.fdopen(fd, "rb") as file:
        return file.read(_MAX_KEY_FILE).decode("ascii", "replace")


def _read_small(path: Path) -> str:
    """The key line of a small regular file. Raises OSError, ConfigurationError."""
    text = _read_regular(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return lines[0] if len(lines) == 1 else text


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
