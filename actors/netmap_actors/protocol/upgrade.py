"""The upgrade from HTTP/1.1 to Noise on `POST /ts2021`, for client and server.

The request carries the first message of the handshake (`noise.handshake`). Source: tailscale:
control/controlhttp/client.go and controlhttpcommon; the WebSocket form, used by browsers only, is refused.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.errors import ProtocolError, RemoteProtocolError
from netmap_actors.protocol.headers import first_header
from netmap_actors.protocol.http1_exchange import MAX_REFUSAL, HttpExchange, UnexpectedStatus
from netmap_actors.protocol.http1_server import HttpServer
from netmap_actors.protocol.noise import INITIATION_LENGTH

if TYPE_CHECKING:
    from netmap_actors.protocol.http1_server import HttpRequest

__all__ = [
    "UPGRADE_PATH",
    "BadUpgradeRequest",
    "UnexpectedStatus",
    "UpgradeAccepted",
    "UpgradeClient",
    "UpgradeServer",
]

UPGRADE_PATH = "/ts2021"
PROTOCOL = "tailscale-control-protocol"
HANDSHAKE_HEADER = "X-Tailscale-Handshake"


class UpgradeAccepted(msgspec.Struct, frozen=True):
    """The server switched. `trailing` came after the headers and is Noise, possibly the whole handshake."""

    trailing: bytes


class UpgradeClient:
    """One upgrade request and its response."""

    def __init__(self, host_header: str, initiation: bytes) -> None:
        """`host_header`: host[:port] of the control URL. `initiation`: the 101 bytes of an `Initiator`."""
        self._exchange = HttpExchange(
            "upgrade to the control protocol",
            "POST",
            UPGRADE_PATH,
            [
                ("Host", host_header),
                ("Upgrade", PROTOCOL),
                ("Connection", "upgrade"),
                (HANDSHAKE_HEADER, base64.b64encode(initiation).decode()),
                ("Content-Length", "0"),
            ],
            expected=101,
            max_body=MAX_REFUSAL,
        )

    def data_to_send(self) -> bytes:
        """The request, once."""
        return self._exchange.data_to_send()

    def receive(self, data: bytes) -> UpgradeAccepted | None:
        """None while the response is incomplete.

        Raises UnexpectedStatus for a status other than 101, once enough of its body has come, and RemoteProtocolError
        for invalid HTTP/1.1 or another protocol.
        """
        exchange = self._exchange
        exchange.receive(data)
        if exchange.status is None:
            return None
        if exchange.status == 101:
            if first_header(exchange.headers, "upgrade") != PROTOCOL:
                raise RemoteProtocolError(
                    f"cannot upgrade: the server switched to something else than {PROTOCOL}"
                )
            return UpgradeAccepted(exchange.trailing)
        if exchange.excerpt_complete:
            raise exchange.unexpected()
        return None

    def eof(self) -> None:
        """The server closed, or time is up. Raises UnexpectedStatus if it had refused, else RemoteProtocolError."""
        if self._exchange.status not in (None, 101):
            raise self._exchange.unexpected()
        raise RemoteProtocolError(
            "cannot upgrade to the control protocol: the server closed before its answer"
        )


class BadUpgradeRequest(ProtocolError):
    """A request that cannot become a control connection; `status`: of the response."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(f"cannot upgrade: {why}")
        self.status = status


class UpgradeServer(HttpServer):
    """An HttpServer that can upgrade requests for `/ts2021`."""

    @staticmethod
    def initiation(request: HttpRequest) -> bytes:
        """The Noise initiation that `request` carries. Raises BadUpgradeRequest."""
        if request.method != "POST":
            raise BadUpgradeRequest("the method is not POST", 405)
        # In any case of letters (tailscale: control/controlhttp/controlhttpserver).
        upgrade = request.header("upgrade")
        if upgrade is None:
            raise BadUpgradeRequest("there is no Upgrade header; does a proxy strip it?")
        if upgrade.lower() != PROTOCOL:
            raise BadUpgradeRequest(f"the protocol asked for is not {PROTOCOL}")
        if request.body:
            raise BadUpgradeRequest("the request has a body")
        handshake = request.header(HANDSHAKE_HEADER.lower())
        if handshake is None:
            raise BadUpgradeRequest(f"there is no {HANDSHAKE_HEADER} header")
        try:
            initiation = base64.b64decode(handshake, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadUpgradeRequest(f"{HANDSHAKE_HEADER} is not base64") from error
        if len(initiation) != INITIATION_LENGTH:
            raise BadUpgradeRequest(
                f"{HANDSHAKE_HEADER} holds {len(initiation)} bytes, not {INITIATION_LENGTH}"
            )
        return initiation

    def accept(self) -> bytes:
        """Send a 101; returns the bytes after the request. Raises LocalProtocolError.

        All further bytes are Noise and bypass this object.
        """
        return self._switch_protocol([("Upgrade", PROTOCOL), ("Connection", "upgrade")])
