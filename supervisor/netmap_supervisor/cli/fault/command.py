"""`fault`: inject a fault into a process, its connection or the embedded control server, and print the recovery."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from netmap_actors.clock import SystemClock
from netmap_actors.wire.vocabulary import ActorName
from netmap_supervisor.admin.commands import CommandFailed, ask_status, send_request, status_or_none
from netmap_supervisor.cli.fault.key_values import fault_rows, key_values, struck
from netmap_supervisor.cli.parameters.groups import Suggesting
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag
from netmap_supervisor.cli.parameters.peer_names import complete_with
from netmap_supervisor.cli.parameters.ranges import DurationRange
from netmap_supervisor.cli.process.exit_codes import ExitCode
from netmap_supervisor.cli.process.polling import wait_until
from netmap_supervisor.config import layers
from netmap_supervisor.system.single_instance import is_locked
from netmap_supervisor.view.recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netmap_actors.wire.status import StatusReport

__all__ = ["RecoveryPrinter", "command"]

MAX_FOR = 3600.0
PATIENCE = 60.0
"""Seconds allowed for the recovery, beyond the duration of the fault and the silence timeout."""
NOTICE = 1.0
"""Seconds within which a fault shows, if it does."""

_actor = click.argument("actor", type=click.Choice([name.value for name in ActorName]), metavar="ACTOR")
_no_wait = click.option("--no-wait", is_flag=True, help="Do not wait for what comes of it.")
_force = click.option(
    "--force", is_flag=True, help="Also where the control server is not the embedded one: it is a real node."
)


def _for(default: str | None, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--for",
        "seconds",
        default=default,
        show_default=default is not None,
        type=DurationRange(0.001, MAX_FOR),
        help=text,
    )


@click.group("fault", cls=Suggesting)
def command() -> None:
    """Break something on purpose, and see the rest go on.

    ACTOR is control_connection, liveness, publisher, dev_control, http_endpoint, history or webhooks. What comes of it
    is told until the netmap is fresh and every actor at work again: exit status 0; 1 when that takes a minute longer
    than it should. `server` and `heal` need control.url = "embedded"; the others, too, unless forced.

    \b
    Examples:
      netmap-supervisor fault kill control_connection
      netmap-supervisor fault black-hole control_connection     packets get lost, TCP still says ESTABLISHED
      netmap-supervisor fault freeze publisher --for 60s
      netmap-supervisor fault server liveness/silence           the connection stays open and carries nothing
    """


@command.command("kill")
@_actor
@_force
@_no_wait
@runtime_dir_flag
def kill(actor: str, force: bool, no_wait: bool, runtime_dir: Path) -> int:
    """SIGKILL: as if it had crashed."""
    return _inject(runtime_dir, "kill", actor, force=force, no_wait=no_wait)


@command.command("stop")
@_actor
@_for(None, "When to let it go on; without, it hangs until it is found.")
@_force
@_no_wait
@runtime_dir_flag
def stop(actor: str, seconds: float | None, force: bool, no_wait: bool, runtime_dir: Path) -> int:
    """SIGSTOP: it hangs, and is found and replaced within 13 s."""
    return _inject(runtime_dir, "stop", actor, seconds, force=force, no_wait=no_wait)


@command.command("cont")
@_actor
@_force
@runtime_dir_flag
def cont(actor: str, force: bool, runtime_dir: Path) -> int:
    """SIGCONT: it goes on after `fault stop`."""
    return _inject(runtime_dir, "cont", actor, force=force, no_wait=True)


@command.command("freeze")
@_actor
@_for("10s", "How long it does nothing.")
@_force
@_no_wait
@runtime_dir_flag
def freeze(actor: str, seconds: float | None, force: bool, no_wait: bool, runtime_dir: Path) -> int:
    """Let its loop do nothing for a while, as a bug would: longer than 12 s and it is replaced."""
    return _inject(runtime_dir, "freeze", actor, seconds, force=force, no_wait=no_wait)


@command.command("black-hole")
@click.argument(
    "actor",
    type=click.Choice([ActorName.CONNECTION.value]),
    metavar="[ACTOR]",
    default=ActorName.CONNECTION.value,
)
@_for(None, "When packets pass again; without, never on this connection.")
@_force
@_no_wait
@runtime_dir_flag
def black_hole(actor: str, seconds: float | None, force: bool, no_wait: bool, runtime_dir: Path) -> int:
    """Lose every packet of the open control connection, and tell nobody: silence is all that shows it.

    New connections are not concerned. The verdict falls after liveness.silence_timeout (120s unless set otherwise).
    """
    return _inject(runtime_dir, "black-hole", actor, seconds, force=force, no_wait=no_wait)


def _faults(ctx: click.Context) -> list[str]:
    where = ctx.params.get("runtime_dir") or layers.runtime_dir(None, os.environ)
    return list(send_request(where, "dev", command="faults")["result"])


@command.command("server")
@click.argument("name", required=False, shell_complete=complete_with(_faults))
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@_for(None, "When to heal it. Without, what is struck stays so until `fault heal`, or until it is replaced.")
@_no_wait
@runtime_dir_flag
def break_server(
    name: str | None, settings: tuple[str, ...], seconds: float | None, no_wait: bool, runtime_dir: Path
) -> int:
    """Let the embedded control server misbehave in the way called NAME; without one, list what it can do.

    A KEY is a parameter of the fault, or one of client, scope (current, later, all), moment and times. Most strike the
    open connection only: the next one is well. Ctrl-C ends the telling, and with --for the fault.
    """
    if name is None:
        found = send_request(runtime_dir, "dev", command="faults")["result"]
        click.echo("\n".join(fault_rows(found)))
        return ExitCode.OK
    before = ask_status(runtime_dir)
    answer = send_request(runtime_dir, "dev", command="fault", name=name, **key_values(settings))
    printer = RecoveryPrinter(runtime_dir, before, lambda: not is_locked(runtime_dir))
    printer.say(struck(name, answer["result"]))
    silence = before.liveness.silence_timeout_s
    if seconds is not None:
        try:
            printer.follow(lambda: printer.elapsed >= seconds, seconds + 1.0)
        finally:
            # Also after Ctrl-C.
            send_request(runtime_dir, "dev", command="heal", fault=name)
        printer.say("healed")
        return ExitCode.OK if no_wait else printer.end(lambda: True, silence + PATIENCE)
    if no_wait or not answer["result"]:
        return ExitCode.OK
    over = silence + NOTICE

    def has_shown() -> bool:
        return printer.recovery.replaced(ActorName.CONNECTION) or printer.elapsed >= over

    code = printer.end(has_shown, over + PATIENCE)
    if not printer.recovery.replaced(ActorName.CONNECTION):
        printer.say("survived    the connection is the same as before")
    return code


@command.command("heal")
@runtime_dir_flag
def heal_server(runtime_dir: Path) -> None:
    """Let the embedded control server behave again."""
    send_request(runtime_dir, "dev", command="heal")
    click.echo("healed", err=True)


def _inject(
    runtime_dir: Path, what: str, actor: str, seconds: float | None = None, *, force: bool, no_wait: bool
) -> int:
    before = ask_status(runtime_dir)
    send_request(runtime_dir, "fault", what=what, actor=actor, seconds=seconds or 0.0, force=force)
    if no_wait:
        return ExitCode.OK
    printer = RecoveryPrinter(runtime_dir, before, lambda: not is_locked(runtime_dir))
    pid = next((one.pid for one in before.actors if one.name == actor), None)
    printer.say(f"{what:<11} {actor} (pid {pid})" + (f" for {seconds:g} s" if seconds else ""))
    over = (seconds or 0.0) + NOTICE

    def has_shown() -> bool:
        return printer.recovery.replaced(actor) or (seconds is not None and printer.elapsed >= over)

    code = printer.end(has_shown, over + before.liveness.silence_timeout_s + PATIENCE)
    if code == ExitCode.OK and not printer.recovery.replaced(actor):
        printer.say(f"survived    {actor} is the same process as before")
    return code


class RecoveryPrinter:
    """Polls the daemon's status and prints each change since the report `before`, with the seconds since the fault."""

    def __init__(
        self, runtime_dir: Path, before: StatusReport | None, has_ended: Callable[[], bool], width: int = 7
    ) -> None:
        """`has_ended()`: asked when the daemon does not answer. `width`: characters of the seconds."""
        self._runtime_dir = runtime_dir
        self._has_ended = has_ended
        self._width = width
        self._clock = SystemClock()
        self._began = self._clock.monotonic()
        self.recovery = Recovery(before)

    @property
    def elapsed(self) -> float:
        return self._clock.monotonic() - self._began

    def say(self, line: str) -> None:
        click.echo(f"{self.elapsed:{self._width}.1f} s  {line}")

    def follow(self, fact: Callable[[], bool], limit: float) -> bool:
        """Print until the fact holds; False after `limit` seconds. Raises CommandFailed when the daemon has ended."""

        def look() -> bool:
            report = status_or_none(self._runtime_dir)
            if report is None:
                if self._has_ended():
                    raise CommandFailed(
                        f"cannot tell what comes of it: after {self.elapsed:.1f} s the daemon has ended"
                    )
                return False
            for line in self.recovery.next(report):
                self.say(line)
            return fact()

        return wait_until(look, limit, self._clock)

    def end(self, fact: Callable[[], bool], limit: float) -> int:
        """Print until the fact holds and everything is well again."""
        if self.follow(lambda: fact() and self.recovery.well, limit):
            return ExitCode.OK
        raise CommandFailed(
            f"cannot call it well: {limit:g} s after the fault the netmap is not fresh, or an actor not at work; "
            "`netmap-supervisor status` says which"
        )
