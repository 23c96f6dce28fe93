"""Builds the Go peers (testcontrol, tsp, tailscaled, tailscale), our client on tailscale's tsnet, and the subscriber in
Go that the documentation shows, once per version, into a cache outside the tree.

The version of the peers and of tsnet is pinned by go.mod and go.sum in tests/interop; the cache is keyed by them and by
the compiler, for programs of ours also by their sources.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOOLS = ("testcontrol", "tsp", "tailscaled", "tailscale")
HERE = Path(__file__).resolve().parents[2] / "interop"
SUBSCRIBER = HERE.parents[1] / "docs" / "examples" / "go"
TSNET_CLIENT = HERE / "go" / "tsnet_client"
HTTP1_READER = HERE.parent / "conformance" / "http1_reader"
BUILD_LIMIT = 1500.0
"""Seconds; a cold build of the four peers takes a few minutes on two cores."""


class GoToolsUnavailable(Exception):
    """There is no usable Go compiler, or the build failed; the text says which."""


def cache_root() -> Path:
    """Where built tools are kept, outside the tree."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "netmap-supervisor"


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on `path` (created when missing); other processes wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _go() -> str:
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found is None:
        raise GoToolsUnavailable("cannot build the Go programs: there is no go on PATH")
    return found


def _version(go: str, module: Path) -> str:
    answer = subprocess.run([go, "version"], cwd=module, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise GoToolsUnavailable(f"cannot build the Go programs: {answer.stderr.strip()}")
    return answer.stdout.strip()


def build() -> Path:
    """The directory holding the four peers, built now if need be. Raises GoToolsUnavailable."""
    packages = [f"tailscale.com/cmd/{tool}" for tool in TOOLS]
    return _built("go-tools", "the Go peers", HERE, _pins(), packages, TOOLS)


def build_tsnet_client() -> Path:
    """Our client on tailscale's tsnet, built now if its source or version has changed. Raises GoToolsUnavailable."""
    key = [*_pins(), *(path.read_bytes() for path in sorted(TSNET_CLIENT.iterdir()))]
    package = f"./{TSNET_CLIENT.relative_to(HERE)}"
    directory = _built("go-tsnet", "the client on tsnet", HERE, key, [package], [TSNET_CLIENT.name])
    return directory / TSNET_CLIENT.name


def _pins() -> list[bytes]:
    return [(HERE / "go.mod").read_bytes(), (HERE / "go.sum").read_bytes()]


def build_subscriber() -> Path:
    """The subscriber in Go, built now if its sources have changed. Raises GoToolsUnavailable."""
    sources = [SUBSCRIBER / "go.mod", SUBSCRIBER / "go.sum", *sorted(SUBSCRIBER.rglob("*.go"))]
    key = [part for path in sources for part in (path.name.encode(), path.read_bytes())]
    directory = _built("go-subscriber", "the subscriber in Go", SUBSCRIBER, key, ["."], ["subscriber"])
    return directory / "subscriber"


def build_http1_reader() -> Path:
    """Go's reading of HTTP/1.1, built now if its source has changed. Raises GoToolsUnavailable."""
    key = [path.read_bytes() for path in sorted(HTTP1_READER.iterdir())]
    directory = _built(
        "go-http1-reader", "the reader of HTTP/1.1", HTTP1_READER, key, ["."], ["http1-reader"]
    )
    return directory / "http1-reader"


def _built(
    folder: str, what: str, module: Path, key_parts: list[bytes], packages: list[str], programs: Sequence[str]
) -> Path:
    """The directory holding these programs of a module, from the cache or built into it."""
    go = _go()
    key = hashlib.sha256(b"\0".join([*key_parts, _version(go, module).encode()])).hexdigest()[:16]
    root = cache_root() / folder
    target = root / key
    with file_lock(root / f"{key}.lock"):
        if all((target / program).is_file() for program in programs):
            return target
        with tempfile.TemporaryDirectory(dir=root, prefix=f"{key}-") as scratch:
            command = [
                go,
                "build",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags=-s -w",
                "-o",
                scratch + "/",
                *packages,
            ]
            print(f"building {what} into {target} …", file=sys.stderr, flush=True)
            try:
                result = subprocess.run(
                    command,
                    cwd=module,
                    env={**os.environ, "CGO_ENABLED": "0"},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    check=False,
                    timeout=BUILD_LIMIT,
                )
            except subprocess.TimeoutExpired:
                raise GoToolsUnavailable(f"cannot build {what}: not done after {BUILD_LIMIT:.0f} s") from None
            if result.returncode != 0:
                raise GoToolsUnavailable(f"cannot build {what}: go build said\n{result.stdout[-2000:]}")
            target.mkdir(parents=True, exist_ok=True)
            for program in programs:
                (Path(scratch) / program).rename(target / program)
    return target


def main() -> int:
    """Build, and say where; without Go that is an error only where CI says so."""
    try:
        print(f"Go peers: {build()}")
        print(f"client on tsnet: {build_tsnet_client()}")
        print(f"subscriber in Go: {build_subscriber()}")
    except GoToolsUnavailable as error:
        print(error, file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
