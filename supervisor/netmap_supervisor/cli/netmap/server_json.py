"""Values in the control server's JSON, which may be of any kind. Pure."""

from __future__ import annotations

from typing import Any

__all__ = ["mapping", "mappings", "texts"]


def mapping(value: Any) -> dict[str, Any]:
    """The object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects in a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """What is text in a list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
