"""`bugreport`: one file that says how this machine's daemon is, without saying whose it is.

Markdown, not an archive: a person reads it in a pager before it is sent, and can paste it. What is not known to be
harmless is replaced (`netmap_actors.pseudonyms`); there is no way to have the originals.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from netmap_actors import __version__
from netmap_actors.clock import SystemClock
from netmap_actors.errors import ConfigurationError, NetmapError, escape
from netmap_actors.pseudonyms import Pseudonyms
from netmap_actors.rfc3339 import stamp
from netmap_supervisor.admin.commands import CommandFailed, ask_status
from netmap_supervisor.cli.diagnostics import machine, sources
from netmap_supervisor.cli.diagnostics.parts import ReportPart, gathered, page, table, table_of_counts
from netmap_supervisor.cli.parameters.option_flags import (
    any_runtime_dir_flag,
    config_file_flag,
    given_flags,
    state_dir_flag,
)
from netmap_supervisor.config.layers import (
    CONFIG_VARIABLE,
    Configuration,
    default_config_file,
    load,
    without_service,
)
from netmap_supervisor.config.options import OPTIONS, default_path
from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.wire.status import StatusReport

__all__ = ["command"]

_DAYS = 3.0
_MODE = 0o600


@click.command("bugreport")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to write, which must not be there.  [default: netmap-supervisor-bugreport-TIME.md]",
)
@click.option(
    "--log",
    "log_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The daemon's log, where it does not go to the journal.",
)
@click.option(
    "--unit",
    default="netmap-supervisor.service",
    metavar="UNIT",
    show_default=True,
    help="Whose journal is read.",
)
@config_file_flag
@state_dir_flag
@any_runtime_dir_flag
def command(
    output: Path | None, log_file: Path | None, unit: str, config_file: str | None, **flags: Any
) -> None:
    """Write one file for whoever looks into a problem, without names, keys or addresses.

    It has versions, facts of the kernel, the settings and where they came from, the status, three days of history,
    the end of the log, the metrics, and who may use which file. Keys, users, names, tags, addresses, domains and the
    control URL are replaced, the same one always by the same pseudonym, and cannot be found out from the file. What
    cannot be had, as when no daemon runs, is missing and says why. Read the file before you send it.

    \b
    Examples:
      netmap-supervisor bugreport
      netmap-supervisor bugreport -o report.md --log /var/log/netmap.jsonl
    """
    at = stamp(SystemClock().wall(), "milliseconds")
    path = Path(f"netmap-supervisor-bugreport-{at.replace(':', '')}.md") if output is None else output
    descriptor = _new_file(path)
    try:
        pseudonyms = Pseudonyms(
            secrets.token_bytes(32), harmless=frozenset(option.path for option in OPTIONS.values())
        )
        parts = list(_parts(pseudonyms, config_file, given_flags(flags), log_file, unit))
        text = page(_head(at), parts, pseudonyms)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as file:
            file.write(text)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    _tell(path, parts, pseudonyms)


def _tell(path: Path, parts: list[ReportPart], pseudonyms: Pseudonyms) -> None:
    said = [
        ("", f"{path}  ({path.stat().st_size / 1024:.0f} KiB, for your user alone)"),
        ("  has       ", ", ".join(part.title.lower() for part in parts if not part.missing)),
        *(
            ("  missing   ", f"{part.title.lower()}: {escape(part.missing, 300)}")
            for part in parts
            if part.missing
        ),
        ("  replaced  ", table_of_counts(pseudonyms.counts) or "nothing"),
        ("", "Look at it before you send it."),
    ]
    for name, text in said:
        for line in fold(name, text, output_width()):
            click.echo(line)


def _head(at: str) -> tuple[str, ...]:
    about = (
        "Keys, users, names of nodes, tags, addresses, domains and the control URL have pseudonyms, the same one "
        "always the same. Read it before you send it."
    )
    return f"# netmap-supervisor {__version__}: bug report of {at}", "", about


def _new_file(path: Path) -> int:
    """A file that was not there, for its user alone. Before anything is asked: an answer must not be lost."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    except FileExistsError:
        raise CommandFailed(f"cannot write {path}: there is one; name another with -o") from None
    except OSError as error:
        raise CommandFailed(f"cannot write {path}: {error.strerror}; name another file with -o") from None


def _parts(
    pseudonyms: Pseudonyms,
    config_file: str | None,
    flags: dict[str, object],
    log_file: Path | None,
    unit: str,
) -> Iterator[ReportPart]:
    pseudonyms.name(os.uname().nodename)
    for name in sources.people():
        pseudonyms.user(name)
    environment = without_service(os.environ)
    yield gathered("Versions", lambda: table(machine.versions()), "table")
    yield gathered("Kernel and machine", lambda: table(machine.kernel()), "table")
    configuration: Configuration | None = None
    try:
        configuration = load(flags, environment, config_file=config_file)
    except ConfigurationError as error:
        yield ReportPart("Settings", missing=" ".join(str(error).split()))
        where = config_file or environment.get(CONFIG_VARIABLE)
        file = Path(where) if where else default_config_file(environment)
        if file is not None:
            yield gathered("Configuration file", lambda: sources.broken_file(file, pseudonyms), "replaced")
    else:
        known = configuration
        yield gathered("Settings", lambda: sources.settings(known, pseudonyms), "table")
    runtime = _directory("runtime_dir", configuration, flags)
    state = _directory("state_dir", configuration, flags)
    status: list[StatusReport] = []

    def ask() -> Any:
        status.append(ask_status(_known(runtime)))
        return msgspec.to_builtins(status[0])

    yield gathered("Status", ask, "json")
    report = status[0] if status else None
    if report is not None:
        started = gathered("Started with", lambda: sources.command_line(report.pid))
        if started.missing:
            yield started
        else:
            # The settings above are what this command finds; the daemon may have been given others.
            yield ReportPart("Started with", sources.started_with(started.content), "table")
            given = [one.partition("=")[2] for one in started.content if one.startswith("--state-dir=")]
            state = Path(given[-1]) if given else state
    yield gathered("Limits", lambda: table(machine.limits(None if report is None else report.pid)), "table")
    yield gathered("Netmap", lambda: sources.learn(_known(runtime), pseudonyms), "replaced")
    yield gathered("History", lambda: sources.history(_known(runtime), _known(state), _DAYS), "json")
    yield gathered("Log", lambda: sources.log(unit, log_file), "lines")
    listen = report.http.listen if report and report.http else ""
    if report is None and configuration is not None:
        listen = str(configuration.value("http_listen"))
    tls = bool(report and report.http and (report.http.tls or report.http.token_required))
    yield gathered("Metrics", lambda: sources.metrics(listen, tls=tls), "metrics")
    yield gathered("Runtime directory", lambda: sources.directory(_known(runtime)))
    yield gathered("State directory", lambda: sources.directory(_known(state)))


def _directory(
    name: str, configuration: Configuration | None, flags: dict[str, object]
) -> Path | NetmapError:
    """Where the daemon keeps it; with settings that cannot be used, where it would by default, or why nowhere."""
    if configuration is not None:
        return Path(str(configuration.value(name)))
    try:
        given = flags.get(name) or os.environ.get(OPTIONS[name].variable)
        found = given or default_path(name, without_service(os.environ))[0]
    except ConfigurationError as error:
        return error
    return (
        Path(str(found)) if found else CommandFailed("there is no home directory to look for it in; set HOME")
    )


def _known(directory: Path | NetmapError) -> Path:
    """Raises NetmapError."""
    if isinstance(directory, NetmapError):
        raise directory
    return directory
