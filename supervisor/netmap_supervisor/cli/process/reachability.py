"""Why nobody answers at a ZeroMQ endpoint of another machine, as far as this one can find out."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

from netmap_actors.clock import SystemClock
from netmap_actors.errors import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Reachability", "why_unreachable"]

_DIAL_LIMIT = 3.0
"""Seconds for one TCP connection."""
_AGAIN = 10.0
"""Seconds between two looks."""


def why_unreachable(endpoints: Sequence[str]) -> str | None:
    """Why these tcp://HOST:PORT cannot be reached, and what to do; None if each takes a connection.

    Blocks, for as long as a name takes to be looked up.
    """
    for endpoint in endpoints:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        where = escape(f"{host}:{port}")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _DIAL_LIMIT).close()
        except socket.gaierror as error:
            return f"the address of {escape(host)} is not known: {escape(error.strerror or str(error))}"
        except ConnectionRefusedError:
            return (
                f"nobody listens at {where}; the daemon over there has to run with --listen, which takes that port "
                "and the one after it"
            )
        except TimeoutError:
            return f"{where} does not answer; a firewall has to let through that port and the one after it"
        except OSError as error:
            return f"{where} cannot be reached: {escape(os.strerror(error.errno or 0))}"
    return None


class Reachability:
    """`why_unreachable` in a thread: whoever draws a screen does not wait for it."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._endpoints = endpoints
        self._clock = SystemClock()
        self._look: threading.Thread | None = None
        self._looked_at = float("-inf")
        self._found: str | None = None

    def why(self, reached: Callable[[], str], *, patience: float = 0.0) -> str:
        """The last finding; `reached()` when a connection is taken. `patience`: seconds to wait for the first one."""
        now = self._clock.monotonic()
        if (self._look is None or not self._look.is_alive()) and now - self._looked_at >= _AGAIN:
            self._looked_at = now
            self._look = threading.Thread(target=self._find, name="reachability", daemon=True)
            self._look.start()
        if self._look is not None and self._found is None:
            self._look.join(patience)
        return "an answer" if self._found is None else self._found or reached()

    def _find(self) -> None:
        self._found = why_unreachable(self._endpoints) or ""
