"""Measures tailscaled against the same control server: the peer our figures are ratios of."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.instruments.process_tree import Sampler, boottime
from tests.support.peers.tailscaled import running_tailscaled
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class TailscaledRun:
    """One start of tailscaled. Seconds since `tailscale up`; memory in bytes."""

    began: float
    """CLOCK_BOOTTIME of `tailscale up`."""
    running_after: float
    busy_until: float
    cpu: float
    peak_pss: int
    steady_pss: int


def measure_tailscaled(tools: Path, control_url: str, limit: float = 120.0) -> TailscaledRun:
    """From `tailscale up` to Running, and to the end of the work the netmap made."""
    with running_tailscaled(tools) as daemon, Sampler(daemon.pid) as sampler:
        sampler.wait_quiet(boottime(), 30.0)
        before = sampler.cpu()
        began = boottime()
        command = daemon.command("up", f"--login-server={control_url}", "--accept-dns=false")
        up = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            wait_for(lambda: daemon.state() == "Running", limit, "tailscaled is Running")
            running_after = boottime() - began
            ended = sampler.wait_quiet(began, limit)
        finally:
            up.kill()
            up.communicate()
        return TailscaledRun(
            began=began,
            running_after=running_after,
            busy_until=ended - began,
            cpu=sampler.cpu() - before,
            peak_pss=sampler.peak_pss(),
            steady_pss=sampler.steady_pss(),
        )
