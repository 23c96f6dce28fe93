"""The control server's URL, taken apart once.

Not here: whether it may be trusted with plain http; that depends on the address behind it (`key_policy`).
"""

from __future__ import annotations

import dataclasses
import urllib.parse

from netmap_actors.errors import ConfigurationError, escape

__all__ = ["ControlUrl", "origin_of"]

_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclasses.dataclass(frozen=True, slots=True)
class ControlUrl:
    """Scheme, host and port of a control server; `text` is the URL without a trailing slash."""

    text: str
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> ControlUrl:
        """Raises ConfigurationError unless it is http(s)://host[:port]."""
        origin = origin_of(text.rstrip("/"))
        if origin is None or urllib.parse.urlsplit(text.rstrip("/")).path:
            raise ConfigurationError(
                f"cannot use the control URL {escape(text)}: it must read https://HOST or https://HOST:PORT"
            )
        return cls(text.rstrip("/"), *origin)

    @property
    def is_https(self) -> bool:
        return self.scheme == "https"

    @property
    def host_header(self) -> str:
        """host[:port], for `Host` and `:authority`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def is_origin_of(self, url: str) -> bool:
        """Whether another URL leads to this very server."""
        return origin_of(url) == (self.scheme, self.host, self.port)


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an http(s) URL; None for everything else, and for one with a user in it."""
    if not url.isprintable() or " " in url:
        return None
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port if port is not None else _DEFAULT_PORTS[parts.scheme]
