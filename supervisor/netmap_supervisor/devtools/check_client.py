"""`check-client`: tests another control client against a server with faults."""

from __future__ import annotations

import datetime
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from netmap_actors.clock import SystemClock
from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.cli.parameters.ranges import DurationRange
from netmap_supervisor.cli.process.exit_codes import ExitCode, note_exit_code
from netmap_supervisor.cli.process.interruption import Interruption
from netmap_supervisor.devtools.attachment import Attachment, attach_options
from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import described

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_supervisor.devtools.client_check.course import Rules
    from netmap_supervisor.devtools.client_check.outcome import ScenarioOutcome
    from netmap_supervisor.devtools.client_check.place.place import Settings
    from netmap_supervisor.devtools.client_check.scenarios import CheckScenario

__all__ = ["command"]

_MAX_JOBS = 64
_PATH = click.Path(path_type=Path)


@click.command(
    "check-client",
    short_help="Test another control client.",
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "--scenario",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this one or this group; may be repeated.  [default: all]",
)
@click.option("--list", "is_list", is_flag=True, help="Say which scenarios there are, and end.")
@click.option(
    "--limit",
    default="120s",
    show_default=True,
    type=DurationRange(2.0, 3600.0),
    help="The client's watchdog: so long without a message, and a connection is dead.",
)
@click.option(
    "--truth-limit",
    default="10m",
    show_default=True,
    type=DurationRange(1.0, 86400.0),
    help="How soon the client finds that its node was deleted.",
)
@click.option(
    "--join-limit",
    default="30s",
    show_default=True,
    type=DurationRange(1.0, 3600.0),
    help="How soon the client has its first map.",
)
@click.option(
    "--peers-command",
    metavar="COMMAND",
    help="Prints what the client believes: a JSON array of {name, addresses, online}, or one object a line.",
)
@click.option(
    "--belief-limit",
    default="20s",
    show_default=True,
    type=DurationRange(1.0, 3600.0),
    help="How soon the client believes what it was told, the peers command included.",
)
@click.option(
    "--strict", is_flag=True, help="What a client SHOULD do counts, and what passed only when run again."
)
@click.option(
    "--expected-failures",
    metavar="FILE",
    type=_PATH,
    help='Failures that do not count: lines of NAME = "reason".',
)
@click.option("--again/--no-again", default=True, help="Run what failed again, alone.  [default: again]")
@click.option(
    "--jobs", default=1, show_default=True, type=click.IntRange(1, _MAX_JOBS), help="Scenarios side by side."
)
@click.option(
    "--nodes", default=8, show_default=True, type=click.IntRange(0, 100_000), help="Simulated nodes."
)
@attach_options
@click.option("--json", "json_path", metavar="FILE", type=_PATH, help="A report as JSON there.")
@click.option(
    "--junit", "junit_path", metavar="FILE", type=_PATH, help="One as JUnit's XML, which CI systems read."
)
@click.option("--html", "html_path", metavar="FILE", type=_PATH, help="One as a page, with drawings.")
@click.option(
    "--output",
    metavar="DIR",
    type=_PATH,
    help="Keep the clients' logs here.  [default: a temporary one]",
)
@click.argument("words", metavar="-- COMMAND...", nargs=-1, type=click.UNPROCESSED)
def command(
    *,
    names: tuple[str, ...],
    is_list: bool,
    limit: float,
    truth_limit: float,
    join_limit: float,
    peers_command: str | None,
    belief_limit: float,
    strict: bool,
    expected_failures: Path | None,
    again: bool,
    jobs: int,
    nodes: int,
    json_path: Path | None,
    junit_path: Path | None,
    html_path: Path | None,
    output: Path | None,
    words: tuple[str, ...],
    **attach: Any,
) -> int:
    """Try another control client: start it anew for each scenario, let a control server misbehave, watch what it does.

    COMMAND is the client. {url}, {auth_key}, {auth_key_file}, {dir} and {hostname} in its arguments are filled in, and
    stand in its environment as NETMAP_CHECK_URL and so on. It must stay in the foreground and keep what it stores in
    {dir}. Ctrl-C ends it and shows what is known by then.

    With --attach somebody else starts the client: one server waits for it, and is the same for all scenarios.

    \b
    Examples:
      netmap-supervisor check-client --list
      netmap-supervisor check-client --scenario liveness/silence --limit 10s -- ./client {url} {auth_key}
      netmap-supervisor check-client --jobs 8 --json report.json -- ./start-client.sh
      netmap-supervisor check-client --attach --listen 192.168.1.5:8080
    """
    # Loaded here: no other command needs them.
    from netmap_supervisor.devtools.client_check import report  # noqa: PLC0415
    from netmap_supervisor.devtools.client_check.course import Rules, is_failure  # noqa: PLC0415
    from netmap_supervisor.devtools.client_check.place.place import Settings  # noqa: PLC0415
    from netmap_supervisor.devtools.client_check.report_files import ReportFiles  # noqa: PLC0415
    from netmap_supervisor.devtools.client_check.scenarios import Limits  # noqa: PLC0415

    if is_list:
        return _list_scenarios()
    chosen = _chosen(names)
    limits = Limits(limit, truth_limit, join_limit, belief=belief_limit)
    attachment = Attachment.of(attach, words, jobs)
    expected = {} if expected_failures is None else _expected(expected_failures)
    peers = _words(peers_command)
    _refuse_mistyped(COMMAND=words, **{"--peers-command": peers})
    started = datetime.datetime.fromtimestamp(SystemClock().wall(), datetime.UTC).isoformat(
        timespec="seconds"
    )
    files = ReportFiles(json_path, junit_path, html_path)
    directory = _directory(output)
    outcomes, interrupted = _run(
        chosen,
        Settings(words, limits, directory, nodes, peers),
        Rules(jobs, strict, again, expected),
        attachment,
    )
    good = not any(is_failure(one, strict=strict) for one in outcomes)
    code = ExitCode.OK if good else ExitCode.FAILURE
    code = note_exit_code(ExitCode.INTERRUPTED if interrupted else code)
    if good and output is None:
        outcomes = [_without_logs(one) for one in outcomes]
    try:
        files.write(outcomes, report.CheckRun(words, limit, started, is_strict=strict))
    finally:
        for line in (
            *report.report_table(outcomes, output_width()),
            *report.report_details(outcomes, output_width()),
        ):
            click.echo(line)
        click.echo()
        click.echo(report.summary(outcomes))
    _logs(directory, kept=output is not None, good=good or attachment.is_attached)
    return code


def _list_scenarios() -> int:
    from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS  # noqa: PLC0415

    rows = [(one.name, f"the server {one.does}") for one in SCENARIOS.values()]
    for line in described(rows, output_width()):
        click.echo(line)
    return ExitCode.OK


def _chosen(names: tuple[str, ...]) -> Sequence[CheckScenario]:
    from netmap_supervisor.devtools.client_check.scenarios import (  # noqa: PLC0415
        UnknownScenario,
        chosen_scenarios,
    )

    try:
        return chosen_scenarios(names)
    except UnknownScenario as error:
        raise click.BadParameter(str(error), param_hint="--scenario") from None


def _refuse_mistyped(**commands: tuple[str, ...]) -> None:
    """By where they were given."""
    from netmap_supervisor.devtools.client_check.place.client import mistyped  # noqa: PLC0415

    for hint, words in commands.items():
        if wrong := mistyped(words):
            raise click.BadParameter(wrong, param_hint=hint)


def _run(
    chosen: Sequence[CheckScenario], settings: Settings, rules: Rules, attachment: Attachment
) -> tuple[list[ScenarioOutcome], bool]:
    """What came of the scenarios, and whether Ctrl-C ended it before."""
    from netmap_supervisor.devtools.client_check.course import Course, skip_reason  # noqa: PLC0415
    from netmap_supervisor.devtools.client_check.progress import Progress  # noqa: PLC0415
    from netmap_supervisor.devtools.client_check.runner import run_course  # noqa: PLC0415

    limits = settings.limits
    has_peers_command = bool(settings.peers_command)
    reasons = {
        one.name: skip_reason(one, has_peers_command=has_peers_command) or attachment.unsuited(one)
        for one in chosen
    }
    longest = {
        one.name: 0.0 if reasons[one.name] else one.joining(limits) + one.longest(limits) for one in chosen
    }
    progress = Progress(longest, rules.jobs)
    course = Course(chosen, limits, rules, {name: why for name, why in reasons.items() if why})
    with (
        attachment.opened(limits, settings.nodes, tell=progress.tell) as attached,
        Interruption() as interruption,
    ):

        def interrupted() -> bool:
            progress.tick()
            return interruption.asked

        outcomes = run_course(
            course,
            settings if attached is None else msgspec.structs.replace(settings, open_place=attached.place),
            jobs=rules.jobs,
            interrupted=interrupted,
            began=progress.began,
            waits=progress.waits,
            done=progress.done,
        )
    progress.over()
    return outcomes, interruption.asked


def _expected(path: Path) -> dict[str, str]:
    """The failures that are expected, with their reasons."""
    from netmap_supervisor.devtools.client_check.expected_failures import (  # noqa: PLC0415
        BadExpectation,
        parse_expected_failures,
    )

    try:
        return parse_expected_failures(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, BadExpectation):
            raise click.BadParameter(f"{path}, {why}", param_hint="--expected-failures") from None
        raise CommandFailed(f"cannot read {path}: {why}") from None


def _words(command: str | None) -> tuple[str, ...]:
    """The peers command, as a shell splits it; no shell runs it. Its program has to be there before anything starts."""
    try:
        words = tuple(shlex.split(command or ""))
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint="--peers-command") from None
    if words and "{" not in words[0] and shutil.which(words[0]) is None:
        raise click.BadParameter(
            f"cannot find a program {words[0]!r}; give its path", param_hint="--peers-command"
        )
    return words


def _directory(output: Path | None) -> Path:
    """Where the logs go."""
    if output is None:
        return Path(tempfile.mkdtemp(prefix="check-client-"))
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(
            f"cannot keep logs in {output}: {error.strerror}; name another directory"
        ) from None
    return output.absolute()


def _without_logs(outcome: ScenarioOutcome) -> ScenarioOutcome:
    """The logs are removed."""
    attempts = tuple(msgspec.structs.replace(one, log="") for one in outcome.attempts)
    return msgspec.structs.replace(outcome, attempts=attempts)


def _logs(directory: Path, *, kept: bool, good: bool) -> None:
    """Print where the logs are, or remove those of a check that passed."""
    if kept or not good:
        click.echo(f"the logs of the client are in {directory}", err=True)
        return
    for log in directory.glob("*.log"):
        log.unlink()
    directory.rmdir()
