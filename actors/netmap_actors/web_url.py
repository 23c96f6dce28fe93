"""Strict parser of http and https URLs, for every URL that is shown or dialled.

An ambiguous one is refused: a browser (WHATWG URL Standard) and Go, curl or Python (RFC 3986) must find the same host.
Not here: name resolution.
"""

from __future__ import annotations

import ipaddress
import re

import msgspec

__all__ = ["DEFAULT_PORTS", "MAX_HOST", "MAX_URL", "BadUrl", "UrlPolicy", "WebUrl"]

MAX_URL = 2048
"""Characters of a URL."""
MAX_HOST = 253
"""Characters of a host name (RFC 1035, section 2.3.4, as text)."""
DEFAULT_PORTS = {"https": 443, "http": 80}

_AUTHORITY = r"(?P<host>\[[^\[\]]*\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?"
# RFC 3986, sections 3.3 to 3.5.
_BEHIND = (
    r"(?P<path>(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?)"
    r"(?P<query>(?:\?(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*)?)"
    r"(?P<fragment>(?:#(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*)?)"
)
# Hosts with an underscore exist inside container networks.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_INTERFACE = r"[A-Za-z0-9._-]{1,15}"
_NUMBER = r"[0-9]+|0x[0-9a-f]*"

_OFFICIAL_SERVERS = frozenset({"controlplane.tailscale.com", "login.tailscale.com"})
"""Two names of one server (tailscale: ipn/prefs.go, IsLoginServerSynonym)."""
_OFFICIAL_DOMAIN = "tailscale.com"


class BadUrl(ValueError):
    """The text is not an unambiguous URL. The message never quotes it: it may hold a password."""


class WebUrl(msgspec.Struct, frozen=True):
    """A URL: scheme and host in lower case, a name in ASCII (punycode), an IPv6 address without brackets.

    A link-local address may have an interface: `fe80::1%eth0`.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""
    """With its `?`."""
    fragment: str = ""
    """With its `#`."""

    @classmethod
    def parse(cls, text: str, *, interface: bool = False) -> WebUrl:
        """Raises BadUrl. `interface`: a link-local address may have a zone, `%25eth0` or `%eth0` (RFC 6874)."""
        if len(text) > MAX_URL:
            raise BadUrl(f"it is longer than {MAX_URL} characters")
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in DEFAULT_PORTS:
            raise BadUrl("it does not begin with https:// or http://")
        end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
        authority, behind = re.fullmatch(_AUTHORITY, rest[:end]), re.fullmatch(_BEHIND, rest[end:])
        if "@" in rest[:end]:
            raise BadUrl("it names a user or a password before an @")
        if authority is None:
            raise BadUrl("its host or its port is malformed" if rest[:end] else "it names no host")
        if behind is None:
            raise BadUrl("it holds a character that a URL cannot hold unescaped, or a broken escape")
        port = int(authority["port"] or DEFAULT_PORTS[scheme])
        if not 1 <= port <= 65535:
            raise BadUrl("its port is not between 1 and 65535")
        return cls(
            scheme,
            _host(authority["host"], interface),
            port,
            behind["path"],
            behind["query"],
            behind["fragment"],
        )

    @classmethod
    def parse_origin(cls, text: str, *, interface: bool = False) -> WebUrl:
        """A URL of scheme, host and port only; one final slash is dropped. As `parse`."""
        url = cls.parse(text, interface=interface)
        if url.path not in {"", "/"} or url.query or url.fragment:
            raise BadUrl("something stands behind its host and port")
        return msgspec.structs.replace(url, path="")

    @property
    def name(self) -> str:
        """The host without the interface of a link-local address, which is local to this machine (RFC 6874)."""
        return self.host.partition("%")[0]

    @property
    def authority(self) -> str:
        """host[:port], without the scheme's default port."""
        host = f"[{self.host.replace('%', '%25')}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Equal for URLs of one server."""
        return self.scheme, self.host.rstrip("."), self.port

    @property
    def target(self) -> str:
        """Path and query, the request target."""
        return (self.path or "/") + self.query

    @property
    def is_https(self) -> bool:
        return self.scheme == "https"

    def __str__(self) -> str:
        """The canonical form."""
        return f"{self.scheme}://{self.authority}{self.path}{self.query}{self.fragment}"


class UrlPolicy(msgspec.Struct, frozen=True):
    """Which URLs of a control server may be shown: in logins, messages and for a browser."""

    http: bool = False
    """Plain http is allowed, as the control URL is such."""
    official: bool = False
    """The server is Tailscale's, whose URLs lead to its own domain only."""

    @classmethod
    def of(cls, control_url: WebUrl) -> UrlPolicy:
        """tailscale: ipn/ipnlocal/local.go, validPopBrowserURL."""
        return cls(not control_url.is_https, control_url.host.rstrip(".") in _OFFICIAL_SERVERS)

    def shown(self, text: str) -> str:
        """The URL in its canonical form. Raises BadUrl."""
        url = WebUrl.parse(text)
        if not url.is_https and not self.http:
            raise BadUrl("it is not https")
        host = f".{url.host.rstrip('.')}"
        if self.official and not host.endswith(f".{_OFFICIAL_DOMAIN}"):
            raise BadUrl(f"it leads away from {_OFFICIAL_DOMAIN}")
        return str(url)


def _host(text: str, interface: bool) -> str:
    """A host in its canonical form. Raises BadUrl."""
    if text.startswith("["):
        return _ipv6(text[1:-1], interface)
    if len(text) > MAX_HOST:
        raise BadUrl(f"its host is longer than {MAX_HOST} characters")
    name = _ascii(text)
    labels = name.removesuffix(".").split(".")
    if not all(re.fullmatch(_LABEL, label) for label in labels):
        raise BadUrl("its host is not a host name")
    if re.fullmatch(_NUMBER, labels[-1]):
        # Browsers also read 127.1, 0x7f.1 and 2130706433 as addresses.
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise BadUrl("its host is not an IPv4 address of four decimal numbers") from None
    return name


def _ipv6(text: str, interface: bool) -> str:
    text, percent, zone = text.partition("%")
    if percent and not interface:
        raise BadUrl("an address with a zone (%…) means another place on every machine")
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise BadUrl("its host is not an IPv6 address") from None
    zone = zone.removeprefix("25")
    if percent and not (address.is_link_local and re.fullmatch(_INTERFACE, zone)):
        raise BadUrl("only a link-local address has a %, and an interface behind it")
    if address.ipv4_mapped is not None:
        # Python 3.13 formats these differently from 3.11.
        raise BadUrl("its host is an IPv4 address within an IPv6 one: write the IPv4 address")
    return f"{address}%{zone}" if percent else str(address)


def _ascii(name: str) -> str:
    """A name in punycode. Raises BadUrl for one that browsers map differently."""
    if name.isascii():
        return name.lower()
    try:
        mapped = name.encode("idna").decode("ascii").lower()
        back = mapped.encode("ascii").decode("idna")
    except UnicodeError:
        raise BadUrl("its host is not a host name") from None
    if back != name.lower() or len(mapped) > MAX_HOST:
        raise BadUrl("its host does not say clearly which name it is: write it in punycode (xn--…)")
    return mapped
