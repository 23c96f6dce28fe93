"""The one capability version this client declares, in the Noise handshake and in every request.

Declaring it promises everything up to it (tailscale: tailcfg/tailcfg.go, CapabilityVersion).
"""

from __future__ import annotations

__all__ = ["CAPABILITY_VERSION"]

CAPABILITY_VERSION = 130
"""Servers of 2026 ask for at least 113 (headscale: hscontrol/capver)."""
