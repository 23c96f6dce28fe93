"""Changes of the tokens of HTTP clients: orders in, plain values out.

Not here: who carries them out (`cli.access`), and the files (`access_tokens`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netmap_actors.access_tokens import TokenList
from netmap_actors.errors import ConfigurationError, escape
from netmap_actors.rfc3339 import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["carry_out"]


def carry_out(directory: Path, order: Mapping[str, Any], wall: float) -> dict[str, Any]:
    """Do what `order` says to the tokens in `<state>/http_tokens/<tailnet>`. Raises ConfigurationError, OSError.

    `do`: create, revoke or list; `name`, `scope` and `sha256`: of the token, which itself never comes here. `wall`:
    Unix time. The answer has `name` of the token, or `tokens` and `problems` for the list.
    """
    name = str(order.get("name", ""))
    tokens = TokenList(directory, directory.name)
    match order.get("do"):
        case "create":
            scope, sha256 = str(order.get("scope", "")), str(order.get("sha256", ""))
            return {"name": tokens.create(name, scope, sha256, stamp(wall, "seconds")).name}
        case "revoke":
            tokens.revoke(name)
            return {"name": name}
        case "list":
            found = [
                {"name": one.name, "scope": one.scope, "created": one.created} for one in tokens.tokens()
            ]
            return {"tokens": found, "problems": list(tokens.problems())}
        case other:
            raise ConfigurationError(f"cannot do {escape(str(other), 40)!r} to the tokens: no such order")
