"""What each process of a run may do: one table, a row for every actor, the Supervisor and the view.

Everything that confines a process is derived from its row: Landlock, capabilities, limits, the documentation.
Not here: how it is enforced (`landlock`, `capabilities`, `confinement`), which files every program needs
(`system_files`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from netmap_actors.boot import (
    ConnectionSettings,
    DevControlSettings,
    HistorySettings,
    HttpSettings,
    PublisherSettings,
    WebhooksSettings,
    decode_settings,
)
from netmap_actors.confinement import system_files
from netmap_actors.wire.vocabulary import ActorName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netmap_actors.boot import Boot

__all__ = ["DEV_CLIENTS", "HTTP_CLIENTS", "ROWS", "Permissions", "Row", "RunPlaces", "for_interpreter"]

_FILES: Final = 256
"""Open files and sockets: some thirty are the loop's and ZeroMQ's."""
_MIB: Final = 1 << 20
_LISTENER_FILES: Final = 2048
"""Of a listener for processes of the run: all their connections must not take its last file."""
HTTP_CLIENTS: Final = 256
"""Connections of the HTTP endpoint; each may have a file besides."""
DEV_CLIENTS: Final = 4096
"""Connections of the embedded control server."""


class Permissions(msgspec.Struct, frozen=True):
    """What one process may do; what is not named it may not. The interpreter's and the system's files come besides."""

    readable: tuple[Path, ...] = ()
    """Files, and directories with everything below. What is not there yet cannot be read later, either."""
    unlisted: tuple[Path, ...] = ()
    """Directories of which every file below may be read, and no directory."""
    writable: tuple[Path, ...] = ()
    """The same; written, made, renamed and removed as well."""
    sockets: tuple[Path, ...] = ()
    """Directories in which it makes unix sockets, in the place of those that were left there. Nothing can be read or
    written in them; what can be removed there is refused with the calls for it, once the process is up."""
    executable: tuple[Path, ...] = ()
    """Programs it may become or start."""
    tcp_bind: frozenset[int] | None = frozenset()
    """Ports; None: any. 0 stands for one that the kernel chooses."""
    tcp_connect: frozenset[int] | None = frozenset()
    abstract_sockets: bool = False
    """May connect to abstract unix sockets of processes outside (unix(7))."""
    capabilities: frozenset[str] = frozenset()
    """Kept by a process that has them (capabilities(7))."""


class Row(msgspec.Struct, frozen=True):
    """One process of the run."""

    name: str
    permissions: Callable[[Any], Permissions]
    """Of its Boot; of RunPlaces for the Supervisor and the view."""
    files: str
    """What it reads and writes, for the documentation."""
    network: str
    """Where it connects to and listens, for the documentation."""
    families: Callable[[Any], frozenset[str]]
    """Socket families it makes sockets of once it is up: `unix`, `inet`, `inet6`, `netlink`."""
    threads: bool = False
    """It starts threads once it is up (ZeroMQ's are there before)."""
    guards_memory: bool = False
    """It looks at its memory while it works (`memory_guard`)."""
    max_files: int = _FILES
    """Open files and sockets."""
    max_file_size: int | None = 0
    """Bytes of a file it writes; sockets and pipes are none. None: as it is, for its output may be such a file."""
    executes: bool = False


class RunPlaces(msgspec.Struct, frozen=True):
    """What the rows of the Supervisor and of the view depend on."""

    state_dir: Path
    runtime_dir: Path
    listen: str = ""
    """As in PublisherSettings."""
    http_listen: str = ""
    socket_group: str = ""
    named: tuple[Path, ...] = ()
    """Files the settings name."""
    notify_socket: str = ""
    """$NOTIFY_SOCKET."""


def _liveness(boot: Boot) -> Permissions:
    return Permissions(sockets=_made(boot, boot.endpoints.liveness))


def _publisher(boot: Boot) -> Permissions:
    """Its sockets' directories and, for subscribers of other machines, their keys; not the node's state."""
    endpoints, settings = boot.endpoints, decode_settings(boot, PublisherSettings)
    readable: list[Path] = list(system_files.USERS) if settings.socket_group else []
    if settings.listen and settings.curve_dir:
        # The directory: the allow-list is read again, and keys are added and revoked meanwhile.
        readable.append(Path(settings.curve_dir))
    ports = _listen_ports(settings.listen)
    return Permissions(
        readable=tuple(readable),
        sockets=_made(boot, endpoints.publisher, endpoints.updates),
        tcp_bind=ports,
        capabilities=_for_group(settings.socket_group) | _for_ports(ports),
    )


def _http_endpoint(boot: Boot) -> Permissions:
    settings = decode_settings(boot, HttpSettings)
    ports, path = _http_place(settings.listen)
    users = system_files.USERS if path and settings.socket_group else ()
    group = settings.socket_group if path else ""
    tokens = Path(settings.tokens)
    named = [Path(one) for one in (settings.tls_cert, settings.tls_key) if one]
    # The node's keys lie above the tokens: a certificate that was put there opens itself alone.
    renewed = [
        place
        for one in named
        for place in system_files.replaced(one)
        if not Path(os.path.realpath(tokens)).is_relative_to(place)
    ]
    return Permissions(
        readable=(*users, *named, *renewed, *((tokens,) if settings.token_required else ())),
        sockets=(path.parent,) if path else (),
        tcp_bind=ports,
        capabilities=_for_group(group) | _for_ports(ports) | _for_reading(named),
    )


def _history(boot: Boot) -> Permissions:
    settings = decode_settings(boot, HistorySettings)
    return Permissions(
        readable=system_files.USERS if settings.socket_group else (),
        writable=(Path(settings.directory),),
        sockets=_made(boot, *filter(None, (boot.endpoints.history,))),
        capabilities=_for_group(settings.socket_group),
    )


def _webhooks(boot: Boot) -> Permissions:
    """A file that is replaced is another one: the process ends then, and the next one is let in to that."""
    settings = decode_settings(boot, WebhooksSettings)
    named = [
        Path(path) for path in (*settings.files, *settings.templates, *filter(None, (settings.ca_file,)))
    ]
    return Permissions(
        readable=(*named, *system_files.names(), *system_files.certificates(os.environ)),
        writable=(Path(settings.directory),),
        tcp_connect=frozenset(boot.connect_ports),
        capabilities=_for_reading(named),
    )


def _dev_control(boot: Boot) -> Permissions:
    """Its listener is inherited: it binds and connects nothing."""
    return Permissions(writable=(Path(decode_settings(boot, DevControlSettings).state_dir),))


def _control_connection(boot: Boot) -> Permissions:
    """Every connection is a process of its own and reads each file once: a key or a certificate that is replaced is
    another file, and the next process is let in to that one. So no directory of them has to be open."""
    settings = decode_settings(boot, ConnectionSettings)
    kind, _, place = settings.auth_key.partition(":")
    named = [Path(place)] if kind == "file" and place else []
    if settings.ca_file:
        named.append(Path(settings.ca_file))
    # Plain http reads no roots, and needs no OpenSSL to tell where they are.
    places = (settings.control_url, settings.proxy, *settings.secrets.values.values())
    secured = any("https://" in place.lower() for place in places)
    roots = system_files.certificates(os.environ) if secured else ()
    return Permissions(
        readable=(*named, *system_files.names(), *roots),
        writable=(Path(settings.state_dir),),
        tcp_connect=frozenset(boot.connect_ports),
        capabilities=_for_reading(named),
    )


def _supervisor(run: RunPlaces) -> Permissions:
    """Its children inherit what it gave up, so it has what any of them needs.

    It may read all there is when it starts, but devices and what the kernel shows of itself: `reload` can name another
    file, and what is given up never comes back. Of other processes it reads whose children they are, and how long they
    waited. It may connect to any port, for the settings to come may name another proxy.
    """
    http, _ = _http_place(run.http_listen)
    ports = _listen_ports(run.listen) | http | {0}
    return Permissions(
        readable=(*system_files.top_level(), *run.named),
        unlisted=(Path("/proc"),),
        writable=(run.state_dir, *_made_again(run.runtime_dir), *_http_directory(run.http_listen)),
        executable=system_files.interpreter_program(),
        tcp_bind=ports,
        tcp_connect=None,
        abstract_sockets=run.notify_socket.startswith("@"),
        # SETPCAP: a child takes away from its bounding set what it does not need.
        capabilities=_for_group(run.socket_group)
        | _for_ports(ports)
        | _for_reading(run.named)
        | frozenset({"setpcap"}),
    )


def _view(run: RunPlaces) -> Permissions:
    """It has the terminal already, and connecting to a socket opens no file."""
    return Permissions(readable=(run.runtime_dir, *system_files.USERS, *system_files.TERMINALS))


def _none(_: object) -> frozenset[str]:
    return frozenset()


def _unix(_: object) -> frozenset[str]:
    return frozenset({"unix"})


def _where_it_listens(boot: Boot) -> frozenset[str]:
    """For other machines the publisher makes its front anew; the one for this machine stays as it is."""
    listen = decode_settings(boot, PublisherSettings).listen
    return frozenset({"inet", "inet6", "netlink"}) if listen else frozenset()


def _http_families(boot: Boot) -> frozenset[str]:
    unix, _, _ = decode_settings(boot, HttpSettings).listen.partition(":")
    return frozenset({"unix"}) if unix == "unix" else frozenset({"unix", "inet", "inet6"})


def _everything(_: object) -> frozenset[str]:
    # getaddrinfo asks the kernel for our addresses (netlink(7)) and which of them is used (UDP, RFC 6724).
    return frozenset({"unix", "inet", "inet6", "netlink"})


ROWS: Final[dict[str, Row]] = {
    row.name: row
    for row in (
        Row(
            ActorName.CONNECTION,
            _control_connection,
            files="reads what names and certificates are looked up with, the auth key's file, the CA file; writes the "
            "directory of its control server below the state directory",
            network="connects to the port of the control server or of the proxy, and to 53 (DNS)",
            families=_everything,
            threads=True,
            max_file_size=64 * _MIB,
        ),
        Row(
            ActorName.LIVENESS,
            _liveness,
            files="none: it is handed its socket",
            network="none",
            families=_none,
            max_files=_LISTENER_FILES,
        ),
        Row(
            ActorName.PUBLISHER,
            _publisher,
            files="none: it is handed its sockets, one for who records among them; reads the CURVE keys when it "
            "listens for other machines, the user database when a group is to be let in",
            network="listens on the two ports of `subscribers.listen`",
            families=_where_it_listens,
            guards_memory=True,
            max_files=65_536,
        ),
        Row(
            ActorName.HTTP_ENDPOINT,
            _http_endpoint,
            files="its own socket; reads the user database when a group is to be let in, the certificate and its key "
            "with the directories in which they are renewed, the hashes of the tokens",
            network="listens on the port of `http.listen`",
            families=_http_families,
            max_files=_FILES + 2 * HTTP_CLIENTS,
        ),
        Row(
            ActorName.HISTORY,
            _history,
            files="writes the directory `history` below the state directory; is handed its socket; reads the user "
            "database when a group is to be let in",
            network="none",
            families=_unix,
            max_file_size=4096 * _MIB,
        ),
        Row(
            ActorName.WEBHOOKS,
            _webhooks,
            files="reads what names and certificates are looked up with, the files with the webhooks' URLs and keys, "
            "the directories of their templates, the CA file; writes `webhooks` below the state directory",
            network="connects to the ports of the webhooks' URLs or of the proxy, and to 53 (DNS)",
            families=_everything,
            threads=True,
            max_file_size=_MIB,
        ),
        Row(
            ActorName.DEV_CONTROL,
            _dev_control,
            files="writes the embedded server's directory below the state directory",
            network="serves on a socket it is handed",
            families=_none,
            max_files=_FILES + DEV_CLIENTS,
            max_file_size=64 * _MIB,
        ),
        Row(
            "supervisor",
            _supervisor,
            files="reads all that lies below `/` when it starts (`reload` may name other files), of `/dev` and `/sys` "
            "what every process reads, of `/proc` files and no lists; writes the state directory and what is around "
            "the runtime directory, which it makes again when it is removed",
            network="listens where its children do",
            families=_everything,
            threads=True,
            guards_memory=True,
            max_files=_LISTENER_FILES,
            max_file_size=None,
            executes=True,
        ),
        Row(
            "view",
            _view,
            files="the sockets below the runtime directory, what is known of terminals",
            network="none",
            families=_unix,
            threads=True,
            max_file_size=None,
        ),
    )
}
"""By name."""


def _made(boot: Boot, *endpoints: str) -> tuple[Path, ...]:
    """Directories of the sockets it makes: those it was not handed."""
    return tuple(Path(one.removeprefix("ipc://")).parent for one in endpoints if one not in boot.listeners)


def _listen_ports(listen: str) -> frozenset[int]:
    """The port of tcp://ADDRESS:PORT and the one after it."""
    port = listen.rpartition(":")[2]
    return frozenset({int(port), int(port) + 1}) if port.isdecimal() else frozenset()


def _http_place(listen: str) -> tuple[frozenset[int], Path | None]:
    """Port or socket of ADDRESS:PORT or unix:PATH."""
    kind, _, path = listen.partition(":")
    if kind == "unix":
        return frozenset(), Path(path)
    port = listen.rpartition(":")[2]
    return (frozenset({int(port)}) if port.isdecimal() else frozenset()), None


def _http_directory(listen: str) -> tuple[Path, ...]:
    _, path = _http_place(listen)
    return (path.parent,) if path else ()


def _made_again(runtime_dir: Path) -> tuple[Path, ...]:
    """The runtime directory, and what it has to be made in should it be removed; logind takes its parent along."""
    around = [path for path in runtime_dir.parents[:2] if path != Path("/")]
    return (runtime_dir, *around)


def _for_group(group: str) -> frozenset[str]:
    """Only root may give a file to a group it is no member of (chown(2))."""
    return frozenset({"chown"}) if group else frozenset()


def _for_ports(ports: Iterable[int]) -> frozenset[str]:
    return frozenset({"net_bind_service"}) if any(0 < port < 1024 for port in ports) else frozenset()


def for_interpreter() -> frozenset[str]:
    """What any process needs so that modules can still be loaded: Python may lie in a home that is not its user's."""
    return _for_reading(Path(place) for place in (sys.prefix, sys.base_prefix, __file__))


def _for_reading(paths: Iterable[Path]) -> frozenset[str]:
    """Without capabilities a user reads what the owner may, and what all may; anything else needs one."""
    return frozenset({"dac_read_search"}) if not all(map(_readable_by_mode, paths)) else frozenset()


def _readable_by_mode(path: Path) -> bool:
    """By owner or by all, through every directory above; groups do not count."""
    try:
        real = path.resolve()
        return _allows(real, 0o004) and all(_allows(above, 0o001) for above in real.parents)
    except OSError:
        return True  # it is not there


def _allows(path: Path, bit: int) -> bool:
    found = path.stat()
    return bool(found.st_mode & (bit << 6 if found.st_uid == os.geteuid() else bit))
