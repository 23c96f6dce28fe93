"""Why an actor ended, and the exit status of its process that stands for it: Erlang's exit reason between processes.

The child turns its reason into a status, the Supervisor turns the status back. Any other status is abnormal.
"""

from __future__ import annotations

import enum

from netmap_actors.errors import AuthRefused, ConfigurationError, Disposition, NetmapError

__all__ = ["GIVE_UP", "ExitReason", "from_exception", "from_wait_status", "status_of"]


class ExitReason(enum.StrEnum):
    """Why the process of an actor ended."""

    NORMAL = "normal"
    """It stopped when asked."""
    CRASHED = "crashed"
    """An uncaught exception, an unknown status, or a signal from outside."""
    CLOSED = "closed"
    """The connection ended: EOF, GOAWAY, RST_STREAM, reset, TCP_USER_TIMEOUT."""
    ERROR = "error"
    """The connection could not be made or broke a rule: stage limit, refusal, bad frame."""
    REMOVED = "removed"
    """The control server no longer knows this node."""
    EXPIRED = "expired"
    """The node key has expired."""
    KEY_CHANGED = "control_key_changed"
    """The control server's key is not the pinned one."""
    LOGIN_REFUSED = "auth_refused"
    """The auth key was refused."""
    CONFIGURATION = "configuration"
    """A setting, file or directory cannot be used."""
    PARENT_GONE = "parent_gone"
    """The Supervisor is gone."""


_STATUS: dict[ExitReason, int] = {
    ExitReason.NORMAL: 0,
    ExitReason.CRASHED: 1,
    ExitReason.CLOSED: 41,
    ExitReason.ERROR: 42,
    ExitReason.REMOVED: 43,
    ExitReason.EXPIRED: 44,
    ExitReason.KEY_CHANGED: 45,
    ExitReason.PARENT_GONE: 46,
    # sysexits.h: EX_NOPERM and EX_CONFIG; also the statuses `run` itself ends with.
    ExitReason.LOGIN_REFUSED: 77,
    ExitReason.CONFIGURATION: 78,
}
_REASON = {status: reason for reason, status in _STATUS.items()}

GIVE_UP = frozenset({ExitReason.LOGIN_REFUSED, ExitReason.CONFIGURATION})
"""Reasons after which every attempt fails until a person acts."""


def status_of(reason: ExitReason) -> int:
    """The exit status, 0 to 255."""
    return _STATUS[reason]


def from_exception(error: BaseException) -> ExitReason:
    """The reason for an exception that reached the end of an actor."""
    match error:
        case AuthRefused():
            return ExitReason.LOGIN_REFUSED
        case ConfigurationError():
            return ExitReason.CONFIGURATION
        case NetmapError() if error.disposition is Disposition.RETRY:
            return ExitReason.ERROR
        case _:
            return ExitReason.CRASHED


def from_wait_status(status: int | None, signal: int | None) -> ExitReason:
    """The reason for what wait(2) reported: an exit status, or the signal that ended the process."""
    if signal is not None or status is None:
        return ExitReason.CRASHED
    return _REASON.get(status, ExitReason.CRASHED)
