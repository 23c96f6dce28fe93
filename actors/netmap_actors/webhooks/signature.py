"""The signature of a request, as Tailscale's webhooks have it (tailscale.com/kb/1213, "Verifying an event signature")."""

from __future__ import annotations

__all__ = ["HEADER", "signature"]

HEADER = "Tailscale-Webhook-Signature"


def signature(secret: bytes, body: bytes, at: float) -> str:
    """The value of HEADER: `t=` UNIX seconds of the sending, `v1=` HMAC-SHA256 of time, "." and body in hex."""
    raise NotImplementedError
