"""The options of `check-client --attach`: where the server waits for a client that is started elsewhere.

Not here: the waiting (`client_check.place.attached`).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import click
import msgspec

from netmap_supervisor.cli.parameters.ranges import DurationRange
from netmap_supervisor.devtools.listening import (
    is_loopback,
    listening_options,
    reached_lines,
    state_directory,
    tls_setup,
    warn_of_others,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from netmap_actors.dev_control.http.tls_files import TlsSetup
    from netmap_supervisor.devtools.client_check.place.attached import AttachedClients
    from netmap_supervisor.devtools.client_check.scenarios import CheckScenario, Limits

__all__ = ["Attachment", "attach_options"]

_DEFAULT = ("127.0.0.1", 0)
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # compared, not bound


def attach_options(command: Any) -> Any:
    """Adds them to a command, which passes them on to `Attachment.of`."""
    options = (
        click.option(
            "--attach", "is_attached", is_flag=True, help="Wait for a client that is started elsewhere."
        ),
        click.option(
            "--attach-limit",
            type=DurationRange(1.0, 86400.0),
            help="How long it may stay away, at first and between scenarios.  [default: 10m]",
        ),
        listening_options(default=None),
        click.option(
            "--state-dir",
            metavar="DIR",
            help="Keep the server's keys, its CA and nodes here.  [default: nowhere]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class Attachment(msgspec.Struct, frozen=True):
    """Where the server waits; without `is_attached` nowhere, as each client has a server of its own."""

    is_attached: bool
    limit: float
    address: tuple[str, int]
    tls: TlsSetup | None
    host: str
    state_dir: str

    @classmethod
    def of(cls, given: Mapping[str, Any], command: Sequence[str], jobs: int) -> Self:
        """From the options. Raises click.UsageError for what does not fit together."""
        is_attached = given["is_attached"]
        if is_attached == bool(command):
            raise click.UsageError(
                "--attach is for a client that somebody else starts: give no COMMAND"
                if is_attached
                else "a client is needed: check-client [OPTIONS] -- COMMAND..., or --attach"
            )
        if not is_attached and any(value for value in given.values()):
            raise click.UsageError("where to listen, with which certificate and state, is for --attach")
        if is_attached and jobs > 1:
            raise click.UsageError("--attach has one client, and one scenario at a time: leave out --jobs")
        address = given["address"] or _DEFAULT
        tls = tls_setup(given["tls_address"], given["certificate"], given["key"], given["ca_file"])
        if not given["host"] and {address[0], tls and tls.host} & {*_EVERYWHERE}:
            raise click.UsageError(
                "--host is needed: the name or address by which the client reaches this machine"
            )
        directory = state_directory(given["state_dir"])
        return cls(is_attached, given["attach_limit"] or 600.0, address, tls, given["host"], directory)

    def unsuited(self, scenario: CheckScenario) -> str:
        """Why a scenario cannot be run with a client that is started elsewhere; empty if it can."""
        if not self.is_attached:
            return ""
        from netmap_supervisor.devtools.client_check.place.attached import unsuited  # noqa: PLC0415

        return unsuited(scenario, local=all(map(is_loopback, self._hosts())))

    @contextlib.contextmanager
    def opened(
        self, limits: Limits, nodes: int, *, tell: Callable[[str], object]
    ) -> Iterator[AttachedClients | None]:
        """The server that waits, None without `--attach`. Prints how to attach. Raises ConfigurationError."""
        if not self.is_attached:
            yield None
            return
        # Loaded here: no other command needs it.
        from netmap_supervisor.devtools.client_check.place.attached import (  # noqa: PLC0415
            AttachedClients,
            how_to_attach,
        )

        warn_of_others(*self._hosts())
        host, port = self.address
        given = {
            "host": host,
            "port": port,
            "tls": self.tls,
            "name": self.host,
            "state_dir": self.state_dir,
            "nodes": nodes,
            "keep_alive": limits.keep_alive,
            "trace": True,
            # What failed within TLS is among what was seen, too.
            "log": lambda *_, **__: None,
        }
        attached = AttachedClients(given, self.limit, tell)
        with attached as server:
            # At once and whole, for a program that reads it.
            click.echo("\n".join([*reached_lines(server), *how_to_attach(server)]))
            yield attached

    def _hosts(self) -> tuple[str, ...]:
        return (self.address[0], *([] if self.tls is None else [self.tls.host]))
