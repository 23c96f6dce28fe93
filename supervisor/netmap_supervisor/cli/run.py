"""`run`: be the daemon."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from netmap_actors import __version__
from netmap_actors.clock import SystemClock
from netmap_actors.errors import escape
from netmap_supervisor.cli.parameters.option_flags import (
    GroupedOptions,
    config_file_flag,
    given_flags,
    run_flags,
)
from netmap_supervisor.config.kinds import show_duration
from netmap_supervisor.config.layers import load, runtime_dir, working_directory
from netmap_supervisor.config.reach import is_for_others
from netmap_supervisor.config.settings import EMBEDDED
from netmap_supervisor.system import journal
from netmap_supervisor.system.held_environment import HeldEnvironment, wipe
from netmap_supervisor.view.terminal import can_redraw, is_terminal, output_width
from netmap_supervisor.view.text_layout import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netmap_supervisor.config.layers import Configuration
    from netmap_supervisor.config.settings import RunSettings
    from netmap_supervisor.system.nursery_process import FirstNursery

__all__ = ["command"]

_MAX_WHY = 4000
"""Characters: longer than any reason for the end of a run."""
_LEAD = 12
"""Cells of a label of the banner."""


@click.command("run", cls=GroupedOptions, short_help="Be the daemon: join, keep the netmap, publish it.")
@click.option(
    "--demo-faults",
    is_flag=True,
    help="Show in ten seconds what becomes of a silent control server, in directories of its own, and end.",
)
@config_file_flag
@run_flags
@click.pass_obj
def command(
    first_nursery: FirstNursery | None, /, config_file: str | None, demo_faults: bool, **flags: Any
) -> int:
    """Be the daemon: join the tailnet, keep its netmap, publish it to subscribers, until Ctrl-C or `stop`.

    A flag wins over NETMAP_SUPERVISOR_<OPTION> in the environment, that over the configuration file, that over the
    default. Exit status: 0 stopped, 1 failed or already running, 77 auth key refused, 78 bad configuration.

    \b
    Examples:
      netmap-supervisor run
      netmap-supervisor run --control-url https://headscale.example.com --auth-key file:/etc/netmap/key
      netmap-supervisor run --config /etc/netmap-supervisor/config.toml --view off
      netmap-supervisor run --demo-faults
    """
    if demo_faults:
        from netmap_supervisor.cli.fault import demo  # noqa: PLC0415

        return demo.demonstrate()
    flags, cwd = given_flags(flags), working_directory()

    environment = HeldEnvironment(os.environ, wipe)

    def read() -> Configuration:
        return load(flags, environment, config_file=config_file, cwd=cwd)

    configuration = read()
    for warning in configuration.warnings:
        click.echo(journal.marked("warning", f"netmap-supervisor: warning: {warning}"), err=True)
    mode = view_mode(configuration.value("view"))
    settings = run_settings(configuration, mode)
    # Loaded here: what only checks its options does not need the daemon.
    from netmap_supervisor.daemon.run import RunFailed, run  # noqa: PLC0415
    from netmap_supervisor.system.log import Log  # noqa: PLC0415
    from netmap_supervisor.view.process import RunView  # noqa: PLC0415

    def again() -> RunSettings:
        return run_settings(read(), mode)

    view = None
    if mode != "off":
        view = RunView(
            mode,
            Path(settings.runtime_dir),
            banner="\n".join(fold_lines(facts(settings, configuration), output_width())),
            hint=hint(settings),
            began=SystemClock().boottime(),
            last_log=lambda: Log(SystemClock(), form=settings.log_format, level=settings.log_level),
        )
    try:
        with contextlib.nullcontext() if view is None else contextlib.closing(view):
            return run(settings, view, again, environment, first_nursery)
    except RunFailed as end:
        # Only after the view has ended, which would draw over it.
        with contextlib.suppress(OSError):
            click.echo(journal.marked("error", f"netmap-supervisor: {escape(str(end), _MAX_WHY)}"), err=True)
        return end.exit_code


def view_mode(wanted: str) -> str:
    """live, plain or off."""
    if wanted != "auto":
        return wanted
    if can_redraw(sys.stdout):
        return "live"
    # Set by systemd for a stream that leads to its journal: it is no screen.
    return "off" if os.environ.get("JOURNAL_STREAM") else "plain"


def run_settings(configuration: Configuration, mode: str) -> RunSettings:
    """The settings, with the log in the form that suits where it goes."""
    wanted = configuration.value("log_format")
    if wanted != "auto":
        return configuration.run_settings(log_format=wanted)
    if not is_terminal(sys.stderr):
        return configuration.run_settings(log_format="json")
    settings = configuration.run_settings(log_format="text")
    # The view on the same screen shows the rest.
    return settings if mode == "off" else msgspec.structs.replace(settings, log_level="error")


def facts(settings: RunSettings, configuration: Configuration) -> Iterator[str]:
    """The banner: with what the daemon was started."""
    from netmap_supervisor.cli import PROGRAM  # noqa: PLC0415

    yield f"{PROGRAM} {__version__}   pid {os.getpid()}"
    if settings.embedded:
        yield f'  control   a server of our own with {settings.dev_nodes} simulated nodes (control.url = "{EMBEDDED}")'
    else:
        yield f"  control   {settings.control_url}"
        yield f"  auth key  {settings.auth_key or 'none: a URL to log in with will be shown'}"
    yield f"  state     {settings.state_dir}"
    yield f"  sockets   {settings.runtime_dir}"
    if settings.listen:
        who = (
            "everybody on this machine"
            if settings.listen_plaintext
            else "clients of `netmap-supervisor keys`"
        )
        yield f"  listen    {settings.listen}, for {who}"
    if settings.http_listen:
        yield f"  http      {_http(settings)}"
    yield f"  settings  {configuration.file or 'no file'}"
    yield f"  silence   dead after {show_duration(settings.silence_timeout)} without a MapResponse"
    yield f"  try       {hint(settings)}"
    yield ""


def fold_lines(lines: Iterable[str], width: int | None) -> Iterator[str]:
    """The lines folded to `width` cells, each continued below its text."""
    for line in lines:
        yield from fold(line[:_LEAD], line[_LEAD:], width)


def _http(settings: RunSettings) -> str:
    listen = settings.http_listen
    kind, _, path = listen.partition(":")
    if kind == "unix":
        return f"curl --unix-socket {path} http://localhost/healthz"
    scheme = "https" if settings.http_tls_cert else "http"
    text = f"{scheme}://{listen}/ (the page; /netmap /events /sd /metrics /healthz)"
    if is_for_others(listen):
        text += ", for tokens of `netmap-supervisor tokens`" + (
            "" if settings.http_tls_cert else "; IN PLAIN TEXT"
        )
    return text


def hint(settings: RunSettings) -> str:
    """What to do next, in another terminal."""
    # Commands find the daemon without a flag where it is by default.
    default = str(runtime_dir(None, os.environ)) == settings.runtime_dir
    flag = "" if default else f" --runtime-dir {settings.runtime_dir}"
    then = "netmap, watch --json" + (", fault kill publisher" if settings.embedded else "")
    return f"in another terminal: netmap-supervisor status{flag}; or {then}" + (
        ", each with it" if flag else ""
    )
