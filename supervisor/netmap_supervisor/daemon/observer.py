"""Interface for in-process observers of a run, and the facts they get first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netmap_supervisor.daemon.output.log_pipes import LogPipes

__all__ = ["Observer", "RunFacts"]


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a run."""

    version: str
    pid: int
    control_url: str
    embedded: bool
    state_dir: str
    runtime_dir: str
    updates: str
    requests: str
    silence_timeout: float


class Observer(Protocol):
    """Called in the Supervisor's thread: it must not block."""

    @property
    def pid(self) -> int:
        """Of the observer's process, which may ask for the status; 0 while there is none."""

    def facts(self, facts: RunFacts, log_pipes: LogPipes) -> None:
        """Before anything is started; again when everything had to be started again. `log_pipes`: by which a process
        of the observer's writes into the log.
        """

    def event(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Each log event of the Supervisor, whatever the log level."""
