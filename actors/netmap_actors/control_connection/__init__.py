"""The actor that holds the one connection to the control server: one process, one TCP connection.

Not here: what travels on it (`control`), and whether it is alive (`liveness` decides that, elsewhere).
"""

from __future__ import annotations

from netmap_actors.control_connection.actor import ControlConnection

__all__ = ["ControlConnection"]
