"""What a taken-over process of the daemon can still do, and why nobody can keep it from that.

The one table: the tests hold the running daemon to it in both directions, and the page is written from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.matrix.inside_orders import ORDERS
from tests.matrix.scene import CHILDREN, ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EXCEPTIONS", "OVERTAKEN", "Exempt", "allowed", "page"]


@dataclass(frozen=True)
class Exempt:
    """These orders are carried out when they come from inside these processes. `reason`: why that cannot be refused."""

    roles: tuple[str, ...]
    orders: tuple[str, ...]
    reason: str
    root_only: bool = False
    """Nobody but a daemon of root's could do it anyway."""


_CONDITIONS = tuple(
    f"tell the Supervisor {what} in its own name"
    for what in ("a condition", "a condition of liveness", "a condition of the connection")
)

_PATHS = ("connect to another program's unix socket", "connect to another daemon's admin socket")
_DATAGRAMS = (
    "connect to another program's datagram socket",
    "send over a datagram socket without connecting",
)
_CONNECTION, _DEV, _PUBLISHER, _HTTP = "control_connection", "dev_control", "publisher", "http_endpoint"
_HISTORY, _WEBHOOKS, _VIEW, _SUPERVISOR = "history", "webhooks", "view", "supervisor"
_READS = (
    "read the node's keys", "read the embedded server's keys", "read the CURVE secret", "read the configuration",
    "read the auth key file",
    "read a file in the home", "read the log file", "list the state directory", "list the home",
)  # fmt: skip
_MAKES = (
    "make a file in the runtime directory", "make a file in the run's own directory",
    "make a file in the subscribers' directory", "make a file in the state directory", "make a file in the home",
    "take the admin socket away", "take the publisher's socket away", "take the updates' socket away",
    "remove another's socket from the run's own directory", "remove another's socket from the subscribers' directory",
    "take the node's keys away", "files without end in a directory of its own",
)  # fmt: skip
_SIGNALS = tuple(
    f"a signal to {who}, by {how}"
    for who in ("the Supervisor", "a sibling")
    for how in ("kill", "pidfd_send_signal")
)

EXCEPTIONS = (
    Exempt(
        CHILDREN,
        ("stop itself",),
        "a signal to itself is any process's right; one that stands still is found as hung, killed and replaced",
    ),
    Exempt(
        ROLES,
        ("abort, and want a core file",),
        "a process may end itself; it is replaced, and there is no core file",
    ),
    Exempt(
        ROLES,
        ("see that a file is there, by stat",),
        "Landlock has no say about stat(2), which loading a module takes",
    ),
    Exempt(ROLES, ("code made at run time",), "mmap(2) of code is how Python loads modules and libraries"),
    Exempt(
        CHILDREN,
        _CONDITIONS,
        "a child's own conditions are its own to say; they are shown under its name, and go with it",
    ),
    Exempt(
        CHILDREN,
        ("tell the Supervisor a hello in its own name",),
        "a child that says that its clock is another one is killed for it, and replaced",
    ),
    Exempt(
        (_CONNECTION,),
        (
            "tell the Supervisor a page to log in in its own name",
            "tell the Supervisor a removal of the node in its own name",
            "tell the Supervisor a new address in its own name",
            "tell the Supervisor an end of the session in its own name",
            "show the publisher a peer that is none",
            "tell liveness of progress",
            "tell liveness that a map came",
        ),
        "it is the connection that knows this, and nobody else",
    ),
    Exempt(
        ("liveness", _PUBLISHER),
        ("tell the Supervisor a verdict in its own name",),
        "verdicts are their work; a connection that is killed for a wrong one comes back within a second",
    ),
    Exempt(
        (_PUBLISHER,),
        ("tell the Supervisor figures in its own name",),
        "the figures of `status` about the netmap are what the publisher says of itself",
    ),
    Exempt((_CONNECTION,), ("read the node's keys",), "they are its own, and sign its sessions"),
    Exempt(
        (_CONNECTION, _DEV),
        ("read the embedded server's keys", "read the auth key file"),
        "one serves with them, the other registers with the key that lies there",
    ),
    Exempt((_PUBLISHER,), ("read the CURVE secret",), "it serves remote subscribers with it"),
    Exempt(
        (_CONNECTION,),
        ("take the node's keys away",),
        "they are its own, and it replaces them",
    ),
    Exempt(
        (_CONNECTION, _DEV, _HISTORY, _WEBHOOKS),
        ("files without end in a directory of its own",),
        "they write files of their own; how many, only a quota could bound",
    ),
    Exempt(
        (_CONNECTION, _WEBHOOKS, _VIEW, _SUPERVISOR),
        ("threads without end",),
        "looking up a name takes a thread, and so does the log; `TasksMax=` of the unit bounds them",
    ),
    Exempt(
        (_SUPERVISOR,),
        ("a program in a socket that others go on with",),
        "by such a program the kernel wakes it for the routes that matter, and for no others",
    ),
    Exempt(
        (_CONNECTION, _DEV, _HISTORY, _WEBHOOKS),
        ("write into the life pipe",),
        "they write files, and open its end to read anew; the pipe is their own, and nobody else ends of it",
    ),
    Exempt(
        (_CONNECTION, _HISTORY, _WEBHOOKS, _HTTP, _VIEW),
        _PATHS,
        "they have unix sockets of the daemon's to connect to; the kernel holds nobody to paths of sockets",
    ),
    Exempt(
        (_CONNECTION, _WEBHOOKS, _HTTP),
        _DATAGRAMS,
        "the C library asks for an interface's number through such a socket, and nobody is held to paths of sockets",
    ),
    Exempt(
        (_CONNECTION, _WEBHOOKS, _PUBLISHER, _HTTP, _SUPERVISOR),
        ("listen on TCP without a bind",),
        "Landlock asks at bind(2) of a port, and listen(2) takes one without",
    ),
    Exempt(
        (_CONNECTION, _WEBHOOKS, _HTTP, _SUPERVISOR),
        ("listen on an abstract socket",),
        "of abstract names Landlock asks who connects, not who listens",
    ),
    Exempt(
        (_CONNECTION, _WEBHOOKS), ("send over UDP", "speak netlink"), "the C library looks names up with them"
    ),
    Exempt(
        (_SUPERVISOR,),
        ("send over UDP",),
        "a filter is inherited: what one of its children needs it cannot give up, and the connection looks names up",
    ),
    Exempt((_SUPERVISOR,), ("speak netlink",), "it asks the kernel for the ways to the control server"),
    Exempt((_PUBLISHER,), ("speak netlink",), "ZeroMQ asks for the machine's addresses before it listens"),
    Exempt(
        (_SUPERVISOR,),
        (*_READS, *_MAKES),
        "`reload` may name any file, its children's directories are its own, and it makes the runtime directory again",
    ),
    Exempt(
        (_SUPERVISOR,),
        ("read /etc/shadow", "append to the log file"),
        "`reload` may name any file, and the log lies beside the directory it makes again",
        root_only=True,
    ),
    Exempt(
        (_SUPERVISOR,),
        (
            "exec of the interpreter",
            "fork",
            *_SIGNALS,
            *_PATHS,
            *_DATAGRAMS,
            "listen on TCP",
            "listen on TCP over IPv6",
            "connect over TCP",
            "connect over TCP to another address of the machine's",
            "/proc/PID/maps of the Supervisor",
            "/proc/PID/fd of the Supervisor",
        ),
        "it starts, ends and watches its children, is itself, tells the service manager, and gives up nothing that one "
        "of them needs",
    ),
    Exempt(
        (_SUPERVISOR,),
        (
            "/proc/PID/environ of the Supervisor",
            "/proc/PID/auxv of the Supervisor",
        ),
        "its own, of a daemon of root's",
        root_only=True,
    ),
    Exempt(
        (_SUPERVISOR,),
        ("a log line of the Supervisor's", "a log line in another's name", "a reason of another's end"),
        "its standard error is the log itself",
    ),
    Exempt((_VIEW,), ("order `status`",), "it shows the status; it may ask for it, and for nothing else"),
)

OVERTAKEN = frozenset(
    {
        "tell the Supervisor figures in its own name",
        "tell the Supervisor an end of the session in its own name",
    }
)
"""Words that the same process's next one can take back before anybody looks: they need not show."""


def allowed(role: str, *, root: bool) -> dict[str, str]:
    """The orders that come through from inside this process, each with the reason."""
    return {
        order: exempt.reason
        for exempt in EXCEPTIONS
        if role in exempt.roles and (root or not exempt.root_only)
        for order in exempt.orders
    }


def page() -> str:
    """The table as Markdown."""
    head = ["| what it can still do | who | why |", "| --- | --- | --- |"]
    return "\n".join([*head, *map(_row, EXCEPTIONS), ""])


def _row(exempt: Exempt) -> str:
    root = " (of a daemon of root only)" if exempt.root_only else ""
    return f"| {_listed(exempt.orders)}{root} | {_who(exempt.roles)} | {exempt.reason} |"


def _listed(orders: Iterable[str]) -> str:
    return "; ".join(orders)


def _who(roles: tuple[str, ...]) -> str:
    if set(roles) == set(ROLES):
        return "each of them"
    return "each child" if set(roles) == set(CHILDREN) else ", ".join(f"`{role}`" for role in roles)


def unknown() -> list[str]:
    """Orders of the table that nobody gives."""
    return [order for exempt in EXCEPTIONS for order in exempt.orders if order not in ORDERS]
