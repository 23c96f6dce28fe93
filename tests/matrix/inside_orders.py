"""The orders' names, as the processes know them."""

from __future__ import annotations

import sys
from pathlib import Path

_INSIDE = str(Path(__file__).parent / "inside")
sys.path.insert(0, _INSIDE)
try:
    from matrix_orders import ORDERS
    from matrix_orders.messages import SAID
finally:
    sys.path.remove(_INSIDE)

__all__ = ["ORDERS", "SAID"]
