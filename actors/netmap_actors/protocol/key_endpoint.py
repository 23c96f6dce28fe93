"""`GET /key?v=N`, which returns the control server's Noise key; for client and server.

Not here: trust in the answer (https, pinning). Source: tailscale: control/controlclient/direct.go; headscale:
hscontrol/handlers.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.errors import RemoteProtocolError, escape
from netmap_actors.protocol.http1_exchange import HttpExchange
from netmap_actors.protocol.keys import BadKey, MachineKey

if TYPE_CHECKING:
    from netmap_actors.protocol.http1_server import HttpRequest

__all__ = [
    "KEY_PATH",
    "MAX_KEY_BODY",
    "ControlKeys",
    "KeyAnswer",
    "KeyClient",
    "answer_key_request",
    "parse_keys",
]

KEY_PATH = "/key"
MAX_KEY_BODY = 64 << 10
"""Bytes of the answer."""

_LEGACY_ANSWER = rb"\s*[0-9a-fA-F]{64}\s*"
_MIN_NOISE_VERSION = 28
"""The first capability version with Noise (tailscale: tailcfg/tailcfg.go)."""


class ControlKeys(msgspec.Struct, frozen=True):
    """The server's keys. The legacy one, from before Noise, is zero with most servers."""

    public_key: MachineKey
    legacy_public_key: MachineKey


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    public_key: str | None = None
    legacy_public_key: object = None
    """Not checked: no current client reads it."""


def parse_keys(body: bytes) -> ControlKeys:
    """The keys in the body of a 200. Raises RemoteProtocolError."""
    if re.fullmatch(_LEGACY_ANSWER, body):
        raise RemoteProtocolError(
            "cannot use this control server: it only knows the protocol from before Noise; it must be updated"
        )
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        public = MachineKey.parse(answer.public_key) if answer.public_key else MachineKey.zero()
    except (msgspec.MsgspecError, BadKey, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(
            f"cannot read the control key: {escape(str(error))}; is this the URL of a control server?"
        ) from error
    if public.is_zero:
        raise RemoteProtocolError("cannot use this control server: it has no Noise key; it must be updated")
    if public.is_low_order:
        raise RemoteProtocolError("cannot use the control key: it is of low order, so that nobody can own it")
    return ControlKeys(public, _legacy(answer.legacy_public_key))


def _legacy(field: object) -> MachineKey:
    try:
        return MachineKey.parse(field) if isinstance(field, str) else MachineKey.zero()
    except BadKey:
        return MachineKey.zero()


class KeyClient:
    """One key request on a connection of its own."""

    def __init__(self, host_header: str, version: int, *, base_path: str = "") -> None:
        """`host_header`: host[:port] of the control URL; `base_path`: its path, if it has one."""
        target = f"{base_path.rstrip('/')}{KEY_PATH}?v={version}"
        headers = [("Host", host_header), ("Accept", "application/json"), ("Connection", "close")]
        self._exchange = HttpExchange(
            "fetch the control key", "GET", target, headers, expected=200, max_body=MAX_KEY_BODY
        )

    def data_to_send(self) -> bytes:
        """The request, once."""
        return self._exchange.data_to_send()

    def receive(self, data: bytes) -> ControlKeys | None:
        """None while the answer is incomplete.

        Raises UnexpectedStatus for a status other than 200, RemoteProtocolError for an answer without a key.
        """
        self._exchange.receive(data)
        return self._result()

    def eof(self) -> ControlKeys:
        """The server closed, which may complete its answer. Raises as `receive`, or for an incomplete answer."""
        if self._exchange.status not in (None, 200):
            raise self._exchange.unexpected()
        self._exchange.eof()
        keys = self._result()
        assert keys is not None, "eof raises unless the exchange is complete"
        return keys

    def _result(self) -> ControlKeys | None:
        exchange = self._exchange
        if exchange.status not in (None, 200) and exchange.excerpt_complete:
            raise exchange.unexpected()
        return parse_keys(exchange.body) if exchange.complete else None


class KeyAnswer(msgspec.Struct, frozen=True):
    """A server's response: status, content type and body."""

    status: int
    content_type: str
    body: bytes


def answer_key_request(request: HttpRequest, keys: ControlKeys) -> KeyAnswer:
    """The response of a server with Noise only, with headscale's refusals."""
    fields = request.target.partition("?")[2].split("&")
    version = next((field.removeprefix("v=") for field in fields if field.startswith("v=")), "")
    if not version:
        return KeyAnswer(400, "text/plain; charset=utf-8", b"capability version must be set\n")
    if not (version.isascii() and version.isdigit()):
        return KeyAnswer(400, "text/plain; charset=utf-8", b"invalid capability version\n")
    if int(version[:9]) < _MIN_NOISE_VERSION:
        return KeyAnswer(200, "text/plain; charset=utf-8", keys.legacy_public_key.raw.hex().encode())
    body = f'{{"legacyPublicKey":"{keys.legacy_public_key}","publicKey":"{keys.public_key}"}}'
    return KeyAnswer(200, "application/json", body.encode())
