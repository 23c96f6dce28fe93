"""The kinds of option that name a place in the network: a control server, a host name, an address to listen on."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from netmap_actors.errors import escape
from netmap_actors.runtime_paths import remote_endpoints
from netmap_supervisor.option_kinds import BadValue, Written, absolute, read_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ControlUrl", "Hostname", "LocalAddress", "ProxyUrl", "SubscriberEndpoint", "is_loopback"]

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_MAX_HOST = 253
_MAX_SOCKET_PATH = 107
"""unix(7): sun_path has 108 bytes, one is the final zero."""


@dataclasses.dataclass(frozen=True)
class ControlUrl(Written):
    """`embedded`, or http(s)://host[:port]; the value has no path, no trailing slash and no default port."""

    metavar: str = "URL|embedded"
    embedded: str = "embedded"

    def parse(self, given: object, base: Path) -> str:  # noqa: ARG002
        text = read_text(given).strip()
        if text == self.embedded:
            return text
        scheme, separator, rest = text.partition("://")
        if not separator:
            raise BadValue('a URL such as "https://control.example.com" is expected, or "embedded"')
        if scheme.lower() not in {"http", "https"}:
            raise BadValue(f"the scheme is {escape(scheme, 20)!r}; http and https are known")
        # What stands before an @ may be a password: it is not repeated.
        if "@" in rest.partition("/")[0]:
            raise BadValue("a user name or password in the URL is not used; an auth key goes to --auth-key")
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise BadValue(f"{escape(text, 100)!r} is not a URL: {error}") from None
        if parts.path not in {"", "/"} or parts.query or parts.fragment or text.endswith(("?", "#")):
            raise BadValue("only scheme, host and port are used; remove what stands behind them")
        if port == 0:
            raise BadValue("port 0 is none")
        shown = _host(host or "", bracketed=parts.netloc.startswith("["))
        default = {"http": 80, "https": 443}[parts.scheme]
        return f"{parts.scheme}://{shown}" + (f":{port}" if port not in {None, default} else "")


def _host(host: str, *, bracketed: bool) -> str:
    """Host of a URL in one way of writing. Raises BadValue."""
    if not host:
        raise BadValue("the URL names no host")
    if bracketed:
        address, _, zone = host.partition("%")
        if zone:
            raise BadValue("an address with a zone (%…) is not supported")
        try:
            return f"[{ipaddress.IPv6Address(address)}]"
        except ValueError:
            raise BadValue(f"{escape(host, 100)!r} is not an IPv6 address") from None
    try:
        ascii_host = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise BadValue(f"{escape(host, 100)!r} is not a host name") from None
    labels = ascii_host.rstrip(".").split(".")
    # Control host names with an underscore exist inside container networks.
    if len(ascii_host) > _MAX_HOST or not all(_LABEL.fullmatch(label.replace("_", "0")) for label in labels):
        raise BadValue(f"{escape(host, 100)!r} is not a host name")
    if labels[-1].isdigit():
        try:
            ipaddress.IPv4Address(ascii_host)
        except ValueError:
            raise BadValue(f"{escape(host, 100)!r} is not an IPv4 address") from None
    return ascii_host


@dataclasses.dataclass(frozen=True)
class ProxyUrl(Written):
    """`environment`, `off`, or http(s)://host:port."""

    metavar: str = "URL|environment|off"

    def parse(self, given: object, base: Path) -> str:
        text = read_text(given).strip()
        if text in {"environment", "off"}:
            return text
        scheme, separator, rest = text.partition("://")
        # What stands before an @ may be a password: it is not repeated.
        if "@" in rest.partition("/")[0] or (not separator and "@" in text):
            raise BadValue(
                "a user name or password is refused here: write the URL into the variable HTTPS_PROXY"
            )
        if scheme.lower() not in {"http", "https"}:
            raise BadValue(
                'a URL such as "http://proxy.example.com:3128" is expected, "environment" or "off"'
            )
        if not re.search(r":[0-9]+/?$", rest):
            raise BadValue("the URL names no port")
        return ControlUrl().parse(text, base)


@dataclasses.dataclass(frozen=True)
class Hostname(Written):
    """The name this node asks for; empty means the machine's own."""

    metavar: str = "NAME"

    def parse(self, given: object, base: Path) -> str:  # noqa: ARG002
        name = read_text(given).strip()
        if name and (len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in name.split("."))):
            raise BadValue(
                f"{escape(name, 100)!r} is not a host name: letters, digits and '-', 63 characters a label"
            )
        return name


@dataclasses.dataclass(frozen=True)
class SubscriberEndpoint(Written):
    """tcp://ADDRESS:PORT for subscribers; empty means none."""

    metavar: str = "tcp://ADDRESS:PORT"

    def parse(self, given: object, base: Path) -> str:  # noqa: ARG002
        text = read_text(given).strip()
        if not text:
            return ""
        if not text.startswith("tcp://"):
            raise BadValue('an endpoint such as "tcp://192.0.2.1:9740" is expected')
        host, port = _address(text.removeprefix("tcp://"))
        endpoint = f"tcp://{host}:{port}"
        try:
            remote_endpoints(endpoint)
        except ValueError as error:
            raise BadValue(str(error)) from None
        return endpoint


@dataclasses.dataclass(frozen=True)
class LocalAddress(Written):
    """ADDRESS:PORT on loopback, or unix:PATH; empty means none."""

    metavar: str = "ADDRESS:PORT|unix:PATH"

    def parse(self, given: object, base: Path) -> str:
        text = read_text(given).strip()
        if not text:
            return ""
        kind, _, path = text.partition(":")
        if kind == "unix":
            where = absolute(path, base) if path else ""
            if not 1 < len(os.fsencode(where)) <= _MAX_SOCKET_PATH or where.endswith("/"):
                raise BadValue(f"a file's path of at most {_MAX_SOCKET_PATH} bytes is expected behind unix:")
            return f"unix:{where}"
        host, port = _address(text)
        if not is_loopback(f"{host}:{port}"):
            raise BadValue(
                f"{host} is not a loopback address: whoever can reach it could read the netmap; use 127.0.0.1, "
                "[::1] or unix:PATH, behind a proxy that knows who may"
            )
        return f"{host}:{port}"


def is_loopback(address: str) -> bool:
    """Whether ADDRESS:PORT, with or without tcp://, is reached from this machine only."""
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    return ipaddress.ip_address(host).is_loopback


def _address(text: str) -> tuple[str, int]:
    """(address, port) of ADDRESS:PORT; IPv6 in brackets. Raises BadValue."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise BadValue(f"{escape(text, 100)!r} names no port between 1 and 65535")
    try:
        if host.startswith("[") and host.endswith("]") and "%" not in host:
            return f"[{ipaddress.IPv6Address(host[1:-1])}]", int(port)
        return str(ipaddress.IPv4Address(host)), int(port)
    except ValueError:
        raise BadValue(
            f"{escape(host, 100)!r} is not an address of this machine: write 127.0.0.1, 0.0.0.0 or [::1]"
        ) from None
