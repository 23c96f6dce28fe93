"""A scripted control server in a thread of the test, and the options that make a daemon join it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netmap_actors.dev_control.standalone import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator


class Control:
    """A running server and a file with an auth key of it."""

    def __init__(self, server: Any, key_file: Path) -> None:
        self.server = server
        self.url: str = server.url
        self.key_file = key_file

    def fault(self, name: str, **arguments: object) -> None:
        """Let the server misbehave from now on."""
        self.server.fault(name, **arguments)

    def heal(self) -> None:
        """Let it behave again."""
        self.server.heal()


@contextlib.contextmanager
def running(directory: Path, **options: Any) -> Iterator[Control]:
    """Keep-alives every second, so that a short limit is never reached by a healthy line."""
    settings = {"nodes": 5, "churn": 0.0, "keep_alive": 1.0, "keep_alive_jitter": 0.0}
    with running_server(**(settings | options)) as server:
        key = directory / "auth-key"
        key.write_text(server.auth_key)
        key.chmod(0o600)
        yield Control(server, key)


def joined(control: Control) -> tuple[str, ...]:
    """Options of `run` that join this server."""
    return (f"--control-url={control.url}", f"--auth-key=file:{control.key_file}", "--hostname=client")
