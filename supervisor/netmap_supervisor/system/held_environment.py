"""The environment `run` was started with, without its secrets: those are held here and wiped where the kernel keeps it.

/proc/PID/environ shows what lay there at the start, whatever a program does to its variables later. Not here: who gets
the secrets (`boot_records`: who connects to other machines, through a pipe).
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.errors import ConfigurationError
from netmap_actors.wire.vocabulary import ActorName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableMapping

__all__ = ["PROXIES", "HeldEnvironment", "environment_for", "wipe", "wipe_all"]

PROXIES: Final = (
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
)  # fmt: skip
"""A proxy's URL may hold a password."""
MAX_SECRETS: Final = 32 * 1024
"""Bytes of all of them together: they have to fit into a boot record."""
_KEPT = (
    "PATH", "LANG", "LC_ALL", "TZ", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_PRELOAD", "LD_LIBRARY_PATH",
    "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV",
)  # fmt: skip
_TERMINAL = (
    "TERM", "COLORTERM", "TERM_PROGRAM", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES",
    "LC_CTYPE", "PYTHONIOENCODING", "PYTHONUTF8",
)  # fmt: skip

_RESOLVER_OPTIONS = "timeout:2 attempts:2"
"""Two seconds and two attempts for each name server (resolv.conf(5)): five seconds of a lookup are enough."""

_UNDECODED = re.compile("[\ud800-\udfff]")
_ENV_START = 50 - 3
"""Index of `env_start`, field 50 of /proc/PID/stat, behind the command's name, field 2; `env_end` follows
(proc_pid_stat(5))."""


class HeldEnvironment(Mapping[str, str]):
    """Variables by name, secrets included; neither its repr nor the environment itself shows those."""

    def __init__(
        self, environment: MutableMapping[str, str], forget: Callable[[Iterable[str]], object] | None = None
    ) -> None:
        """`forget(names)`: wipe their other copies, as `wipe` does for os.environ."""
        self._forget = forget
        self._environment = environment
        self._secrets: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        return self._secrets[name] if name in self._secrets else self._environment[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._environment, **self._secrets})

    def __len__(self) -> int:
        return len({**self._environment, **self._secrets})

    def __repr__(self) -> str:
        return f"<environment of {len(self)} variables, {len(self._secrets)} of them held back>"

    def hold(self, auth_key: str) -> None:
        """Take the secrets out: proxies, and the variable that `env:NAME` names. Raises ConfigurationError."""
        names = [name for name in (*PROXIES, _variable(auth_key)) if name in self._environment]
        for name in names:
            self._secrets[name] = self._environment.pop(name)
        if self._forget is not None:
            self._forget(names)
        size = len(msgspec.json.encode(self.secrets(auth_key)))
        if size > MAX_SECRETS:
            raise ConfigurationError(
                f"cannot use the environment: the auth key and the proxy variables have {size} bytes, more than "
                f"{MAX_SECRETS}; shorten NO_PROXY"
            )

    @property
    def holds_secrets(self) -> bool:
        """Whether one of them may be a secret: an auth key, a proxy's password."""
        return any(name not in PROXIES or "@" in value for name, value in self._secrets.items())

    def secrets(self, auth_key: str) -> dict[str, str]:
        """The secrets for who connects, without an auth key the proxies alone. A byte that is not UTF-8 becomes NUL,
        which no key and no URL has."""
        wanted = (*PROXIES, _variable(auth_key))
        return {name: _UNDECODED.sub("\0", self[name]) for name in wanted if name in self}


def environment_for(actor: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child, or of the view: nothing that may hold a secret."""
    kept = {name: environment[name] for name in _KEPT if name in environment}
    if actor == "view":
        kept |= {name: environment[name] for name in _TERMINAL if name in environment}
    if actor in {ActorName.CONNECTION, ActorName.WEBHOOKS}:
        kept["RES_OPTIONS"] = environment.get("RES_OPTIONS", _RESOLVER_OPTIONS)
    return kept


def _variable(auth_key: str) -> str:
    kind, _, name = auth_key.partition(":")
    return name if kind == "env" else ""


def wipe(names: Iterable[str]) -> None:
    """Zero the values of these variables in the block that this process was started with. Raises OSError."""
    wanted = {os.fsencode(name) for name in names}
    if wanted:
        _zero(wanted.__contains__)


def wipe_all(kept: Mapping[str, str]) -> None:
    """Have no variable but these any more, and no copy of another: for a fork, where the rest is somebody else's.

    Raises OSError.
    """
    # CPython's own copies: zeroed in place, as nothing else forgets them (a single byte is everybody's object).
    values = [value for value in os.environb._data.values() if len(value) > 1]  # type: ignore[attr-defined]  # noqa: SLF001
    _zero(lambda name: os.fsdecode(name) not in kept)
    copies = [(id(value) + bytes.__basicsize__ - 1, len(value)) for value in values]
    os.environ.clear()
    for address, size in copies:
        ctypes.memset(address, 0, size)
    os.environ.update(kept)


def _zero(unwanted: Callable[[bytes], bool]) -> None:
    behind_name = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = (int(behind_name[_ENV_START + offset]) for offset in (0, 1))
    if not 0 < start < end:
        return  # the kernel does not say (it was asked to forget, prctl(2) PR_SET_MM)
    block = ctypes.string_at(start, end - start)
    at = 0
    for entry in block.split(b"\0"):
        name, separator, value = entry.partition(b"=")
        if separator and unwanted(name):
            ctypes.memset(start + at + len(name) + 1, 0, len(value))
        at += len(entry) + 1
