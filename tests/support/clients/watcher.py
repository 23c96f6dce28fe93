"""A running `watch --json` whose lines are kept with the moment they came."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.support.processes.daemon import Daemon


class Watcher:
    """Collects the lines. A context manager."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._lines: list[tuple[float, dict[str, Any]]] = []
        self._arrived = threading.Condition()
        self._ended = False

    def __enter__(self) -> Self:
        self._process = self._daemon.spawn_command("watch", "--json", stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, name="watch reader")
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._reader.join()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._arrived:
                    self._lines.append((time.monotonic(), json.loads(line)))
                    self._arrived.notify_all()
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()

    def mark(self) -> int:
        """How many lines came so far; `wait` can look behind this point only."""
        with self._arrived:
            return len(self._lines)

    def wait(
        self, predicate: Callable[[dict[str, Any]], object], limit: float, what: str, *, after: int = 0
    ) -> tuple[float, dict[str, Any]]:
        """Moment (CLOCK_MONOTONIC) and content of the first line behind `after` the predicate holds for."""
        found: list[tuple[float, dict[str, Any]]] = []

        def look() -> bool:
            found[:] = [entry for entry in self._lines[after:] if predicate(entry[1])][:1]
            return bool(found) or self._ended

        with self._arrived:
            self._arrived.wait_for(look, limit)
        if not found:
            raise TimeoutError(
                f"watch --json {'ended' if self._ended else f'did not show within {limit:g} s'}: {what}"
            )
        return found[0]
