"""A CLOCK_BOOTTIME timer as a file descriptor (timerfd_create(2)).

poll(2) counts its timeout on CLOCK_MONOTONIC, which stands still while the machine sleeps; a deadline that
passed in suspend must fire at the moment of waking. Python has no timerfd before 3.13.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["BoottimeTimer"]

_CLOCK_BOOTTIME = 7
_TFD_CLOEXEC = 0o2000000
_TFD_NONBLOCK = 0o4000
_TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


_libc = ctypes.CDLL(None, use_errno=True)


class BoottimeTimer:
    """One absolute deadline; the descriptor is readable from then on until it is set again."""

    def __init__(self) -> None:
        self.fd: int = _libc.timerfd_create(_CLOCK_BOOTTIME, _TFD_CLOEXEC | _TFD_NONBLOCK)
        if self.fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot create a boot-time timer: {os.strerror(number)}")
        self._when: float | None = None

    def set(self, when: float | None) -> None:
        """Fire at `when` (seconds of CLOCK_BOOTTIME), or not at all. Setting takes back what had fired."""
        if when == self._when:
            return
        self._when = when
        spec = _Itimerspec()
        if when is not None:
            # A zero it_value disarms the timer, so the past is the first nanosecond.
            nanoseconds = max(1, int(when * 1e9))
            spec.it_value.tv_sec, spec.it_value.tv_nsec = divmod(nanoseconds, 1_000_000_000)
        if _libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot set a boot-time timer: {os.strerror(number)}")

    def consume(self) -> None:
        """Take the firing back, so that the descriptor is quiet again."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return  # it was set anew in between: nothing has fired
        self._when = None

    def close(self) -> None:
        """Release the descriptor."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
