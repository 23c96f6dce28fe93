"""A policy as operators keep it: HuJSON, or TOML.

Not here: what must be in it (`rules`), and which file it came from (`operator.files`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.dev_control.tailnet.policy.document import BadPolicy
from netmap_actors.dev_control.tailnet.policy.hujson import decode_hujson, place_of
from netmap_actors.dev_control.tailnet.policy.rules import parse_policy

if TYPE_CHECKING:
    from netmap_actors.dev_control.tailnet.policy.rules import Policy

__all__ = ["read_policy_text"]


def read_policy_text(text: str, *, toml: bool) -> Policy:
    """The rules this text has. Raises BadPolicy, of HuJSON with line and column."""
    import tomllib  # noqa: PLC0415

    try:
        document = tomllib.loads(text) if toml else decode_hujson(text)
    except (ValueError, RecursionError) as error:
        raise BadPolicy(str(error)) from None
    try:
        return parse_policy(document)
    except BadPolicy as error:
        if toml:
            raise
        raise error.at(*place_of(text, error.path, name=error.name)) from None
