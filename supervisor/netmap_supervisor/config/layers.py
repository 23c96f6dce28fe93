"""Reads the four layers of settings, flag over environment over file over default, and says which one won.

Not here: which options there are (`config.options`) and what each can hold (`config.kinds`).
"""

from __future__ import annotations

import enum
import errno
import grp
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.errors import ConfigurationError, escape
from netmap_actors.runtime_paths import default_runtime_dir
from netmap_supervisor.config import http_rules, webhooks
from netmap_supervisor.config.kinds import BadValue, absolute, show_duration
from netmap_supervisor.config.options import (
    DIRECTORY_NAME,
    ENVIRONMENT_PREFIX,
    OPTIONS,
    SERVICE_VARIABLES,
    TABLES,
    Option,
    default_path,
    user_directory,
)
from netmap_supervisor.config.reach import is_loopback
from netmap_supervisor.config.settings import EMBEDDED, RunSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from netmap_actors.webhooks.spec import WebhookSpec

__all__ = [
    "CONFIG_VARIABLE",
    "BadConfiguration",
    "Configuration",
    "Layer",
    "Problem",
    "Setting",
    "default_config_file",
    "load",
    "runtime_dir",
    "without_service",
    "working_directory",
]

CONFIG_VARIABLE = ENVIRONMENT_PREFIX + "CONFIG"
MAX_CONFIG_FILE = 1 << 20
_PIPE_LIMIT = 5.0
"""Seconds."""
SAFE_SILENCE_TIMEOUT = 110.0
"""Seconds: two keep-alives of the slowest server we know of, one of which may be lost."""
_CREDENTIAL = "auth_key"


class Layer(enum.Enum):
    """Where a value came from, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    layer: Layer
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


class Setting(msgspec.Struct, frozen=True):
    """One option and its value."""

    option: Option
    value: Any
    layer: Layer
    where: str
    """The flag, the variable, the file; for a default what it was derived from, if anything."""

    def problem(self, text: str) -> Problem:
        """What is wrong with it."""
        return Problem(self.layer, self.where, text)


class BadConfiguration(ConfigurationError):
    """Everything that is wrong, found in one reading."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "cannot use the configuration:\n" + "\n".join(f"  {problem}" for problem in self.problems)
        )


class Configuration(msgspec.Struct, frozen=True):
    """All settings, each with its origin."""

    settings: Mapping[str, Setting]
    """By the name of the option, in the order of the table."""
    file: Path | None
    warnings: tuple[str, ...]
    """What works but is probably not intended."""
    webhooks: tuple[WebhookSpec, ...] = ()

    def value(self, name: str) -> Any:
        """The value of one option."""
        return self.settings[name].value

    def run_settings(self, *, log_format: str) -> RunSettings:
        """The settings of `run`; the caller, who knows its terminal, says which log format `auto` is."""
        values = {name: one.value for name, one in self.settings.items()}
        return msgspec.convert(values | {"log_format": log_format, "webhooks": self.webhooks}, RunSettings)


def default_config_file(environment: Mapping[str, str]) -> Path | None:
    """The file that is read, if it is there, when none is named.

    $CONFIGURATION_DIRECTORY/config.toml (systemd.exec(5)), /etc/netmap-supervisor/config.toml for root, else the
    user's own.
    """
    if given := environment.get("CONFIGURATION_DIRECTORY"):
        return Path(given.split(":")[0]) / "config.toml"
    if os.geteuid() == 0:
        return Path("/etc") / DIRECTORY_NAME / "config.toml"
    found = user_directory(environment, "XDG_CONFIG_HOME", ".config")
    return None if found is None else found / "config.toml"


def load(
    flags: Mapping[str, object],
    environment: Mapping[str, str],
    *,
    config_file: str | None = None,
    cwd: Path | None = None,
) -> Configuration:
    """Read all layers. `flags` holds, by option name, what was given on the command line.

    `config_file`: the --config flag; without it $NETMAP_SUPERVISOR_CONFIG, then the default file if there is one.
    Raises BadConfiguration with everything that is wrong.
    """
    base = cwd or working_directory()
    problems: list[Problem] = []
    named = config_file or environment.get(CONFIG_VARIABLE)
    try:
        file = Path(absolute(named, base)) if named else default_config_file(environment)
    except BadValue as error:
        layer, where = (Layer.FLAG, "--config") if config_file else (Layer.ENVIRONMENT, CONFIG_VARIABLE)
        raise BadConfiguration([Problem(layer, where, str(error))]) from None
    document = None if file is None else _read_file(file, problems, must_exist=bool(named))
    hooks = _webhooks(document, file, environment, problems)
    layers = [
        _from_flags(flags, base, problems),
        _from_environment(environment, base, problems),
        {} if file is None else _from_file(document or {}, file, problems),
    ]
    layers.append(_defaults(environment, problems, settled=frozenset().union(*layers)))
    settings: dict[str, Setting] = {}
    for name in OPTIONS:
        found = (layer[name] for layer in layers if name in layer)
        if (first := next(found, None)) is not None:
            settings[name] = first
    problems += _unusable(settings, hooks)
    if not problems:
        problems += _contradictions(settings, hooks)
    if problems:
        raise BadConfiguration(problems)
    warnings = (*_unknown_variables(environment), *_doubtful(settings), *webhooks.doubtful_files(hooks))
    return Configuration(settings, file if document is not None else None, tuple(warnings), hooks)


def runtime_dir(flag: str | None, environment: Mapping[str, str]) -> Path:
    """The runtime directory of the daemon a command talks to: flag, variable, default; no file is read.

    A daemon whose file names another one is found with the flag. A unit's own directory is none of the daemon's:
    systemd's variables are not read. Raises BadConfiguration, ConfigurationError.
    """
    problems: list[Problem] = []
    row = OPTIONS["runtime_dir"]
    given = {row.name: flag} if flag else {}
    layers = [_from_flags(given, working_directory(), problems)]
    if variable := environment.get(row.variable):
        layers.append(_from_environment({row.variable: variable}, working_directory(), problems))
    if problems:
        raise BadConfiguration(problems)
    found = next((layer[row.name].value for layer in layers if row.name in layer), None)
    return default_runtime_dir(environment) if found is None else Path(found)


def without_service(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the variables that systemd sets for the unit a command runs in, which need not be the daemon's."""
    return {name: value for name, value in environment.items() if name not in SERVICE_VARIABLES}


def working_directory() -> Path:
    """Where relative paths begin; `Path()` if that directory was removed: most paths do not need it."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


class _Reading:
    """The values of one layer; what is wrong goes to the common list."""

    def __init__(self, layer: Layer, problems: list[Problem]) -> None:
        self.found: dict[str, Setting] = {}
        self._layer = layer
        self._problems = problems

    def take(self, row: Option, given: object, base: Path, origin: str, place: str = "") -> None:
        """Parse one value; `place` names it in a complaint where the origin alone does not."""
        try:
            self.found[row.name] = Setting(row, row.kind.parse(given, base), self._layer, origin)
        except BadValue as error:
            self.complain(place or origin or row.flag, str(error))

    def complain(self, where: str, text: str) -> None:
        """Add a problem."""
        self._problems.append(Problem(self._layer, where, text))


def _from_flags(flags: Mapping[str, object], base: Path, problems: list[Problem]) -> dict[str, Setting]:
    reading = _Reading(Layer.FLAG, problems)
    for name, given in flags.items():
        reading.take(OPTIONS[name], given, base, OPTIONS[name].flag)
    return reading.found


def _from_environment(
    environment: Mapping[str, str], base: Path, problems: list[Problem]
) -> dict[str, Setting]:
    reading = _Reading(Layer.ENVIRONMENT, problems)
    for row in OPTIONS.values():
        # An empty variable is the usual way to unset one in a unit or a compose file.
        if given := environment.get(row.variable):
            reading.take(row, given, base, row.variable)
    return reading.found


def _from_file(document: Mapping[str, Any], file: Path, problems: list[Problem]) -> dict[str, Setting]:
    reading = _Reading(Layer.FILE, problems)
    for table, values in document.items():
        if table not in TABLES:
            hint = _did_you_mean(table, TABLES, "[{}]") or _did_you_mean(table, [webhooks.TABLE], "[[{}]]")
            reading.complain(str(file), f"there is no [{escape(table, 60)}]{hint}")
            continue
        if not isinstance(values, dict):
            reading.complain(str(file), f"{table} has to be a table: [{table}]")
            continue
        rows = {row.key: row for row in OPTIONS.values() if row.table == table}
        for key, given in values.items():
            if key in rows:
                reading.take(rows[key], given, file.parent, str(file), f"{file}: {rows[key].path}")
            else:
                hint = _did_you_mean_key(table, key, rows)
                reading.complain(str(file), f"there is no {table}.{escape(key, 60)}{hint}")
    return reading.found


def _webhooks(
    document: dict[str, Any] | None,
    file: Path | None,
    environment: Mapping[str, str],
    problems: list[Problem],
) -> tuple[WebhookSpec, ...]:
    """The webhooks of the file, whose tables are taken out of the document."""
    if not document or file is None or webhooks.TABLE not in document:
        return ()
    reading = _Reading(Layer.FILE, problems)
    credentials = environment.get("CREDENTIALS_DIRECTORY", "")
    return webhooks.read(document.pop(webhooks.TABLE), file, credentials, reading.complain)


def _defaults(
    environment: Mapping[str, str], problems: list[Problem], settled: frozenset[str]
) -> dict[str, Setting]:
    reading = _Reading(Layer.DEFAULT, problems)
    for row in OPTIONS.values():
        reading.found[row.name] = Setting(row, row.default, Layer.DEFAULT, "")
    for name in ("state_dir", "runtime_dir"):
        if name in settled:
            continue
        try:
            path, source = default_path(name, environment)
        except ConfigurationError as error:
            reading.complain(OPTIONS[name].path, str(error))
            continue
        if path:
            reading.take(OPTIONS[name], path, working_directory(), source)
    if directory := environment.get("CREDENTIALS_DIRECTORY"):
        credential = Path(directory) / _CREDENTIAL
        where = "$CREDENTIALS_DIRECTORY"
        try:
            # Not is_file: from Python 3.14 on it says no where it cannot tell.
            if stat.S_ISREG(credential.stat().st_mode):
                reading.take(OPTIONS["auth_key"], f"file:{credential}", working_directory(), where)
        except (FileNotFoundError, NotADirectoryError):
            pass  # there is none
        except OSError as error:
            reading.complain(where, f"cannot look for {credential}: {error.strerror}")
    return reading.found


def _read_file(file: Path, problems: list[Problem], *, must_exist: bool) -> dict[str, Any] | None:
    """The document in the file; None when there is no file."""
    try:
        data = _content(file)
    except (FileNotFoundError, NotADirectoryError):
        if must_exist:
            problems.append(Problem(Layer.FILE, str(file), "there is no such file"))
        return None
    except OSError as error:
        problems.append(Problem(Layer.FILE, str(file), f"cannot read it: {error.strerror}"))
        return None
    if len(data) > MAX_CONFIG_FILE:
        problems.append(Problem(Layer.FILE, str(file), f"it is longer than {MAX_CONFIG_FILE} bytes"))
        return None
    import tomllib  # noqa: PLC0415

    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        problems.append(Problem(Layer.FILE, str(file), "it is not TOML: not UTF-8"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # tomllib's message names the line and the expected token, and none of the values.
        problems.append(Problem(Layer.FILE, str(file), f"it is not TOML: {escape(str(error))}"))
    except ValueError:
        problems.append(Problem(Layer.FILE, str(file), "a number in it has thousands of digits"))
    return None


def _content(file: Path) -> bytes:
    """As much of it as is looked at. Raises OSError."""
    import select  # noqa: PLC0415

    # A shell's `<(command)` is a pipe, too: one that nobody writes into is waited for, but not for ever.
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as stream:
        if stat.S_ISFIFO(os.fstat(fd).st_mode) and not select.select([fd], [], [], _PIPE_LIMIT)[0]:
            raise OSError(errno.EAGAIN, "it is a pipe, and nobody writes into it")
        os.set_blocking(fd, True)
        return stream.read(MAX_CONFIG_FILE + 1)


def _did_you_mean(word: str, words: Iterable[str], form: str = "{}") -> str:
    import difflib  # noqa: PLC0415

    close = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {form.format(close[0])}?" if close else ""


def _did_you_mean_key(table: str, key: str, rows: Mapping[str, Option]) -> str:
    """The nearest key of this table, or the same key where it belongs, or what the table has."""
    if near := _did_you_mean(key, rows, table + ".{}"):
        return near
    elsewhere = [row.path for row in OPTIONS.values() if key in {row.key, row.name}]
    return f"; did you mean {elsewhere[0]}?" if elsewhere else f"; it has {', '.join(rows)}"


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    known = {row.variable for row in OPTIONS.values()} | {CONFIG_VARIABLE}
    for variable in sorted(environment):
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in known:
            yield f"{escape(variable, 80)} is set, and there is no such option{_did_you_mean(variable, known)}"


def _contradictions(settings: Mapping[str, Setting], hooks: tuple[WebhookSpec, ...]) -> Iterator[Problem]:
    state = settings["state_dir"]
    if not state.value:
        yield Problem(
            state.layer,
            state.option.path,
            "there is no home directory to keep it in; set HOME, or name one with --state-dir",
        )
    keep = settings["history_keep"]
    if hooks and not keep.value:
        yield keep.problem(
            "cannot tell webhooks anything without a history, from which they are told: keep one (history.keep), or "
            f"remove the [[{webhooks.TABLE}]]",
        )
    listen, plaintext = settings["listen"], settings["listen_plaintext"]
    if plaintext.value and listen.value and not is_loopback(listen.value):
        yield plaintext.problem(
            f"cannot serve {listen.value} without CURVE: it is not a loopback address; leave this off and let clients "
            "in with `netmap-supervisor keys`",
        )
    yield from http_rules.contradictions(settings)


def _unusable(settings: Mapping[str, Setting], hooks: tuple[WebhookSpec, ...]) -> Iterator[Problem]:
    """What the child processes would refuse, found before anything is started or reloaded."""
    from netmap_actors.confinement import landlock  # noqa: PLC0415

    group, ca_file = settings["socket_group"], settings["ca_file"]
    if group.value:
        try:
            grp.getgrnam(group.value)
        except KeyError:
            yield group.problem(f"there is no group {escape(group.value, 60)!r}; create it, or name another")
    auth_key = settings["auth_key"]
    named = [
        (ca_file.layer, ca_file.where, ca_file.value),
        (auth_key.layer, auth_key.where, _file_of(auth_key.value)),
    ]
    for hook in hooks:
        named += [(Layer.FILE, f"webhook {hook.name}.{key}", path) for key, path in webhooks.used_files(hook)]
    for layer, where, path in named:
        if path and landlock.keeps_from(path):
            yield Problem(
                layer,
                where,
                f"cannot read {path}: the running daemon has given up reading there; it keeps what lay below / when it "
                "began, without /dev and /sys; restart it, or put the file elsewhere",
            )
            return
    if ca_file.value:
        # Loaded here: few have one, and it takes as long as everything else.
        import ssl  # noqa: PLC0415

        why = ""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=ca_file.value)
        except ssl.SSLError:
            why = "it holds no certificate in PEM"
        except OSError as error:
            why = error.strerror or str(error)
        if why:
            yield ca_file.problem(f"cannot use {ca_file.value}: {why}; name a readable PEM file, or none")


def _file_of(source: str) -> str:
    """The path of file:PATH; empty for another source."""
    return source.removeprefix("file:") if source.startswith("file:") else ""


def _doubtful(settings: Mapping[str, Setting]) -> Iterator[str]:
    def value(name: str) -> Any:
        return settings[name].value

    if value("silence_timeout") < SAFE_SILENCE_TIMEOUT:
        yield (
            f"a silence timeout of {show_duration(value('silence_timeout'))} is below "
            f"{show_duration(SAFE_SILENCE_TIMEOUT)}: servers send every 50 to 60 s and one may be lost, so a healthy "
            "connection may be ended"
        )
    embedded = value("control_url") == EMBEDDED
    if embedded and value("auth_key"):
        yield (
            f"{settings['auth_key'].where}: the embedded control server needs no auth key; it is not used; name the "
            "tailnet's server with control.url"
        )
    if value("accept_changed_key"):
        yield "accept_changed_key is on: a changed control key will be trusted; switch it off after this start"
    yield from http_rules.doubts(settings)
    source = value("auth_key")
    if not embedded and source.startswith("file:") and not os.access(source.removeprefix("file:"), os.R_OK):
        yield f"the auth key file {source.removeprefix('file:')} cannot be read; a new node could not register"
    elif (
        not embedded
        and source.startswith("file:")
        and webhooks.is_world_readable(source.removeprefix("file:"))
    ):
        yield f"the auth key file {source.removeprefix('file:')} can be read by everybody; chmod 600 it"
