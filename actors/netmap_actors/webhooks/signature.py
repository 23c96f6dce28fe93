"""The signature of a request, as Tailscale's webhooks have it.

Source: tailscale.com/kb/1213/webhooks, "Verifying an event signature".
"""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["HEADER", "signature"]

HEADER = "Tailscale-Webhook-Signature"


def signature(secret: bytes, body: bytes, at: float) -> str:
    """The value of HEADER: `t=` UNIX seconds of the sending, `v1=` HMAC-SHA256 of time, "." and body in hex."""
    moment = int(at)
    return f"t={moment},v1={hmac.new(secret, b'%d.%b' % (moment, body), hashlib.sha256).hexdigest()}"
