"""SOCKS5: a tunnel through a proxy to a host and port (RFC 1928), with user name and password if asked (RFC 1929).

socksio parses the messages; here each is delimited. Not here: which proxy (`transport.proxy`).
"""

from __future__ import annotations

from netmap_actors.errors import ConfigurationError, RemoteProtocolError

__all__ = ["MAX_CREDENTIAL", "SocksTunnel", "as_bytes", "require_socks"]

MAX_CREDENTIAL = 255
"""Bytes of a user name, and of a password."""
_VERSION = 5
_AUTHENTICATION_VERSION = 1
_ADDRESS_LENGTH = {1: 4, 4: 16}
_NAME = 3
_HEAD = 4
_PORT = 2
# RFC 1928, section 6.
_REASONS = {
    1: "general failure",
    2: "its rules do not allow it",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "it cannot connect (command not supported)",
    8: "it does not know this kind of address",
}


def as_bytes(credential: str) -> bytes:
    """A user name or password as sent; non-UTF-8 bytes are surrogates in the text (PEP 383)."""
    return credential.encode("utf-8", "surrogateescape")


def require_socks() -> None:
    """Raises ConfigurationError where the extra is not installed."""
    try:
        import socksio  # noqa: F401, PLC0415
    except ImportError:
        raise ConfigurationError(
            "SOCKS needs the Python package socksio; `pip install '.[socks]'` instead of `pip install .` brings it"
        ) from None


class SocksTunnel:
    """One negotiation: methods, credentials if required, request; then the tunnel is open."""

    def __init__(self, host: str, port: int, credentials: tuple[str, str] | None = None) -> None:
        """The proxy looks the host up. `credentials`: user name and password. Raises ConfigurationError."""
        require_socks()
        # Imported here, as it is rarely needed.
        from socksio import ProtocolError, socks5  # noqa: PLC0415

        self._socks = socks5
        self._malformed = (ProtocolError, ValueError)
        self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._host, self._port = host.rstrip(".") if ":" not in host else host, port
        self._credentials = credentials
        self._connection = socks5.SOCKS5Connection()
        self._received = b""
        methods = [socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED]
        if credentials is not None:
            methods.append(socks5.SOCKS5AuthMethod.USERNAME_PASSWORD)
        self._connection.send(socks5.SOCKS5AuthMethodsRequest(methods))

    def data_to_send(self) -> bytes:
        """The next bytes of the negotiation."""
        return self._connection.data_to_send()

    def receive(self, data: bytes) -> bytes | None:
        """None during the negotiation, then the bytes after it, which belong to the tunnel.

        Raises RemoteProtocolError when the proxy refuses, or does not speak SOCKS5.
        """
        self._received += data
        while (end := self._end()) is not None:
            message, self._received = self._received[:end], self._received[end:]
            try:
                reply = self._connection.receive_data(message)
            except self._malformed:
                raise self._foreign() from None
            if self._take(reply):
                return self._received
        return None

    def eof(self) -> RemoteProtocolError:
        """The error of a tunnel that the proxy closed."""
        if self._connection.state == self._socks.SOCKS5State.SERVER_VERIFY_USERNAME_PASSWORD:
            # RFC 1929: a server closes after a refusal; some send none.
            return self._refused_credentials()
        return RemoteProtocolError(f"cannot reach {self._target}: the proxy closed before its answer")

    def _end(self) -> int | None:
        """Length of the next message, None while it is incomplete. Raises RemoteProtocolError for an invalid one."""
        received, state = self._received, self._connection.state
        authenticated = state == self._socks.SOCKS5State.CLIENT_AUTHENTICATED
        verifying = state == self._socks.SOCKS5State.SERVER_VERIFY_USERNAME_PASSWORD
        if received and received[0] != (_AUTHENTICATION_VERSION if verifying else _VERSION):
            raise self._foreign()
        if not authenticated:
            return 2 if len(received) >= 2 else None
        if len(received) > 1 and received[1]:
            # Some proxies omit the address in a refusal.
            raise self._refusal(received[1])
        if len(received) <= _HEAD:
            return None
        kind = received[3]
        length = received[4] + 1 if kind == _NAME else _ADDRESS_LENGTH.get(kind)
        if length is None:
            raise self._foreign()
        end = _HEAD + length + _PORT
        return end if len(received) >= end else None

    def _take(self, reply: object) -> bool:
        """Answer one message; whether the tunnel is open."""
        socks = self._socks
        match reply:
            case socks.SOCKS5AuthReply(method=socks.SOCKS5AuthMethod.USERNAME_PASSWORD):
                if self._credentials is None:
                    raise self._foreign()
                user, password = map(as_bytes, self._credentials)
                self._connection.send(socks.SOCKS5UsernamePasswordRequest(user, password))
            case socks.SOCKS5AuthReply(method=socks.SOCKS5AuthMethod.NO_AUTH_REQUIRED):
                self._ask()
            case socks.SOCKS5AuthReply(method=socks.SOCKS5AuthMethod.NO_ACCEPTABLE_METHODS):
                raise self._refused_credentials()
            case socks.SOCKS5AuthReply():
                raise self._foreign()
            case socks.SOCKS5UsernamePasswordReply(success=True):
                self._ask()
            case socks.SOCKS5UsernamePasswordReply():
                raise self._refused_credentials()
            case _:
                return True
        return False

    def _ask(self) -> None:
        request = self._socks.SOCKS5CommandRequest.from_address(
            self._socks.SOCKS5Command.CONNECT, (self._host, self._port)
        )
        self._connection.send(request)

    def _refusal(self, code: int) -> RemoteProtocolError:
        why = _REASONS.get(code, f"code {code}")
        return RemoteProtocolError(f"cannot reach {self._target}: the proxy answered: {why}")

    def _refused_credentials(self) -> RemoteProtocolError:
        what = (
            "wants a user name and a password: write them into the variable that names it"
            if self._credentials is None
            else "does not take this user name and password"
        )
        return RemoteProtocolError(f"cannot reach {self._target}: the proxy {what}")

    def _foreign(self) -> RemoteProtocolError:
        shown = self._received[:8].hex(" ")
        return RemoteProtocolError(f"cannot reach {self._target}: the proxy does not speak SOCKS5 ({shown})")
