"""Reads the auth key from its source.

Not here: when it is sent (`register`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.control_connection.client.registration.record import auth_key_digest
from netmap_actors.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ClientAuthKey", "read_auth_key"]

MAX_AUTH_KEY = 4096
"""Bytes of an auth key."""

_TAILNET_LOCK_MARK = "--TL"
"""What follows is for signing by the client itself and never sent (tailscale: tka/sig.go)."""


class ClientAuthKey(msgspec.Struct, frozen=True):
    """A secret that admits nodes. Its repr does not show it."""

    secret: str

    def __repr__(self) -> str:
        return "ClientAuthKey(...)"

    @property
    def digest(self) -> str:
        return auth_key_digest(self.secret)


def read_auth_key(source: str, environment: Mapping[str, str]) -> ClientAuthKey | None:
    """The key that `file:PATH` or `env:NAME` names, stripped of white space; None when no source is named.

    Raises ConfigurationError, which never repeats what it read.
    """
    if not source:
        return None
    kind, _, place = source.partition(":")
    if kind == "file" and place:
        text = _from_file(place)
    elif kind == "env" and place:
        text = _from_environment(place, environment)
    else:
        # The source itself may be a key given by mistake.
        raise ConfigurationError("cannot read the auth key: its source must be file:PATH or env:NAME")
    if not text.isprintable() or " " in text:
        raise ConfigurationError(
            f"cannot use the auth key from {kind}:{place}: it holds more than one word; it has to be the key alone"
        )
    secret = text.partition(_TAILNET_LOCK_MARK)[0]
    if not secret:
        raise ConfigurationError(
            f"cannot use the auth key from {kind}:{place}: there is nothing before {_TAILNET_LOCK_MARK}"
        )
    return ClientAuthKey(secret)


def _from_file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_AUTH_KEY + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a path"
        raise ConfigurationError(
            f"cannot read the auth key from file:{path}: {why}; create the file or name another"
        ) from None
    if len(data) > MAX_AUTH_KEY:
        raise ConfigurationError(
            f"cannot use the auth key from file:{path}: it has over {MAX_AUTH_KEY} bytes; it has to be the key alone"
        )
    try:
        text = data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"cannot use the auth key from file:{path}: it is not text; it has to be the key alone"
        ) from None
    if not text:
        raise ConfigurationError(
            f"cannot use the auth key from file:{path}: the file is empty; put the key into it"
        )
    return text


def _from_environment(name: str, environment: Mapping[str, str]) -> str:
    text = environment.get(name, "").strip()
    if not text:
        raise ConfigurationError(
            f"cannot read the auth key from env:{name}: the variable is not set; set it, or name another"
        )
    return text
