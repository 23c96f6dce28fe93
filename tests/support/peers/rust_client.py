"""tailscale's own crate for Rust as a control client: built once into the cache outside the tree, and run as a child.

The program is tests/interop/rust; what it prints is described there. The cache holds a directory of cargo's for each
manifest and compiler (some 700 MB; another program with the same manifest is built in seconds), and in it the programs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.peers.go_tools import cache_root, file_lock
from tests.support.processes.daemon import clean_environment
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.dev_control.operator.listings import NodeView
    from netmap_actors.dev_control.standalone import RunningServer

SOURCE = Path(__file__).resolve().parents[2] / "interop" / "rust"
PROGRAM = "netmap-rust-client"
BUILD_LIMIT = 1700.0
"""Seconds; six minutes of processor time, so three to six minutes on two cores that are free."""
LIMIT = 20.0


class RustUnavailable(Exception):
    """There is no usable cargo, or the build failed; the text says which."""


def _cargo() -> str:
    found = shutil.which("cargo") or shutil.which("cargo", path=str(Path.home() / ".cargo" / "bin"))
    if found is None:
        raise RustUnavailable("cannot build the client in Rust: there is no cargo on PATH")
    return found


def _version(cargo: str) -> str:
    answer = subprocess.run([cargo, "--version"], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise RustUnavailable(f"cannot build the client in Rust: {answer.stderr.strip()}")
    return answer.stdout.strip()


def _key(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def build_rust_client() -> Path:
    """The program, built now if its sources have changed. Raises RustUnavailable."""
    cargo = _cargo()
    manifest, main = (SOURCE / "Cargo.toml").read_bytes(), (SOURCE / "src" / "main.rs").read_bytes()
    root = cache_root() / "rust-client" / _key(manifest, _version(cargo).encode())
    program = root / _key(main) / PROGRAM
    with file_lock(root.with_suffix(".lock")):
        if program.is_file():
            return program
        # A copy, so that nothing is written into the tree; of this moment, so that cargo sees that it is another one.
        copy = root / "source"
        (copy / "src").mkdir(parents=True, exist_ok=True)
        (copy / "Cargo.toml").write_bytes(manifest)
        (copy / "src" / "main.rs").write_bytes(main)
        print(f"building the client in Rust into {root} …", file=sys.stderr, flush=True)
        try:
            result = subprocess.run(
                [cargo, "build", "--quiet"],
                cwd=copy,
                env={**os.environ, "CARGO_TARGET_DIR": str(root / "target"), "CARGO_TERM_COLOR": "never"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=BUILD_LIMIT,
            )
        except subprocess.TimeoutExpired:
            raise RustUnavailable(
                f"cannot build the client in Rust: not done after {BUILD_LIMIT:.0f} s"
            ) from None
        if result.returncode != 0:
            raise RustUnavailable(
                f"cannot build the client in Rust: cargo build said\n{result.stdout[-2000:]}"
            )
        program.parent.mkdir(exist_ok=True)
        shutil.copy2(root / "target" / "debug" / PROGRAM, program)
    return program


def as_it_shows(node: NodeView) -> dict[str, Any]:
    """What the client shows of this node of the server, as far as both know it."""
    return {
        "id": node.id,
        "stable_id": node.stable_id,
        "name": node.name,
        "addresses": [address.partition("/")[0] for address in node.addresses],
        "online": node.online,
        "tags": list(node.tags),
        "routes": [*node.addresses, *node.routes],
        "key": node.key,
    }


class RustClient:
    """One running client, and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.process = process
        self._output = directory / "out"
        self._log = directory / "log"

    def said(self, event: str) -> list[dict[str, Any]]:
        """All it has said of this kind so far: `login`, `self` or `peers`."""
        whole = self._output.read_text().rpartition("\n")[0].splitlines()
        return [said for said in map(json.loads, whole) if said["event"] == event]

    def last(self, event: str) -> dict[str, Any]:
        """What it has said last of this kind; empty: nothing yet."""
        said = self.said(event)
        return said[-1] if said else {}

    def peers(self) -> dict[str, dict[str, Any]]:
        """The peers it believes in, by the first label of their names."""
        return {peer["name"].partition(".")[0]: peer for peer in self.last("peers").get("peers", [])}

    def agrees_with(self, server: RunningServer) -> bool:
        """Whether it believes of itself and of everybody else what the server has."""
        believed = {node["id"]: node for node in (self.last("self"), *self.peers().values()) if node}
        nodes = {node.id: as_it_shows(node) for node in server.nodes()}
        return {
            number: {name: node[name] for name in nodes.get(number, {})} for number, node in believed.items()
        } == nodes

    def wait_own(self) -> dict[str, Any]:
        """Its own node, once it has a map."""
        return wait_for(lambda: self._living() and self.last("self"), LIMIT, "the client in Rust has a map")

    def wait_login_url(self, other_than: str = "") -> str:
        """Where it asks a person to let it in."""

        def url() -> str | None:
            said = str(self._living() and self.last("login").get("url", ""))
            return said if said != other_than else None

        return wait_for(url, LIMIT, "the client in Rust prints where to log in")

    def complaints(self) -> list[str]:
        """The warnings and errors of its log."""
        lines = self._log.read_text().splitlines()
        return [line for line in lines if " WARN " in line or " ERROR " in line]

    def log(self) -> str:
        """What it has written to standard error."""
        return self._log.read_text()

    def _living(self) -> bool:
        ended = self.process.poll()
        assert ended is None, f"the client in Rust ended with {ended}:\n{self.log()[-2000:]}"
        return True


@contextlib.contextmanager
def running_rust_client(
    program: Path,
    url: str,
    hostname: str,
    auth_key: str | None = None,
    keep_in: Path | None = None,
    script: Path | None = None,
) -> Iterator[RustClient]:
    """The client; ended on leaving, and all it keeps is removed.

    `auth_key`: None lets a person decide. `keep_in`: a directory which keeps everything for the next start. `script`:
    what to start in place of the program, which it finds on PATH.
    """
    directory = keep_in or Path(tempfile.mkdtemp(prefix="nmr-", dir="/tmp"))
    given = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "NETMAP_CHECK_URL": url,
        "NETMAP_CHECK_DIR": str(directory),
        "NETMAP_CHECK_HOSTNAME": hostname,
    }
    if auth_key is not None:
        key = directory / "auth_key"
        key.touch(0o600)
        key.write_text(auth_key)
        given["NETMAP_CHECK_AUTH_KEY_FILE"] = str(key)
    with (directory / "out").open("wb") as out, (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [script or program],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            env=clean_environment(directory, given),
        )
    try:
        yield RustClient(process, directory)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if keep_in is None:
            shutil.rmtree(directory, ignore_errors=True)


def main() -> int:
    """Build, and say where; without cargo that is an error only where CI says so."""
    try:
        print(f"client in Rust: {build_rust_client()}")
    except RustUnavailable as error:
        print(error, file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
