"""The control server's URL, parsed once.

Not here: whether it may be trusted with plain http; that depends on the address behind it (`key_policy`).
"""

from __future__ import annotations

import msgspec

from netmap_actors.errors import ConfigurationError, escape
from netmap_actors.web_url import BadUrl, UrlPolicy, WebUrl

__all__ = ["ControlUrl"]


class ControlUrl(msgspec.Struct, frozen=True):
    """Scheme, host and port of a control server; `text` is the URL without a trailing slash."""

    text: str
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> ControlUrl:
        """Raises ConfigurationError unless it is http(s)://host[:port]."""
        try:
            url = WebUrl.parse_origin(text, interface=True)
        except BadUrl as error:
            shown = "" if "@" in text else f" {escape(text)}"
            raise ConfigurationError(
                f"cannot use the control URL{shown}: it must read https://HOST or https://HOST:PORT; {error}"
            ) from None
        return cls(str(url), url.scheme, url.host, url.port)

    @property
    def is_https(self) -> bool:
        return self.scheme == "https"

    @property
    def name(self) -> str:
        """The host without the interface of a link-local address, which is local to this machine (RFC 6874)."""
        return self.host.partition("%")[0]

    @property
    def host_header(self) -> str:
        """host[:port], for `Host` and `:authority`."""
        return self._web.authority

    @property
    def policy(self) -> UrlPolicy:
        """Which URLs of this server may be shown."""
        return UrlPolicy.of(self._web)

    def is_origin_of(self, url: str) -> bool:
        """Whether another URL has the same origin."""
        try:
            return WebUrl.parse(url).origin == self._web.origin
        except BadUrl:
            return False

    @property
    def _web(self) -> WebUrl:
        return WebUrl(self.scheme, self.name, self.port)
