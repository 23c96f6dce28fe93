"""A network and clocks of the daemon's own, which can be taken away: for the soak of a real daemon.

The server, and whoever runs this, are in one network namespace, the daemon in another. Not here: what is done when.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.host import moved_clocks, netns
from tests.support.host.scripted_resolver import resolving

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["HOST", "Network", "problem"]

HOST = "control.test"
_FAR4, _FAR6 = "198.51.100.7", "2001:db8:88::7"
_GATEWAY6, _CLIENT6 = "2001:db8:87::1", "2001:db8:87::2"
_CLONE_NEWNET = 0x40000000


def problem() -> str | None:
    """Why there can be no such network here, or None."""
    return netns.problem() or moved_clocks.problem()


class Network:
    """A context manager; inside it this thread is in the server's namespace."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            pair = self._pair = opening.enter_context(netns.Pair())
            server, client = pair.server, pair.client
            for side, address in ((server, _GATEWAY6), (client, _CLIENT6)):
                side.run("ip", "-6", "addr", "add", f"{address}/64", "dev", side.link, "nodad")
            server.run("ip", "addr", "add", f"{_FAR4}/32", "dev", "lo")
            server.run("ip", "-6", "addr", "add", f"{_FAR6}/128", "dev", "lo")
            client.run("ip", "-6", "route", "add", "default", "via", _GATEWAY6)
            opening.enter_context(resolving(server, client, _FAR6, _FAR4))
            self.clocks = moved_clocks.MovedClocks(self._directory)
            home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            opening.callback(os.close, home)
            there = os.open(f"/run/netns/{server.name}", os.O_RDONLY | os.O_CLOEXEC)
            _enter(there)
            os.close(there)
            opening.callback(_enter, home)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before the daemon's command."""
        return self._pair.client.prefix

    def flap(self, chance: random.Random) -> None:
        """Every route goes and comes back, some times."""
        for _ in range(chance.randint(1, 2)):
            self._routes("del", "", "-6")
            time.sleep(chance.choice((0.3, 2.5, 7.0)))
            self._routes("add", "", "-6")
            time.sleep(chance.choice((0.1, 0.5, 2.0)))

    def lose_family(self, chance: random.Random) -> None:
        """The routes of one family go for some seconds."""
        family = chance.choice(("", "-6"))
        self._routes("del", family)
        time.sleep(chance.uniform(0.5, 8.0))
        self._routes("add", family)

    def sleep(self, chance: random.Random, *, closed: bool) -> None:
        """The machine sleeps; `closed`: its network goes before and comes after."""
        if closed:
            self._routes("del", "", "-6")
        self.clocks.suspend(chance.uniform(2.5, 100.0))
        if closed:
            time.sleep(chance.uniform(0.2, 6.0))
            self._routes("add", "", "-6")

    def _routes(self, word: str, *families: str) -> None:
        client = self._pair.client
        for family in families:
            gateway = _GATEWAY6 if family else self._pair.server.address
            client.run("ip", *filter(None, [family]), "route", word, "default", "via", gateway)


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")
