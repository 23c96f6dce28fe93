"""Leaves out protobuf's implementation in Python, which protobuf loads beside the native one that it uses.

0.7 MiB, and some 5 ms of CPU at each start that loads it. Not here: who insists on the native one (`codec`).
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final

__all__ = ["leave_out"]

_UNUSED: Final = "google.protobuf.internal.python_message"


def leave_out() -> None:
    """Have it loaded by the first use of it, if there is one. To be called before protobuf is imported."""
    stand_in = ModuleType(_UNUSED)

    def load(name: str) -> Any:
        # Who only looks around among the modules does not use it.
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(_UNUSED) is stand_in:
            del sys.modules[_UNUSED]
        from google.protobuf.internal import python_message  # noqa: PLC0415

        return getattr(python_message, name)

    stand_in.__dict__["__getattr__"] = load
    sys.modules.setdefault(_UNUSED, stand_in)
