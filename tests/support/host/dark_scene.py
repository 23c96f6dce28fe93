"""A control server in one network namespace and a daemon in another, with a veth pair between them to break."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tests.support.processes.daemon import Daemon
from tests.support.processes.dev_server import DevServer, running_dev_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from tests.support.host.netns import Pair

PORT = 8080


def client_port(status: dict[str, Any]) -> int:
    """Source port of the daemon's control connection."""
    return int(status["connection"]["local_address"].rpartition(":")[2])


@contextmanager
def joined_across(
    network: Pair,
    directory: Path,
    *options: str,
    server_options: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[tuple[DevServer, Daemon, Path]]:
    """(server, daemon with a fresh netmap, file with the auth key)."""
    with ExitStack() as running:
        server = running.enter_context(
            running_dev_server(
                "--nodes=5",
                *server_options,
                listen=f"{network.server.address}:{PORT}",
                prefix=network.server.prefix,
            )
        )
        key = directory / "auth-key"
        key.write_text(server.auth_key)
        key.chmod(0o600)
        client = running.enter_context(
            Daemon(
                f"--control-url={server.url}",
                f"--auth-key=file:{key}",
                "--hostname=client",
                *options,
                prefix=network.client.prefix,
                env=env,
            )
        )
        client.wait_fresh()
        yield server, client, key
