"""The choice of a proxy to a server: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, or an option.

Not here: the tunnel through it (`protocol.connect_tunnel`, `protocol.socks_tunnel`, `dialer`). The variables are read
as by curl(1) and Go's golang.org/x/net/http/httpproxy: lower case first, as in curl, and no proxy for loopback, as in
Go. NO_PROXY is read as Go reads it, with curl's spaces between entries and final dots.
With `socks5` and `socks5h` alike the proxy resolves the name, as in Go's net/http and hence in tailscaled.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import urllib.parse
from typing import TYPE_CHECKING, Protocol

import msgspec

from netmap_actors.errors import ConfigurationError, escape
from netmap_actors.protocol.socks_tunnel import MAX_CREDENTIAL, as_bytes, require_socks
from netmap_actors.web_url import DEFAULT_PORTS, BadUrl, WebUrl

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["ENVIRONMENT", "OFF", "Proxy", "choose_proxy", "connect_ports", "is_loopback", "needs_tls"]

ENVIRONMENT = "environment"
"""Setting: as in the variables."""
OFF = "off"
"""Setting: none, whatever the variables."""

SOCKS_SCHEMES = frozenset({"socks5", "socks5h"})
_SOCKS_PORT = 1080
DNS_PORT = 53
"""An answer too long for UDP is asked for again over TCP (RFC 7766)."""


class _Url(Protocol):
    """Of it, what a choice depends on."""

    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


class Proxy(msgspec.Struct, frozen=True):
    """A proxy that takes CONNECT, or SOCKS5."""

    scheme: str
    """`https`: the connection to the proxy is TLS, too."""
    host: str
    port: int
    credentials: tuple[str, str] | None = None
    """User name and password; a secret."""

    def __repr__(self) -> str:
        return f"Proxy({self.text!r})"

    @property
    def is_socks(self) -> bool:
        return self.scheme in SOCKS_SCHEMES

    @property
    def authorization(self) -> str:
        """Value of `Proxy-Authorization` (RFC 7617), or empty; a secret."""
        if self.credentials is None:
            return ""
        return "Basic " + base64.b64encode(as_bytes(":".join(self.credentials))).decode()

    @property
    def text(self) -> str:
        """scheme://host:port, without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @classmethod
    def parse(cls, text: str, where: str) -> Proxy:
        """A proxy URL, or host:port as curl allows it. `where` names its source in an error.

        Raises ConfigurationError, which never repeats a user name or a password.
        """
        scheme, user, place = _parts(text)
        shown = escape(f"{scheme}://{place.rpartition('@')[2]}", 100)
        socks = scheme in SOCKS_SCHEMES
        if scheme not in DEFAULT_PORTS and not socks:
            raise ConfigurationError(
                f"cannot use the proxy {shown} of {where}: http://, https:// and socks5:// proxies are known; "
                "set --proxy=off if the control server can be reached without"
            )
        credentials = None if user is None else _credentials(user)
        try:
            if socks and credentials is not None:
                _check_socks(*credentials)
            if user is not None and ("\\" in user or not user.isprintable()):
                raise BadUrl("a character of its user or password has to be written as %XX")
            if "@" in place:
                raise BadUrl("a /, ? or # of its user or password has to be written as %2F, %3F or %23")
            # A SOCKS proxy's URL differs only in the scheme and the default port.
            url = WebUrl.parse_origin(f"{'http' if socks else scheme}://{place}")
            if socks:
                require_socks()
        except (BadUrl, ConfigurationError) as error:
            raise ConfigurationError(f"cannot use the proxy {shown} of {where}: {error}") from None
        port = _SOCKS_PORT if socks and not _names_port(place) else url.port
        return cls(scheme, url.host, port, credentials)


def choose_proxy(url: _Url, setting: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy for a URL; None to go there directly. Raises ConfigurationError.

    `setting`: `environment`, `off` or a proxy URL, which holds its user and password itself.
    """
    if setting == OFF:
        return None
    if setting != ENVIRONMENT:
        return Proxy.parse(setting, "--proxy")
    if is_loopback(url.host):
        return None
    for name in (f"{url.scheme}_proxy", f"{url.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"):
        text = environment.get(name, "").strip()
        if text:
            excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
            return None if _is_excepted(url.host, url.port, excepted) else Proxy.parse(text, name)
    return None


def connect_ports(url_text: str, setting: str, environment: Mapping[str, str]) -> tuple[int, ...]:
    """TCP ports a connection needs: the server's or its proxy's, and DNS's. Empty where settings are refused later."""
    try:
        url = WebUrl.parse(url_text, interface=True)
        proxy = choose_proxy(url, setting, environment)
    except (BadUrl, ConfigurationError):
        return ()
    return (DNS_PORT, url.port if proxy is None else proxy.port)


def needs_tls(url_text: str, setting: str, environment: Mapping[str, str]) -> bool:
    """Whether the server, or the proxy before it, is reached over TLS. False where settings are refused later."""
    try:
        url = WebUrl.parse(url_text, interface=True)
        proxy = choose_proxy(url, setting, environment)
    except (BadUrl, ConfigurationError):
        return False
    return url.is_https or (proxy is not None and proxy.scheme == "https")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address alone."""
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excepted(host: str, port: int, excepted: str) -> bool:
    """Whether NO_PROXY names this host: `*`, addresses, networks, domains with what is below them, each with a port."""
    host = host.rstrip(".").lower()
    return any(_names(entry, host, port) for entry in excepted.lower().replace(",", " ").split())


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, only_port = _split_port(entry)
    if only_port not in {"", str(port)}:
        return False
    # The final dot of an absolute name only matters to the resolver.
    name = name.removesuffix(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _is_below(name, host)
    # An address is matched by addresses only: its end is no domain.
    return any(address in network for network in _networks(name))


def _networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """An address or a network as networks, with the IPv4 one inside IPv6, as in Go; nothing for a name."""
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        return []
    if network.version == 6 and network.prefixlen >= 96 and (inner := network.network_address.ipv4_mapped):
        return [network, ipaddress.ip_network((inner, network.prefixlen - 96))]
    return [network]


def _is_below(name: str, host: str) -> bool:
    """A leading dot, or `*.`, means the subdomains without the domain."""
    domain = name.removeprefix("*") if name.startswith("*.") else name
    inside = domain.startswith(".")
    domain = domain.removeprefix(".")
    if not domain.isascii():
        with contextlib.suppress(UnicodeError):
            domain = domain.encode("idna").decode("ascii")
    return bool(domain) and f".{host}".endswith(f".{domain}") and not (inside and host == domain)


def _split_port(entry: str) -> tuple[str, str]:
    """`host:port`, `[v6]:port`; an IPv6 address without brackets has no port; "" is any."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    return (entry, "") if entry.count(":") > 1 else entry.partition(":")[::2]


def _credentials(user: str) -> tuple[str, str]:
    """User and password; bytes that are not UTF-8 are kept."""
    name, _, password = user.partition(":")
    return _unescaped(name), _unescaped(password)


def _unescaped(text: str) -> str:
    return urllib.parse.unquote(text, errors="surrogateescape")


def _check_socks(name: str, password: str) -> None:
    """Raises BadUrl for what RFC 1929 cannot carry."""
    if not name:
        raise BadUrl("a user name is missing before its password")
    if max(len(as_bytes(name)), len(as_bytes(password))) > MAX_CREDENTIAL:
        raise BadUrl(f"its user name or its password has over {MAX_CREDENTIAL} bytes")


def _names_port(place: str) -> bool:
    return place.rstrip("/").rpartition("]")[2].rpartition(":")[1] == ":"


def _parts(text: str) -> tuple[str, str | None, str]:
    """Scheme, user with password if there is one, and the rest, which may hold both where it has an @."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    user, at, host = rest[:end].rpartition("@")
    return scheme.lower(), user if at else None, host + rest[end:]
