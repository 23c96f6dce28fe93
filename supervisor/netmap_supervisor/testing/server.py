"""The control server of a test: commands, the events it has seen, and waiting for them with a limit.

Not here: which options there are (`options`), the fixture (`pytest_plugin`).
"""

from __future__ import annotations

import collections
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from netmap_supervisor.testing.options import check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netmap_actors.dev_control.http.state import Seen
    from netmap_actors.dev_control.operator.commands import Commands
    from netmap_actors.dev_control.operator.listings import ClientView, NodeView
    from netmap_actors.dev_control.standalone import Edits, RunningServer
    from netmap_supervisor.testing.options import DevControlOptions

__all__ = ["DevControl", "dev_control_server"]

_T = TypeVar("_T")

_LIMIT = 10.0
_LOOK_EVERY = 0.01
_NAMED = 5
"""Events named when a wait has timed out."""


class DevControl:
    """A running control server. Every method may be called from any thread but the server's own.

    `client` names one client: the name, label, id, stable id or node key of its node, its machine key,
    `host:port` of its end, or `connection:N`. Empty: any client, or all. Limits and ages are in seconds.
    """

    def __init__(self, server: RunningServer) -> None:
        self._server = server

    def __repr__(self) -> str:
        return f"DevControl({self.url!r})"

    @property
    def url(self) -> str:
        """What a client takes as its control URL: `http://127.0.0.1:PORT`, with TLS `https://127.0.0.1:PORT`."""
        return self._server.url

    @property
    def port(self) -> int:
        """The one without TLS."""
        return self._server.port

    @property
    def ca_file(self) -> str:
        """Path of the certificate (PEM) that a client has to trust for TLS; empty without."""
        return self._server.ca_file

    @property
    def auth_key(self) -> str:
        """An auth key that lets any number of nodes in."""
        return self._server.auth_key

    @property
    def server_key(self) -> str:
        """The public Noise key that `/key` shows: `mkey:` and 64 hexadecimal digits."""
        return str(self._server.server_key)

    # Doing

    def fault(self, name: str, client: str = "", **given: Any) -> int:
        """Inject a fault; into how many connections at once.

        `given`: `moment`, `scope` (current, later or all), `times`, and what this fault takes. Raises BadFault, a
        NetmapError, for a fault or a parameter there is not.
        """
        return self._server.fault(name, client=client, **given)

    def heal(self, client: str = "", fault: str = "") -> int:
        """End all faults, or those of one client, or one fault; 0: there is none.

        A connection that cannot recover is closed.
        """
        return self._server.heal(client, fault)

    def faults(self) -> dict[str, str]:
        """Every fault, with what it does."""
        return self.call(lambda it: it.faults())

    @property
    def tailnet(self) -> Edits:
        """Edits, which clients are sent: add_node, remove_node, set_online, set_tags, set_routes, rename, expire, …"""
        return self._server.tailnet

    def raw(self, json: str, client: str = "") -> int:
        """Send this as a MapResponse, whatever it says; to how many map streams it went."""
        return self._server.raw(json, client)

    def drop_all(self, *, reset: bool = True) -> int:
        """Close every connection, by TCP reset or in good order; how many there were."""
        return self._server.drop_all(reset=reset)

    def call(self, function: Callable[[Commands], _T]) -> _T:
        """Anything else a server can be asked for: `server.call(lambda it: it.approve_login())`.

        The function runs in the server's thread and must not wait there.
        """
        return self._server.call(function)

    # Looking

    def clients(self) -> list[ClientView]:
        """Who is connected: names, capability version, counts of requests, map streams."""
        return self._server.clients()

    def nodes(self) -> list[NodeView]:
        """The tailnet: simulated nodes, and those that registered (`registered`)."""
        return self._server.nodes()

    def seen(self, kind: str = "", after: Seen | None = None) -> list[Seen]:
        """What clients did and what was done to them, oldest first; of one kind if given, and behind another event.

        Kinds: accept, tls, key, upgrade, register, map, lite, read, ping, ping_response, c2n, reset, goaway, end;
        refused, fault, heal; with the option `trace` sent.
        """
        events = self._server.seen()
        if after is not None:
            # The same event, unless it is so old that it is forgotten.
            place = next((i for i, event in enumerate(events) if event is after), None)
            events = (
                [event for event in events if event.at > after.at] if place is None else events[place + 1 :]
            )
        return [event for event in events if kind in ("", event.kind)]

    def last_seen(self) -> Seen | None:
        """The newest event, for `after`: what happens from now on is behind it. None: nothing happened yet."""
        events = self._server.seen()
        return events[-1] if events else None

    # Waiting

    def wait_for_client(self, limit: float = _LIMIT, client: str = "") -> ClientView:
        """A client that has proved its machine key. Raises TimeoutError, which names what came instead."""
        return self._wait(
            lambda: next((one for one in self.clients() if one.machine and _is(one, client)), None),
            limit,
            f"{_name(client)} has connected",
        )

    def wait_for_map(self, client: str = "", limit: float = _LIMIT) -> ClientView:
        """A client with a live map stream on which the first message has been sent. Raises TimeoutError."""
        return self._wait(
            lambda: next((one for one in self.clients() if _has_map(one) and _is(one, client)), None),
            limit,
            f"{_name(client)} has a map stream",
        )

    def wait_seen(self, kind: str, limit: float = _LIMIT, after: Seen | None = None) -> Seen:
        """The first event of this kind, behind `after` if given. Raises TimeoutError."""
        return self._wait(
            lambda: next(iter(self.seen(kind, after)), None),
            limit,
            f"no client did {kind!r}" if after is None else f"no client did {kind!r} since then",
            after,
        )

    def wait_until(self, fact: Callable[[], _T | None], limit: float = _LIMIT, what: str = "") -> _T:
        """The first true answer of `fact()`, which is asked again and again. Raises TimeoutError."""
        return self._wait(fact, limit, what or "it has not come true")

    def _wait(self, fact: Callable[[], _T | None], limit: float, unmet: str, after: Seen | None = None) -> _T:
        from netmap_actors.clock import SystemClock  # noqa: PLC0415

        clock = SystemClock()
        until = clock.boottime() + limit
        while True:
            answer = fact()
            if answer:
                return answer
            if clock.boottime() > until:
                raise TimeoutError(f"{unmet} within {limit:g} s; {self._account(after)}")
            self._server.stopped.wait(_LOOK_EVERY)

    def _account(self, after: Seen | None) -> str:
        events = self.seen(after=after)
        if not events:
            return "the server has seen nothing at all"
        counts = collections.Counter(event.kind for event in events)
        number = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        last = "; ".join(f"{event.kind} {event.detail}".strip() for event in events[-_NAMED:])
        return f"seen instead: {number}; the last: {last}; connected now: {len(self.clients())}"


@contextlib.contextmanager
def dev_control_server(**options: Unpack[DevControlOptions]) -> Iterator[DevControl]:
    """A control server on a free port of 127.0.0.1, in a thread of this process, ended on leaving.

    By default it has no simulated nodes and no churn: a test sees its own changes only. Raises
    UnknownOption, and ConfigurationError when it cannot listen or use `state_dir`.
    """
    # Imported here: the plugin is loaded by every pytest of this environment.
    from netmap_actors.dev_control.assembly import Setup  # noqa: PLC0415
    from netmap_actors.dev_control.http.state import Options  # noqa: PLC0415
    from netmap_actors.dev_control.standalone import running_server  # noqa: PLC0415

    check_names(options, Setup, Options)
    given: dict[str, Any] = {**options}
    if given.pop("tls", False):
        from netmap_actors.dev_control.http.tls_files import TlsSetup  # noqa: PLC0415

        given["tls"] = TlsSetup(host=given.get("host", "127.0.0.1"))
    with running_server(**given) as server:
        yield DevControl(server)


def _is(client: ClientView, word: str) -> bool:
    return not word or word in client.names


def _has_map(client: ClientView) -> bool:
    return any(stream.messages for stream in client.map_streams)


def _name(client: str) -> str:
    return f"no client {client!r}" if client else "no client"
