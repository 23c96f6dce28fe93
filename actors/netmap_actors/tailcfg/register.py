"""Registration of a node key: request, answer, user and login.

Not here: what an answer means (`client.registration.register`). Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

from typing import Any

from netmap_actors.tailcfg.go_json import GoStruct, Int32, Int64
from netmap_actors.tailcfg.hostinfo import Hostinfo  # noqa: TC001 - msgspec reads the annotations when it decodes

__all__ = ["Login", "RegisterAuth", "RegisterRequest", "RegisterResponse", "User"]

_REDACTED = "[redacted]"


class RegisterAuth(GoStruct, frozen=True):
    """The auth key of a register request (Go: RegisterResponseAuth); its repr hides it."""

    auth_key: str = ""

    def __repr__(self) -> str:
        return f"RegisterAuth(auth_key={_REDACTED!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("auth_key", _REDACTED)]


class RegisterRequest(GoStruct, frozen=True):
    """`POST /machine/register`, as far as we fill it."""

    version: Int32 = 0
    node_key: str = ""
    old_node_key: str = ""
    auth: RegisterAuth | None = None
    followup: str = ""
    """The AuthURL of an earlier answer: the request then waits for the login."""
    hostinfo: Hostinfo | None = None
    ephemeral: bool = False


class User(GoStruct, frozen=True):
    """A user of the tailnet."""

    id: Int64 = 0
    display_name: str = ""
    profile_pic_url: str = ""
    created: str = ""


class Login(GoStruct, frozen=True):
    """A user's account at an identity provider."""

    id: Int64 = 0
    provider: str = ""
    login_name: str = ""
    display_name: str = ""
    profile_pic_url: str = ""


class RegisterResponse(GoStruct, frozen=True):
    """The answer. Precedence: error, node_key_signature, node_key_expired, auth_url, else success."""

    user: User | None = None
    login: Login | None = None
    node_key_expired: bool = False
    machine_authorized: bool = False
    auth_url: str = ""
    node_key_signature: bytes | None = None
    error: str = ""
