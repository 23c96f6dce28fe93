"""Who may log in over Tailscale SSH: SSHPolicy, whose JSON names are lower camel case.

Not here: any SSH. Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

import msgspec

from netmap_actors.tailcfg.go_json import Int64  # noqa: TC001 - msgspec reads the annotations when it decodes

__all__ = ["SSHAction", "SSHPolicy", "SSHPrincipal", "SSHRule"]


class SSHPrincipal(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Whom a rule is for: any of the given facts is enough."""

    node: str = ""
    node_ip: str = msgspec.field(default="", name="nodeIP")
    user_login: str = ""
    any: bool = False
    pub_keys: tuple[str, ...] | None = None


class SSHAction(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """What happens to a matching login."""

    message: str = ""
    reject: bool = False
    accept: bool = False
    session_duration: Int64 = 0
    """Nanoseconds, 0 means no limit."""
    allow_agent_forwarding: bool = False
    hold_and_delegate: str = ""
    allow_local_port_forwarding: bool = False
    allow_remote_port_forwarding: bool = False
    recorders: tuple[str, ...] | None = None


class SSHRule(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """The first rule that matches decides."""

    rule_expires: str = ""
    principals: tuple[SSHPrincipal | None, ...] | None = None
    ssh_users: dict[str, str] | None = None
    action: SSHAction | None = None
    accept_env: tuple[str, ...] | None = None


class SSHPolicy(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Replaced as a whole; cannot be taken away, only made empty."""

    rules: tuple[SSHRule | None, ...] | None = None
