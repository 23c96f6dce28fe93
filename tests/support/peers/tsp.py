"""tailscale's command line for single steps of the control protocol, as child processes."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.dev_control.standalone import Announcement

COMMAND_LIMIT = 30.0


class Tsp:
    """The tsp binary with one node file."""

    def __init__(self, binary: Path, server: Announcement, directory: Path) -> None:
        self.binary = binary
        self.server = server
        self.node = directory / "node.json"
        self.key = directory / "auth_key"
        self.key.write_text(server.auth_key)

    def run(self, *arguments: str) -> str:
        """What a command prints. Raises AssertionError with what it complains of."""
        done = subprocess.run(
            [self.binary, "-s", self.server.url, *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make_node(self, *arguments: str) -> None:
        """New keys in the node file."""
        self.run("new-node", "-o", str(self.node), *arguments)

    def register(self, *arguments: str) -> dict[str, Any]:
        """The RegisterResponse."""
        answer: dict[str, Any] = json.loads(self.run("register", "-n", str(self.node), *arguments))
        return answer

    def join(self, *arguments: str) -> dict[str, Any]:
        """The RegisterResponse to a request with the auth key."""
        return self.register("-auth-key", str(self.key), *arguments)

    def map(self) -> dict[str, Any]:
        """One whole MapResponse."""
        answer: dict[str, Any] = json.loads(self.run("map", "-n", str(self.node)))
        return answer

    @contextmanager
    def streaming(self, output: Path, *arguments: str) -> Iterator[None]:
        """The long poll, written into a file."""
        command = [self.binary, "-s", self.server.url, "map", "-n", str(self.node), "-stream", *arguments]
        with output.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE)
            try:
                yield
            finally:
                process.kill()
                process.communicate()


def documents(path: Path) -> list[dict[str, Any]]:
    """The MapResponses tsp has written so far, one JSON after the other."""
    text, found, place = path.read_text() if path.exists() else "", [], 0
    decoder = json.JSONDecoder()
    while match := re.compile(r"\s*").match(text, place):
        if match.end() == len(text):
            break
        try:
            document, place = decoder.raw_decode(text, match.end())
        except json.JSONDecodeError:
            break  # the rest is still being written
        found.append(document)
    return found
