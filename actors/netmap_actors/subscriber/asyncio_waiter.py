"""Waiting for ZeroMQ sockets in an asyncio loop, without a thread; loaded only by who uses asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import zmq

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["waiting"]


@contextlib.asynccontextmanager
async def waiting(
    *sockets: zmq.Socket[bytes],
) -> AsyncIterator[Callable[[float | None], Awaitable[None]]]:
    """Gives `wait(seconds)`: returns when a socket may be readable, or after that time.

    A socket's descriptor tells once that something may have happened, so the caller must have read every socket
    to its end before it waits (zmq_getsockopt(3): ZMQ_FD).
    """
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    descriptors = [int(socket.getsockopt(zmq.FD)) for socket in sockets]
    for descriptor in descriptors:
        loop.add_reader(descriptor, ready.set)

    async def wait(seconds: float | None) -> None:
        # What came since the last read has used up its one notice.
        if any(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN for socket in sockets):
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ready.wait(), seconds)
        ready.clear()

    try:
        yield wait
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)
