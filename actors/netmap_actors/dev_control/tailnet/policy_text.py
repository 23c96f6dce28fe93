"""A policy as operators keep it: JSON with comments and commas behind last elements, or TOML.

Not here: what must be in it (`policy`), and which file it came from (`operator.files`).
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.tailnet.policy import BadPolicy, parse_policy

if TYPE_CHECKING:
    from netmap_actors.dev_control.tailnet.policy import Policy

__all__ = ["read_policy_text"]

_HUMAN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[\]}])""", re.DOTALL
)
"""Comments and the comma behind a last element; texts first, so that nothing inside them counts."""


def read_policy_text(text: str, *, toml: bool) -> Policy:
    """The rules this text has. Raises BadPolicy."""
    try:
        document = tomllib.loads(text) if toml else msgspec.json.decode(_plain_json(text))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadPolicy(f"cannot use the policy: {error}") from None
    return parse_policy(document)


def _plain_json(text: str) -> str:
    """JSON without what people add to it (HuJSON)."""
    return _HUMAN.sub(lambda found: found["text"] or " ", text)
