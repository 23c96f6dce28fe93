"""The kinds of option that name a place in the network: a control server, a host name, an address to listen on."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.errors import escape
from netmap_actors.runtime_paths import MAX_SOCKET_PATH, remote_endpoints
from netmap_actors.web_url import DEFAULT_PORTS, MAX_HOST, BadUrl, WebUrl
from netmap_supervisor.config.kinds import BadValue, Written, absolute, read_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ControlUrlKind",
    "Hostname",
    "HttpAddress",
    "ProxyUrl",
    "SubscriberEndpoint",
]

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"


class ControlUrlKind(Written, msgspec.Struct, frozen=True):
    """`embedded`, or http(s)://host[:port]; the value has no path, no trailing slash and no default port."""

    metavar: str = "URL|embedded"
    embedded: str = "embedded"

    def parse(self, given: object, base: Path) -> str:  # noqa: ARG002
        text = read_text(given).strip()
        if text == self.embedded:
            return text
        scheme, separator, _ = text.partition("://")
        if not separator:
            raise BadValue('a URL such as "https://control.example.com" is expected, or "embedded"')
        if scheme.lower() not in DEFAULT_PORTS:
            raise BadValue(f"the scheme is {escape(scheme, 20)!r}; http and https are known")
        try:
            return str(WebUrl.parse_origin(text, interface=True))
        except BadUrl as error:
            raise BadValue(f"the URL cannot be used: {error}") from None


class ProxyUrl(Written, msgspec.Struct, frozen=True):
    """`environment`, `off`, or http(s)://host:port, socks5(h)://host:port."""

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
        scheme = scheme.lower()
        if scheme not in {"http", "https", "socks5", "socks5h"}:
            raise BadValue(
                'a URL such as "http://proxy.example.com:3128" is expected, "environment" or "off"'
            )
        if not re.search(r":[0-9]+/?$", rest):
            raise BadValue("the URL names no port")
        if scheme.startswith("socks"):
            try:
                url = WebUrl.parse_origin(f"http://{rest}")
            except BadUrl as error:
                raise BadValue(f"the URL cannot be used: {error}") from None
            # With its port, which is none of http's.
            return (
                f"{scheme}://[{url.host}]:{url.port}"
                if ":" in url.host
                else f"{scheme}://{url.host}:{url.port}"
            )
        return ControlUrlKind().parse(text, base)


class Hostname(Written, msgspec.Struct, frozen=True):
    """The name this node asks for; empty means the machine's own."""

    metavar: str = "NAME"

    def parse(self, given: object, base: Path) -> str:  # noqa: ARG002
        name = read_text(given).strip()
        if name and (
            len(name) > MAX_HOST or not all(re.fullmatch(_LABEL, label) for label in name.split("."))
        ):
            raise BadValue(
                f"{escape(name, 100)!r} is not a host name: letters, digits and '-', 63 characters a label"
            )
        return name


class SubscriberEndpoint(Written, msgspec.Struct, frozen=True):
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


class HttpAddress(Written, msgspec.Struct, frozen=True):
    """ADDRESS:PORT, or unix:PATH; empty means none."""

    metavar: str = "ADDRESS:PORT|unix:PATH"

    def parse(self, given: object, base: Path) -> str:
        text = read_text(given).strip()
        if not text:
            return ""
        kind, _, path = text.partition(":")
        if kind == "unix":
            where = absolute(path, base) if path else ""
            if not 1 < len(os.fsencode(where)) <= MAX_SOCKET_PATH or where.endswith("/"):
                raise BadValue(f"a file's path of at most {MAX_SOCKET_PATH} bytes is expected behind unix:")
            return f"unix:{where}"
        host, port = _address(text)
        return f"{host}:{port}"


def _address(text: str) -> tuple[str, int]:
    """(address, port) of ADDRESS:PORT; IPv6 in brackets. Raises BadValue.

    The only name accepted is localhost, which always is this machine (RFC 6761 section 6.3).
    """
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise BadValue(f"{escape(text, 100)!r} names no port between 1 and 65535: write ADDRESS:PORT")
    if not host:
        raise BadValue(f"{escape(text, 100)!r} names no address: write 127.0.0.1:{port} or [::1]:{port}")
    if host.lower().rstrip(".") == "localhost":
        return "127.0.0.1", int(port)
    try:
        if host.startswith("[") and host.endswith("]") and "%" not in host:
            return f"[{ipaddress.IPv6Address(host[1:-1])}]", int(port)
        return str(ipaddress.IPv4Address(host)), int(port)
    except ValueError:
        raise BadValue(
            f"{escape(host, 100)!r} is not an address of this machine: write one such as 127.0.0.1 or [::1]"
        ) from None
