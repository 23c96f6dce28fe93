"""The command line: one command a file or folder, imported when it is called.

Data goes to standard output, everything else to standard error; exit statuses: `process.exit_codes`.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

from netmap_actors import __version__
from netmap_actors.errors import ConfigurationError, NetmapError, escape
from netmap_supervisor.cli.parameters.groups import Suggesting
from netmap_supervisor.cli.process import standard_streams
from netmap_supervisor.cli.process.exit_codes import ExitCode, noted_exit_code
from netmap_supervisor.system import journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_supervisor.system.nursery_process import FirstNursery

__all__ = ["PROGRAM", "commands", "main"]

PROGRAM = "netmap-supervisor"

_PARSER = "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"
_COMMANDS = {
    "run": "netmap_supervisor.cli.run",
    "status": "netmap_supervisor.cli.state.status",
    "netmap": "netmap_supervisor.cli.netmap.command",
    "watch": "netmap_supervisor.cli.watch",
    "wait": "netmap_supervisor.cli.state.wait",
    "history": "netmap_supervisor.cli.history",
    "record": "netmap_supervisor.cli.diagnostics.record",
    "webhook": "netmap_supervisor.cli.webhook",
    "export": "netmap_supervisor.cli.export.command",
    "stop": "netmap_supervisor.cli.orders.stop",
    "reconnect": "netmap_supervisor.cli.orders.reconnect",
    "reload": "netmap_supervisor.cli.orders.reload",
    "keys": "netmap_supervisor.cli.access.keys",
    "tokens": "netmap_supervisor.cli.access.tokens",
    "config": "netmap_supervisor.cli.config.command",
    "schema": "netmap_supervisor.cli.descriptions.schema",
    "fault": "netmap_supervisor.cli.fault.command",
    "bugreport": "netmap_supervisor.cli.diagnostics.bugreport",
    "dev-control": "netmap_supervisor.devtools.dev_control",
    "check-client": "netmap_supervisor.devtools.check_client",
    "completion": "netmap_supervisor.cli.descriptions.completion",
    "view": "netmap_supervisor.cli.state.view",
}
"""Module of each command, in the order of `--help`."""


class _Commands(Suggesting):
    """Loads a command's module when the command is asked for: `status` does not pay for `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        loaded: click.Command = importlib.import_module(module).command
        return loaded

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. A reader that closes our output early is no failure; click would make it one."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _forget_output()
            return noted_exit_code(ctx)


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Errors of an output that takes nothing more; those of other files are handled where the files are opened."""


def _forget_output() -> None:
    """Lead standard output to /dev/null: the rest of its buffer must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    name=PROGRAM,
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage; `status`: 3 not running, 4 stale, 5 login needed or node "
    "removed; `run`: 77 auth key refused, 78 bad configuration; `wait`: 124 timed out.",
)
@click.version_option(__version__, "--version", prog_name=PROGRAM, message="%(prog)s %(version)s")
def commands() -> None:
    """A control client that cannot be fooled: it keeps a tailnet's netmap current for other programs.

    \b
    Examples:
      netmap-supervisor run                     with a control server of its own, to look around
      netmap-supervisor status                  is the netmap to be trusted?
      netmap-supervisor watch --json            every change, one JSON object a line
      netmap-supervisor run --control-url https://headscale.example.com --auth-key file:/etc/key
    """


def main(arguments: Sequence[str] | None = None, first_nursery: FirstNursery | None = None) -> int:
    """Run one command; the exit status of the process. `first_nursery`: for `run`, if there is one already."""
    standard_streams.prepare()
    result: object = ExitCode.OK
    try:
        _check_parser(os.environ.get(_PARSER))
        # Not standalone: click would answer a closed pipe and Ctrl-C with a message and exit status 1.
        result = commands.main(args=arguments, prog_name=PROGRAM, standalone_mode=False, obj=first_nursery)
        sys.stdout.flush()
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _forget_output()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _forget_output()
        return _failed(NetmapError(f"cannot write the output: {error.strerror}"), ExitCode.FAILURE)
    except ConfigurationError as error:
        return _failed(error, ExitCode.CONFIGURATION)
    except NetmapError as error:
        return _failed(error, ExitCode.FAILURE)
    return result if isinstance(result, int) else ExitCode.OK


def _check_parser(kind: str | None) -> None:
    """Raises ConfigurationError for an unknown name, with which importing protobuf would fail."""
    if kind not in {None, "upb", "python"}:
        raise ConfigurationError(
            f"cannot use protobuf's {escape(str(kind), 40)!r} implementation: there is none of that name; "
            f"unset {_PARSER}"
        )


def _failed(error: NetmapError, code: ExitCode) -> int:
    with contextlib.suppress(OSError):  # it may be closed
        click.echo(journal.marked("error", f"{PROGRAM}: {error}"), err=True)
    return code
