"""A policy as operators keep it: HuJSON, or TOML.

Not here: what must be in it (`rules`), and which file it came from (`operator.files`).
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from netmap_actors.dev_control.tailnet.policy.hujson import decode_hujson
from netmap_actors.dev_control.tailnet.policy.rules import BadPolicy, parse_policy

if TYPE_CHECKING:
    from netmap_actors.dev_control.tailnet.policy.rules import Policy

__all__ = ["read_policy_text"]


def read_policy_text(text: str, *, toml: bool) -> Policy:
    """The rules this text has. Raises BadPolicy."""
    try:
        document = tomllib.loads(text) if toml else decode_hujson(text)
    except (ValueError, RecursionError) as error:
        raise BadPolicy(f"cannot use the policy: {error}") from None
    return parse_policy(document)
