"""Reads the files an operator hands to the control server: auth key, DERP map, policy and scenario.

Not here: what must be in them (`derp_map`, `policy`, `scenario`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.dev_control.operator.scenario import parse_scenario
from netmap_actors.dev_control.tailnet.derp_map import parse_derp_map
from netmap_actors.dev_control.tailnet.policy import read_policy_text
from netmap_actors.errors import ConfigurationError

if TYPE_CHECKING:
    from netmap_actors.dev_control.operator.scenario import TailnetScenario
    from netmap_actors.dev_control.tailnet.derp_map import DerpMap
    from netmap_actors.dev_control.tailnet.policy import Policy

__all__ = [
    "MAX_FILE",
    "read_auth_key_source",
    "read_derp_map",
    "read_policy",
    "read_scenario",
]

MAX_FILE = 16 << 20
"""Bytes of one file that are read."""


def read_derp_map(path: str | Path) -> DerpMap:
    """A DERP map as JSON. Raises ConfigurationError, which names the file."""
    text = _read(path)
    try:
        return parse_derp_map(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (in {path})") from None


def read_policy(path: str | Path) -> Policy:
    """A policy as TOML if the file is called *.toml, else as JSON with comments, as operators keep it.

    Raises ConfigurationError, which names the file.
    """
    text = _read(path)
    try:
        return read_policy_text(text.decode(), toml=Path(path).suffix == ".toml")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"cannot use the policy: {error} (in {path})") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (in {path})") from None


def read_scenario(path: str | Path) -> TailnetScenario:
    """A scenario as TOML. Raises ConfigurationError, which names the file."""
    import tomllib  # noqa: PLC0415

    text = _read(path)
    try:
        return parse_scenario(tomllib.loads(text.decode()))
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (in {path})") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"cannot use the scenario: {error} (in {path})") from None


def read_auth_key_source(source: str) -> str:
    """The auth key that `file:PATH` or `env:NAME` names, as arguments of a process are public.

    Raises ConfigurationError, which never repeats what it read.
    """
    kind, _, place = source.partition(":")
    if kind == "file" and place:
        data = _read(place)
    elif kind == "env" and place:
        data = os.environ.get(place, "").encode("utf-8", "surrogateescape")
    else:
        raise ConfigurationError("cannot read the auth key: its source must be file:PATH or env:NAME")
    key = data.strip()
    if not re.fullmatch(_AUTH_KEY, key):
        raise ConfigurationError(
            f"cannot use the auth key from {kind}:{place}: it must be one word of 8 to 512 printable characters"
        )
    return key.decode("ascii")


_AUTH_KEY = rb"[!-~]{8,512}"


def _read(path: str | Path) -> bytes:
    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    if len(text) > MAX_FILE:
        raise ConfigurationError(f"cannot read {path}: it has more than {MAX_FILE} bytes")
    return text
