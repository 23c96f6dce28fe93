"""The clients of the table: how each is built, started, and asked what it believes."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import shlex
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from bench.machine import tailscale_in_go
from tests.support.peers.go_tools import build, build_tsnet_client
from tests.support.peers.rust_client import SOURCE, build_rust_client

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "docs" / "examples" / "clients"
DAEMON = (sys.executable, "-P", "-m", "netmap_supervisor")
TRUTH_PER_LIMIT = 5
"""As between our daemon's 10 min and 120 s."""


@dataclasses.dataclass(frozen=True)
class TestedClient:
    """What `check-client` is given for it. Building may take minutes; it raises GoToolsUnavailable, RustUnavailable."""

    what: str
    """With its version, as the page names it."""
    command: tuple[str, ...]
    peers: str = ""
    """Its peers command; empty: it keeps no list."""
    build: Callable[[], Path] | None = None
    """The directory that goes in front of PATH."""


def tested_clients(limit: float) -> dict[str, TestedClient]:
    """All of them by name; `limit` is the watchdog in seconds where it can be chosen."""
    go, rust = tailscale_in_go(), _tailscale_in_rust()
    daemon = (
        *(*DAEMON, "run", "--control-url={url}", "--auth-key=file:{auth_key_file}", "--hostname={hostname}"),
        *("--state-dir={dir}/s", "--runtime-dir={dir}/r", "--view=off", "--config=/dev/null"),
        *(f"--silence-timeout={limit:g}s", f"--truth-interval={limit * TRUTH_PER_LIMIT:g}s"),
    )
    return {
        "netmap-supervisor": TestedClient(
            f"{importlib.metadata.version('netmap-supervisor')}, this tree",
            daemon,
            shlex.join([*DAEMON, "netmap", "--json", "--runtime-dir", "{dir}/r"]),
        ),
        "tailscaled": TestedClient(
            f"Tailscale {go}", (_script("tailscaled.sh"),), _script("tailscaled-peers.sh"), build
        ),
        "tsnet": TestedClient(
            f"Tailscale {go}",
            (_script("tsnet.sh"),),
            _script("tsnet-peers.sh"),
            lambda: build_tsnet_client().parent,
        ),
        "tsp": TestedClient(f"Tailscale {go}", (_script("tsp.sh"),), build=build),
        "tailscale-rs": TestedClient(
            f"`tailscale` {rust}",
            (_script("tailscale-rs.sh"),),
            "cat {dir}/peers.json",
            lambda: build_rust_client().parent,
        ),
    }


def _script(name: str) -> str:
    return str(SCRIPTS / name)


def _tailscale_in_rust() -> str:
    manifest = tomllib.loads((SOURCE / "Cargo.toml").read_text())
    return str(manifest["dependencies"]["tailscale"]).lstrip("=")
