"""The options of a command that runs a control server: where it listens, with which certificate, under which name."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

import click

from netmap_supervisor.config.kinds import BadValue, Directory
from netmap_supervisor.config.layers import working_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.dev_control.http.tls_files import TlsSetup
    from netmap_actors.dev_control.standalone import Announcement

__all__ = [
    "is_loopback",
    "listening_options",
    "reached_lines",
    "state_directory",
    "tls_setup",
    "warn_of_others",
]

_ADDRESS = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+):([0-9]{1,9})")
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def _address(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, int] | None:
    """(host, port) from HOST:PORT; an IPv6 address stands in brackets."""
    if value is None:
        return None
    match = _ADDRESS.fullmatch(value)
    if match is None:
        raise click.BadParameter("HOST:PORT is expected, such as 127.0.0.1:8080 or [::1]:0", ctx, param)
    if int(match[2]) > 0xFFFF:
        raise click.BadParameter(f"{match[2]} is no port", ctx, param)
    return match[1].strip("[]"), int(match[2])


def _host(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value and not _HOST.fullmatch(value) and not _is_address(value):
        raise click.BadParameter("a host name or an address is expected, such as desk.example", ctx, param)
    return value


def listening_options(default: str | None = "127.0.0.1:0") -> Callable[[Any], Any]:
    """Adds `address`, `tls_address` (both host and port), `certificate`, `key`, `ca_file` and `host`."""
    options = (
        click.option(
            "--listen",
            "address",
            default=default,
            show_default=default is not None,
            callback=_address,
            metavar="HOST:PORT",
            help="Where to listen; port 0 takes a free one.",
        ),
        click.option(
            "--tls-listen",
            "tls_address",
            callback=_address,
            metavar="HOST:PORT",
            help="Where to listen with TLS, too.  [default: nowhere]",
        ),
        click.option(
            "--tls-cert",
            "certificate",
            default="",
            metavar="FILE",
            help="PEM of a chain.  [default: one of a CA made for it, kept in --state-dir]",
        ),
        click.option("--tls-key", "key", default="", metavar="FILE", help="PEM of its private key."),
        click.option(
            "--tls-ca",
            "ca_file",
            default="",
            metavar="FILE",
            help="Write that CA's certificate there.  [default: into --state-dir, else a temporary file]",
        ),
        click.option(
            "--host",
            default="",
            metavar="NAME",
            callback=_host,
            help="Name or address by which clients reach it: for URL and certificate.",
        ),
    )

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def tls_setup(
    tls_address: tuple[str, int] | None, certificate: str, key: str, ca_file: str
) -> TlsSetup | None:
    """From the options; None: no TLS. Raises click.UsageError for what does not fit together."""
    if bool(certificate) != bool(key):
        raise click.UsageError("--tls-cert and --tls-key are needed both")
    if certificate and ca_file:
        raise click.UsageError("--tls-ca is for a CA of its own, and --tls-cert gives another certificate")
    if tls_address is None:
        if certificate or ca_file:
            raise click.UsageError("--tls-listen says where to use the certificate")
        return None
    # Loaded here: it takes ssl and cryptography along.
    from netmap_actors.dev_control.http.tls_files import TlsSetup  # noqa: PLC0415

    return TlsSetup(*tls_address, certificate=certificate, key=key, ca_file=ca_file)


def state_directory(given: str | None) -> str:
    """`--state-dir` as an absolute path; empty: there is none. Raises click.BadParameter."""
    try:
        return Directory().parse(given, working_directory()) if given else ""
    except BadValue as error:
        raise click.BadParameter(str(error), param_hint="--state-dir") from None


def reached_lines(server: Announcement) -> list[str]:
    """Where a server is, its auth key and what a client has to trust: a line each, the value in column 11."""
    lines = [f"url       {server.url}", f"auth key  {server.auth_key}"]
    if server.plain_url != server.url:
        lines.append(f"no TLS    {server.plain_url}")
    if server.ca_file:
        lines.append(f"CA        {server.ca_file}")
    return lines


def warn_of_others(*hosts: str) -> None:
    """Say plainly what an address opens that others may reach."""
    for host in dict.fromkeys(hosts):
        if not is_loopback(host):
            click.echo(
                f"warning: {host} may be reached from other machines: whoever does can open the login page and join",
                err=True,
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(host).is_loopback if _is_address(host) else host == "localhost"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
