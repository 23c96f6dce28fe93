"""The table between the reason an actor ended for and the exit status of its process.

It is Erlang's exit reason carried across a process boundary: the child turns its reason into a status,
the Supervisor turns the status back. Whatever is missing here is abnormal.
"""

from __future__ import annotations

import enum

from netmap_actors.errors import AuthRefused, ConfigurationError, Disposition, NetmapError

__all__ = ["GIVE_UP", "ExitReason", "from_exception", "from_wait_status", "status_of"]


class ExitReason(enum.StrEnum):
    """Why the process of an actor ended."""

    NORMAL = "normal"
    """It was asked to stop and did."""
    CRASHED = "crashed"
    """An exception nobody caught, a status nobody gave a meaning to, or a signal from outside."""
    CLOSED = "closed"
    """The connection ended: EOF, GOAWAY, RST_STREAM, reset, TCP_USER_TIMEOUT."""
    ERROR = "error"
    """The connection could not be made or broke a rule: stage limit, refusal, bad frame."""
    REMOVED = "removed"
    """The control server no longer knows this node."""
    EXPIRED = "expired"
    """The node key has expired."""
    KEY_CHANGED = "control_key_changed"
    """The control server answers with another key than the one pinned."""
    LOGIN_REFUSED = "auth_refused"
    """The auth key was refused."""
    CONFIGURATION = "configuration"
    """A setting, file or directory is not usable."""
    PARENT_GONE = "parent_gone"
    """The Supervisor is no longer there."""


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
"""Reasons after which the same attempt fails in the same way until a person acts."""


def status_of(reason: ExitReason) -> int:
    """Exit status (0 to 255) a process ends with for this reason."""
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
    """The reason behind what wait(2) reported: an exit status, or the signal that ended the process."""
    if signal is not None or status is None:
        return ExitReason.CRASHED
    return _REASON.get(status, ExitReason.CRASHED)
