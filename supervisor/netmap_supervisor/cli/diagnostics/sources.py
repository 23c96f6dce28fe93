"""Where a report is taken from: the daemon, its files, its log. Each source has a time limit."""

from __future__ import annotations

import contextlib
import difflib
import http.client
import json
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from netmap_actors.clock import SystemClock
from netmap_actors.errors import escape
from netmap_actors.history.answers import HistoryQuestion, read
from netmap_actors.history.questions import ask_daemon
from netmap_actors.subscriber import Subscriber
from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.config import webhooks
from netmap_supervisor.config.kinds import SecretSource
from netmap_supervisor.config.options import OPTIONS, TABLES
from netmap_supervisor.system.single_instance import is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netmap_actors.pseudonyms import Pseudonyms
    from netmap_supervisor.config.layers import Configuration, Setting

__all__ = [
    "broken_file",
    "command_line",
    "directory",
    "history",
    "learn",
    "log",
    "metrics",
    "people",
    "settings",
    "started_with",
]

_LIMIT: Final = 5.0
"""Seconds for one source."""
_LOG_LINES: Final = 2000
_LOG_BYTES: Final = 4 << 20
_DEEPEST: Final = 200
"""Brackets in a line of the log; one with more is not taken for an event, which would be gone through by recursion."""
_METRICS_BYTES: Final = 256 << 10
_OCCURRENCES: Final = 2000
_LANES: Final = 200
"""Nodes of which the history is shown, those first of which there is most to tell."""
_FILES: Final = 200
_TYPES: Final = {
    stat.S_IFSOCK: "socket",
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
}
_HARMLESS: Final = re.compile(r"(?:true|false|[0-9]+(?:\.[0-9]+)?[a-zA-Z]{0,3})")
_WORDS: Final = frozenset({"--log-format", "--log-level", "--view", "--nursery", "--on-removed"})
"""Options of `run` that take one of a few words."""
_QUOTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"?|'[^']*'?")
_WRITTEN: Final = re.compile(rf"{_QUOTED.pattern}|[^\s=\[\]{{}},\"'#]+")
_BARE: Final = re.compile("[A-Za-z_-]{1,40}")
_NEAR: Final = 0.8
"""Of difflib's measure."""


def settings(configuration: Configuration, pseudonyms: Pseudonyms) -> dict[str, str]:
    """Every setting and where it came from; of a secret only whether it is set."""
    shown = {one.option.path: _setting(one, pseudonyms) for one in configuration.settings.values()}
    for hook in configuration.webhooks:
        shown[f"webhook {pseudonyms.name(hook.name)}"] = (
            f"URL and secret are not shown (file: {configuration.file})"
        )
    return shown


def _setting(one: Setting, pseudonyms: Pseudonyms) -> str:
    where = f"{one.layer.value}: {one.where}" if one.where else one.layer.value
    if isinstance(one.option.kind, SecretSource):
        how = str(one.value).partition(":")[0]
        return f"{f'set, read from: {how}' if one.value else 'not set'} ({where})"
    # What is a name, or is in one, must be known before it is written.
    match one.option.name:
        case "hostname" if one.value:
            pseudonyms.name(str(one.value))
        case "control_url":
            pseudonyms.document({"control_url": str(one.value)}, "report")
        case "request_tags":
            pseudonyms.document({"Tags": list(one.value)}, "tailcfg")
        case "socket_group" if one.value:
            pseudonyms.user(str(one.value))
    return f"{one.option.kind.show(one.value) or '(not set)'} ({where})"


def command_line(pid: int) -> list[str]:
    """Arguments of a process. Raises OSError when it is gone or another user's."""
    return [os.fsdecode(one) for one in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]


def started_with(arguments: Sequence[str]) -> dict[str, str]:
    """The options of `run` with those values that name nobody: numbers, paths, and words of the option itself."""
    shown: dict[str, str] = {}
    name = "arguments"
    for one in arguments[arguments.index("run") + 1 :] if "run" in arguments else ():
        value = one
        if one.startswith("--"):
            name, _, value = one.partition("=")
        plain = _HARMLESS.fullmatch(value) or value.startswith("/") or name in _WORDS or not value
        shown[name] = f"{shown.get(name, '')} {value if plain else '…'}".strip()
    return shown


def broken_file(path: Path, pseudonyms: Pseudonyms) -> str:
    """A configuration file that cannot be used: its form, with nothing that somebody wrote into it."""
    with _regular(path) as file:
        text = file.read(1 << 20).decode("utf-8", "replace")
    known = _configuration_words()
    return "\n".join(_line_of_file(line, known, pseudonyms) for line in text.splitlines())


def _line_of_file(line: str, known: frozenset[str], pseudonyms: Pseudonyms) -> str:
    bare = _QUOTED.sub(lambda found: "_" * len(found[0]), line)
    before, comment, _ = bare.partition("#")
    shown = _WRITTEN.sub(lambda found: _written(found[0], known, pseudonyms), line[: len(before)])
    return f"{shown}# (a comment)" if comment else shown


def _configuration_words() -> frozenset[str]:
    """Names of tables and keys."""
    options = (*OPTIONS.values(), *webhooks.rows().values())
    return frozenset({*TABLES, *(word for one in options for word in (one.table, one.key, one.path))})


def _written(text: str, known: frozenset[str], pseudonyms: Pseudonyms) -> str:
    """What somebody wrote: a quoted text, or anything else between what TOML is made of."""
    if text[0] in "\"'":
        inner = text.strip("\"'")
        return text if _HARMLESS.fullmatch(inner) else f'"{_replaced(inner, pseudonyms)}"'
    first, dot, rest = text.partition(".")
    if dot and first in known:
        return f"{first}.{_written(rest, known, pseudonyms)}" if rest else text
    # One that is nearly ours is our word, misspelt.
    same = _HARMLESS.fullmatch(text) or (
        _BARE.fullmatch(text) and difflib.get_close_matches(text, known, 1, _NEAR)
    )
    return text if same else _replaced(text, pseudonyms)


def _replaced(text: str, pseudonyms: Pseudonyms) -> str:
    return str(pseudonyms.document({"x": text}, "tailcfg")["x"])


def learn(runtime_dir: Path, pseudonyms: Pseudonyms) -> str:
    """Let all of the netmap be known, and say what there was."""
    if not is_locked(runtime_dir):
        raise CommandFailed("there is no daemon whose netmap could tell what names are")
    with Subscriber(runtime_dir) as subscriber:
        if not subscriber.wait_for_answer(_LIMIT):
            raise CommandFailed(f"cannot read the netmap: nobody answered within {_LIMIT:g} s")
        netmap = subscriber.store.netmap
    nodes = [peer.json for peer in netmap.peers.values()]
    own = netmap.self_node
    pseudonyms.map_response(
        {
            "Node": {} if own is None else own.json,
            "Peers": nodes,
            "Domain": netmap.domain,
            "UserProfiles": [one.to_json() for one in netmap.user_profiles.values()],
            "DNSConfig": netmap.dns,
            "PacketFilters": netmap.packet_filter,
            "DERPMap": netmap.derp_map,
            "SSHPolicy": netmap.ssh_policy,
        }
    )
    systems: dict[str, int] = {}
    for node in nodes:
        hostinfo = node.get("Hostinfo")
        system = hostinfo.get("OS") if isinstance(hostinfo, dict) else None
        name = system if isinstance(system, str) and re.fullmatch(r"[A-Za-z]{1,12}", system) else "unknown"
        systems[name] = systems.get(name, 0) + 1
    kinds = ", ".join(f"{number} {name}" for name, number in sorted(systems.items()))
    return (
        f"{len(nodes)} peers: {kinds or 'none'}. Their names and addresses are replaced; none is listed here."
    )


def history(runtime_dir: Path, state_dir: Path, days: float) -> dict[str, Any]:
    """What happened, from the daemon or from its file."""
    now = SystemClock().wall()
    question = HistoryQuestion(since=max(0.0, now - days * 86400.0), until=now, most=_OCCURRENCES)
    if is_locked(runtime_dir):
        answer = ask_daemon(question, runtime_dir, _LIMIT)
    else:
        answer = read(state_dir / "history", question)
    told = answer.to_json()
    told["nodes_left_out"] = max(0, len(told["nodes"]) - _LANES)
    told["nodes"] = sorted(told["nodes"], key=lambda node: -len(node["spans"]))[:_LANES]
    for one in told["occurrences"]:
        if one["kind"].startswith("node_"):
            one["stable_id"] = one.pop("subject")
    return told


def log(unit: str, file: Path | None) -> list[Any]:
    """The last lines of a file, or of the journal of the unit; events as JSON."""
    text = _journal(unit) if file is None else _tail(file)
    lines = text.splitlines()
    if len(text.encode()) >= _LOG_BYTES:
        del lines[0]  # it may be the end of one, and the end of a name is not known for the name
    return [_event(line) for line in lines[-_LOG_LINES:]]


def _event(line: str) -> Any:
    if line.count("{") + line.count("[") > _DEEPEST:
        return line
    try:
        found = json.loads(re.sub(r"^<[0-7]>", "", line))
    except (ValueError, RecursionError):
        return line
    return found if isinstance(found, dict) else line


def _tail(file: Path) -> str:
    with _regular(file) as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _LOG_BYTES))
        return stream.read(_LOG_BYTES).decode("utf-8", "replace")


@contextlib.contextmanager
def _regular(file: Path) -> Iterator[IO[bytes]]:
    # Not to wait for the writer of a pipe.
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise CommandFailed(f"cannot read {file}: it is no regular file")
        yield stream


def _journal(unit: str) -> str:
    how = "add it with --log FILE, or name the unit with --unit"
    program = shutil.which("journalctl")
    if program is None:
        raise CommandFailed(f"cannot read the journal: there is no journalctl here; {how}")
    command = [program, f"--unit={unit}", f"--lines={_LOG_LINES}", "--output=cat", "--no-pager", "--quiet"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * _LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"cannot read the journal: it took more than {2 * _LIMIT:g} s; {how}") from None
    if done.returncode:
        said = escape(done.stderr[-300:].decode("utf-8", "replace").strip())
        raise CommandFailed(f"cannot read the journal of {unit}: {said}; {how}")
    if not done.stdout:
        raise CommandFailed(
            f"the journal has nothing of {unit} that this user may read (root and the group systemd-journal may); {how}"
        )
    return done.stdout[-_LOG_BYTES:].decode("utf-8", "replace")


class _Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_LIMIT)
        self._path = path

    def connect(self) -> None:
        """As HTTPConnection does."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_LIMIT)
        self.sock.connect(self._path)


def metrics(listen: str, *, tls: bool) -> str:
    """The page that Prometheus reads."""
    if not listen:
        raise CommandFailed("there is none: http.listen is not set")
    if tls:
        raise CommandFailed("not asked for: the endpoint speaks TLS, and wants a token")
    host, _, port = listen.rpartition(":")
    connection = (
        _Unix(listen.removeprefix("unix:"))
        if listen.startswith("unix:")
        else http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_LIMIT)
    )
    try:
        connection.request("GET", "/metrics", headers={"Host": "localhost"})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise CommandFailed(
                f"cannot read it: the endpoint answers {answer.status} {escape(answer.reason, 60)}"
            )
        return answer.read(_METRICS_BYTES).decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise CommandFailed(f"cannot read it: {type(error).__name__}") from None
    finally:
        connection.close()


def directory(path: Path) -> str:
    """Who may do what with the files of a directory, and which sockets take connections."""
    return "\n".join(_entries(path))


def _entries(path: Path) -> Iterator[str]:
    yield _entry(path, str(path))
    left = _FILES
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted((*folders, *files)):
            left -= 1
            if left < 0:
                yield f"and more than {_FILES}"
                return
            yield _entry(Path(folder) / name, str(Path(folder) / name))


def _entry(path: Path, shown: str) -> str:
    found = path.lstat()
    kind = _TYPES.get(stat.S_IFMT(found.st_mode), "other")
    line = f"{stat.filemode(found.st_mode)} {_owner(found.st_uid)} {found.st_size:>9} {kind:<9} {shown}"
    return f"{line} {_takes(path)}" if kind == "socket" else line


def _owner(uid: int) -> str:
    return "us" if uid == os.geteuid() else "root" if uid == 0 else "other"


def _takes(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError as error:
            return f"(no connection: {error.strerror or error})"
    return "(takes connections)"


def people() -> list[str]:
    """The names of this user, as paths and logs have them."""
    names = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER")}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(os.getuid()).pw_name)
    return sorted(names - {"", "root", "netmap-supervisor"})
