"""Ways out of a process: TCP, UDP, other families, unix sockets of others."""

from __future__ import annotations

import errno
import os
import socket
import struct

from matrix_orders import Absent, Facts, order


def _listen(family: int, address: tuple[object, ...] | None) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        if address is not None:
            listener.bind(address)
        listener.listen(1)
        return str(listener.getsockname())


order("listen on TCP")(lambda facts: _listen(socket.AF_INET, ("127.0.0.1", 0)))
order("listen on TCP at a port of its choice")(
    lambda facts: _listen(socket.AF_INET, ("127.0.0.1", facts.free_port))
)
order("listen on TCP over IPv6")(lambda facts: _listen(socket.AF_INET6, ("::1", 0)))
order("listen on TCP without a bind")(lambda facts: _listen(socket.AF_INET, None))


def _connect(kind: int, protocol: int, address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, kind, protocol) as out:
        out.settimeout(2)
        out.connect(address)
        out.sendall(b"matrix")


@order("connect over TCP")
def _tcp(facts: Facts) -> None:
    _connect(socket.SOCK_STREAM, 0, ("127.0.0.1", facts.tcp_port))


@order("connect over TCP to another address of the machine's")
def _tcp_elsewhere(facts: Facts) -> None:
    _connect(socket.SOCK_STREAM, 0, ("127.9.9.9", facts.tcp_port))


@order("connect over MPTCP")
def _mptcp(facts: Facts) -> None:
    """Landlock's rules know TCP alone."""
    _connect(socket.SOCK_STREAM, 262, ("127.0.0.1", facts.tcp_port))


@order("send by TCP fast open")
def _fast_open(facts: Facts) -> None:
    """Data and a connection without connect(2)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as out:
        out.sendto(b"matrix", 0x20000000, ("127.0.0.1", facts.tcp_port))


@order("send over UDP")
def _udp(facts: Facts) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(facts.role.encode(), ("127.0.0.1", facts.udp_port))


@order("connect over SCTP")
def _sctp(facts: Facts) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132) as out:
        out.settimeout(0.2)
        try:
            out.connect(("127.0.0.1", facts.tcp_port))
        except (TimeoutError, ConnectionError):
            return


@order("speak netlink")
def _netlink(facts: Facts) -> str:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.bind((0, 0))
        # RTM_GETADDR, all of them.
        netlink.send(struct.pack("=IHHII", 20, 22, 0x301, 1, 0) + b"\0" * 4)
        return f"{len(netlink.recv(65536))} bytes"


_FAMILIES = {
    "a packet socket": (17, socket.SOCK_RAW, 0x0300),
    "a raw ICMP socket": (socket.AF_INET, socket.SOCK_RAW, 1),
    "a vsock socket": (40, socket.SOCK_STREAM, 0),
    "a Bluetooth socket": (31, socket.SOCK_RAW, 1),
    "a kernel crypto socket": (38, socket.SOCK_SEQPACKET, 0),
    "an XDP socket": (44, socket.SOCK_RAW, 0),
    "a kernel event socket": (socket.AF_NETLINK, socket.SOCK_DGRAM, 15),
    "an audit socket": (socket.AF_NETLINK, socket.SOCK_RAW, 9),
    "a netfilter socket": (socket.AF_NETLINK, socket.SOCK_RAW, 12),
}
for _name, _words in _FAMILIES.items():

    @order(f"open {_name}")
    def _open(facts: Facts, words: tuple[int, int, int] = _words) -> None:
        try:
            socket.socket(*words).close()
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.EPROTOTYPE}:
                raise Absent("this kernel has none") from None
            raise


def _unix(address: str, kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(socket.AF_UNIX, kind) as out:
        out.settimeout(2)
        out.connect(address)
        out.send(b"matrix")


order("connect to another program's unix socket")(lambda facts: _unix(facts.unix_path))
order("connect to another program's abstract socket")(lambda facts: _unix(f"\0{facts.abstract_name}"))
order("connect to another program's datagram socket")(
    lambda facts: _unix(facts.datagram_path, socket.SOCK_DGRAM)
)
order("connect to another daemon's admin socket")(lambda facts: _unix(facts.other_admin))


@order("connect to the system's message bus")
def _bus(facts: Facts) -> None:
    path = "/run/dbus/system_bus_socket"
    if not os.path.exists(path):
        raise Absent("there is none")
    _unix(path)


@order("send over a datagram socket without connecting")
def _unconnected(facts: Facts) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(b"matrix", facts.datagram_path)


@order("listen on an abstract socket")
def _abstract(facts: Facts) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0nms-matrix-{os.getpid()}")
        listener.listen(1)
