"""A whole daemon, a door into each of its processes, and everything around it that a taken-over one would reach for."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from netmap_supervisor.admin.socket import AdminClient, AdminError
from netmap_supervisor.system.single_instance import is_locked
from tests.matrix.to_be_left import spare_socket
from tests.support.host.free_ports import free_port
from tests.support.processes.daemon import PROGRAM, Daemon
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INSIDE = Path(__file__).parent / "inside"
CHILDREN = (
    "dev_control", "publisher", "liveness", "control_connection", "http_endpoint", "history", "webhooks",
)  # fmt: skip
ROLES = (*CHILDREN, "view", "supervisor")
OUTSIDE = "outside"
"""A process of the same user that is none of the daemon's: what an order comes to where nothing was given up."""
BATCH_LIMIT = 20.0
_STRANGERS = ("kill", "tgkill", "rt_sigqueueinfo", "pidfd_send_signal", "F_SETOWN", "traced")


@dataclass
class Member:
    """One process with a door."""

    role: str
    pid: int
    door: socket.socket


@dataclass(frozen=True)
class Outcome:
    """What became of one order: `told` from inside (allowed, refused, absent, broken, died)."""

    order: str
    told: str
    detail: str
    main_thread: bool


class _OnTerminal(Daemon):
    """With its view on a terminal of the test's, which is its controlling one; its log goes to a file."""

    terminal = ""
    _master = -1
    _drawing = threading.Lock()

    def start(self) -> Self:
        for made in (self.state_dir, self.runtime_dir):
            made.mkdir(mode=0o700, exist_ok=True)
        self._master, terminal = os.openpty()
        self.terminal = os.ttyname(terminal)
        if self.owner:
            os.chown(self.terminal, self.owner, self.owner)
        command = [
            "setsid", "--ctty", *self._prefix, *PROGRAM, "run", f"--config={self.config_path}",
            f"--state-dir={self.state_dir}", f"--runtime-dir={self.runtime_dir}", "--log-format=json", "--view=live",
            *self._options,
        ]  # fmt: skip
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=terminal, stdout=terminal, stderr=log, env=self._env, cwd=self.directory
            )
        self._slave = terminal
        return self

    owner = 0

    def typed(self) -> bytes:
        """What somebody seems to have typed there."""
        return os.read(self._slave, 4096) if select.select([self._slave], [], [], 0)[0] else b""

    def screen(self) -> None:
        """Take away what was drawn: nobody looks at it."""
        with self._drawing:
            while select.select([self._master], [], [], 0)[0] and os.read(self._master, 65536):
                pass

    def close(self) -> None:
        super().close()
        for fd in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(fd)


class Scene:
    """Use as a context manager. `user`: whose the daemon is, 0 for whoever runs the tests; `prefix` makes it so."""

    def __init__(self, *, user: int = 0, prefix: Sequence[str] = ()) -> None:
        self._cleanup = contextlib.ExitStack()
        self.user = user
        self.place = Path(_directory(self._cleanup))
        self.members: dict[str, Member] = {}
        self.restarts = 0
        self._prefix = tuple(prefix)
        self._lock = threading.Lock()
        self._ports = [free_port(2) for _ in range(4)]
        self.connected: list[str] = []
        """What came over TCP, UDP and unix sockets of the test's."""
        self._log_read = 0
        self._were_ready: set[int] = set()

    def __enter__(self) -> Self:
        try:
            self._set_up()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _set_up(self) -> None:
        inside = self.place / "inside"
        shutil.copytree(INSIDE, inside, ignore=shutil.ignore_patterns("__pycache__"))
        self._around()
        self._hear(inside / "door")
        config = self.place / "config.toml"
        config.write_text("# nothing\n")
        home = self.place / "home"
        home.mkdir()
        (home / "secret").write_text("x")
        url = self.place / "webhook.url"
        url.write_text("http://127.0.0.1:9/nobody\n")
        url.chmod(0o600)
        self.daemon = _OnTerminal(
            f"--http-listen=127.0.0.1:{self._ports[0]}",
            f"--listen=tcp://127.0.0.1:{self._ports[1]}",
            "--dev-churn=0.2",
            prefix=self._prefix,
            directory=self.place / "d",
            history=True,
            config=f'[[webhook]]\nname = "nobody"\nurl = "file:{url}"\n',
            env={"PYTHONPATH": str(inside), "TERM": "xterm-256color", "HOME": str(home)},
        )
        self.daemon.owner = self.user
        for made in (self.daemon.state_dir, self.daemon.runtime_dir):
            made.mkdir(mode=0o700)
        self.own_everything()
        self._cleanup.callback(self.daemon.close)
        self._outside = subprocess.Popen(
            [
                *self._prefix,
                sys.executable,
                "-P",
                "-c",
                "import signal\nwhile True: signal.pause()",
                "--outside",
            ],
            env=self.daemon._env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._cleanup.callback(_end, self._outside)
        self.come_up()

    def __exit__(self, *error: object) -> None:
        if error[0] is not None and hasattr(self, "daemon") and self.daemon.log_path.exists():
            print(
                *self.daemon.log_path.read_text(errors="replace").splitlines()[-40:],
                sep="\n",
                file=sys.stderr,
            )
        self._cleanup.close()

    def own_everything(self) -> None:
        for path in (self.place, *self.place.rglob("*")):
            os.chown(path, self.user, self.user, follow_symlinks=False)
        self.place.chmod(0o755)

    # The daemon

    def come_up(self) -> None:
        """Start it if it does not run, and wait until each of its processes is at its work."""
        if not self.daemon.running():
            with self._lock:
                self.members = {role: one for role, one in self.members.items() if role == OUTSIDE}
            self.daemon.start()
            self.restarts += 1
        self.settle()

    def settle(self, limit: float = 30.0) -> None:
        """Every process is there, is the one that `status` shows, and the netmap is fresh."""

        missing: list[str] = []

        def there() -> bool:
            assert self.daemon.running(), f"the daemon ended with {self.daemon.process.returncode}"
            self.daemon.screen()
            missing[:] = self._missing()
            return not missing

        try:
            wait_for(there, limit, "every process at its work", every=0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {', '.join(missing)}") from None

    def _missing(self) -> list[str]:
        status = self.status()
        if status is None:
            return ["an answer"]
        shown = {row["name"]: row for row in status["actors"]}
        with self._lock:
            members = dict(self.members)
        missing = [role for role in (*ROLES, OUTSIDE) if role not in members or not _lives(members[role].pid)]
        missing += [
            f"{name} as in {shown[name]}"
            for name in CHILDREN
            if name not in missing
            and (shown[name]["pid"] != members[name].pid or shown[name]["state"] != "active")
        ]
        # `active` it is from its first moment on; what it gives up it has given up when it is ready.
        missing = missing or [
            f"{name} ready"
            for name in CHILDREN
            if members[name].pid not in self._ready() or shown[name]["system_calls"] is None
        ]
        state = status["netmap"]["state"]
        return missing or (
            [] if state == "fresh" else [f"a fresh netmap, it is {state}: {status['connection']}"]
        )

    def counters(self) -> dict[str, dict[str, int]]:
        """Those of /metrics, by actor and name."""
        page = (
            urllib.request.urlopen(f"http://127.0.0.1:{self._ports[0]}/metrics", timeout=10).read().decode()
        )
        found: dict[str, dict[str, int]] = {}
        for actor, name, value in re.findall(
            r'^\w+\{actor="(\w+)",event="(\w+)"\} (\d+)', page, re.MULTILINE
        ):
            found.setdefault(actor, {})[name] = int(value)
        return found

    def _ready(self) -> set[int]:
        """Processes that said so, as the log tells."""
        if self.daemon.log_path.stat().st_size != self._log_read:
            data = self.daemon.log_path.read_bytes()
            for line in data[self._log_read :].split(b"\n"):
                if b'"actor_ready"' in line and line.endswith(b"}"):
                    self._were_ready.add(json.loads(line)["pid"])
            self._log_read = data.rfind(b"\n") + 1
        return self._were_ready

    def status(self) -> dict[str, Any] | None:
        """As `status --json`; None when nobody answers."""
        try:
            return AdminClient(self.daemon.runtime_dir, limit=10.0).request("status")
        except AdminError:
            return None

    # What is around it

    def _around(self) -> None:
        """Programs of others: processes, listeners, another daemon's socket."""
        self.strangers = {
            name: self._cleanup.enter_context(_program([*self._prefix, "sleep", "600"]))
            for name in _STRANGERS
        }
        tcp = socket.create_server(("", 0), backlog=64)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        paths = [str(self.place / name) for name in ("program.sock", "datagram.sock", "other-admin.sock")]
        unix = [
            socket.socket(socket.AF_UNIX, kind)
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_STREAM)
        ]
        for one, path in zip(unix, paths, strict=True):
            one.bind(path)
            Path(path).chmod(0o777)
        abstract = socket.socket(socket.AF_UNIX)
        self._abstract = f"nms-matrix-{os.getpid()}-{self.place.name}"
        abstract.bind(f"\0{self._abstract}")
        for one in (unix[0], unix[2], abstract):
            one.listen(64)
        self._listeners = (tcp, udp, *unix, abstract)
        for one in self._listeners:
            self._cleanup.callback(one.close)
        self._addresses = {"tcp_port": tcp.getsockname()[1], "udp_port": udp.getsockname()[1]}
        self._paths = paths

    def _hear(self, path: Path) -> None:
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(path))
        path.chmod(0o777)
        door.listen(64)
        self._cleanup.callback(door.close)

        def hear() -> None:
            while True:
                try:
                    one, _ = door.accept()
                except OSError:
                    return
                told = json.loads(one.makefile("rb", buffering=0).readline() or b'{"role": ""}')
                with self._lock:
                    if told["role"]:
                        self.members[told["role"]] = Member(told["role"], told["pid"], one)

        threading.Thread(target=hear, daemon=True).start()

    # Orders

    def facts(self) -> dict[str, Any]:
        status = self.status()
        assert status is not None, "the daemon does not answer"
        run = self.daemon.runtime_dir
        (run_dir,) = run.glob("r-*")
        state = self.daemon.state_dir
        with self._lock:
            pids = {role: member.pid for role, member in self.members.items() if role != OUTSIDE}
        with self._lock:
            for place in (run_dir, run / "pub"):
                spare_socket(place / "spare.sock", self.user)
        generations = {row["name"]: row["generation"] for row in status["actors"]}
        embedded = state / "embedded-server"
        keys = next(iter(sorted(embedded.iterdir())))
        locks = [run / "lock", state / "lock"]
        return {
            **self._addresses,
            "place": str(self.place),
            "pids": pids,
            "generations": generations | {"view": 0, "supervisor": 1, OUTSIDE: 0},
            "session": status["connection"]["sessions"],
            "strangers": {name: one.pid for name, one in self.strangers.items()},
            "runtime_dir": str(run),
            "run_dir": str(run_dir),
            "state_dir": str(state),
            "home": str(self.place / "home"),
            "endpoints": {
                **{name: str(run_dir / f"{name}.sock") for name in ("supervisor", "liveness", "publisher")},
                **{name: str(run / "pub" / f"{name}.sock") for name in ("updates", "requests")},
            },
            "sockets": {
                "the admin socket": str(run / "admin.sock"),
                "the publisher's socket": str(run_dir / "publisher.sock"),
                "the updates' socket": str(run / "pub" / "updates.sock"),
            },
            "files": {
                "the node's keys": str(next(state.glob("*/node.json"))),
                "the embedded server's keys": str(keys),
                "the CURVE secret": str(next(state.rglob("server.key_secret"))),
                "the configuration": str(self.daemon.config_path),
                "the auth key file": str(embedded / "auth_key"),
                "a file in the home": str(self.place / "home" / "secret"),
                "the log file": str(self.daemon.log_path),
            },
            "directories": {
                "the runtime directory": str(run),
                "the run's own directory": str(run_dir),
                "the subscribers' directory": str(run / "pub"),
                "the state directory": str(state),
                "the home": str(self.place / "home"),
            },
            "locks": [[path.stat().st_dev, path.stat().st_ino] for path in locks],
            "lock_paths": [str(path) for path in locks],
            "terminal": self.daemon.terminal,
            "unix_path": self._paths[0],
            "datagram_path": self._paths[1],
            "other_admin": self._paths[2],
            "abstract_name": self._abstract,
            "free_port": self._ports[3],
            "run": self.run_id,
            "identities": getattr(self, "identities", {}),
            "mark": 0.0,
        }

    run_id = "00" * 8

    def learn(self) -> None:
        """What each process knows of itself and others may learn: the run, and how the Supervisor's router calls it."""
        self.identities: dict[str, str] = {}
        for role in CHILDREN:
            for outcome in self.ask(role, ["(say who it is)"]):
                assert outcome.told == "allowed", outcome
                told = json.loads(outcome.detail)
                self.run_id, self.identities[role] = told["run"], told["identity"]

    def another_stranger(self, how: str) -> None:
        """In the place of one that was ended."""
        self.strangers[how] = self._cleanup.enter_context(_program([*self._prefix, "sleep", "600"]))

    def settle_replaced(self, before: dict[str, int], limit: float = 40.0) -> None:
        """Every one of these processes was replaced, and all is well."""
        wait_for(
            lambda: all(self.members[role].pid != pid for role, pid in before.items()),
            limit,
            f"others than {before}",
        )
        self.settle()

    def ask(self, role: str, orders: Sequence[str], **more: object) -> Iterator[Outcome]:
        """Give the orders to this process and tell what it says of each; one that dies of an order ends it."""
        with self._lock:
            member = self.members[role]
        batch = json.dumps({"orders": list(orders), "facts": self.facts() | more}).encode() + b"\n"
        member.door.settimeout(BATCH_LIMIT)
        begun, main = "", False
        try:
            member.door.sendall(batch)
            os.kill(member.pid, signal.SIGUSR2)
            for line in member.door.makefile("rb"):
                told = json.loads(line)
                if "done" in told:
                    return
                if "begun" in told:
                    begun, main = told["begun"], told["main_thread"]
                else:
                    yield Outcome(told["order"], told["told"], told["detail"], main)
                    begun = ""
                self.daemon.screen()
            yield Outcome(begun, "died", "the process is gone", main)
        except (TimeoutError, ConnectionError, ProcessLookupError) as error:
            yield Outcome(begun, "died", type(error).__name__, main)

    def locked(self) -> bool:
        """Both directories are somebody's."""
        return all(is_locked(one) for one in (self.daemon.runtime_dir, self.daemon.state_dir))

    def others_heard(self) -> list[str]:
        """Which of the test's sockets something came to since the last look."""
        heard = []
        names = ("tcp", "udp", "program", "datagram", "other-admin", "abstract")
        while ready := select.select(self._listeners, [], [], 0)[0]:
            for one in ready:
                heard.append(names[self._listeners.index(one)])
                if one.type == socket.SOCK_DGRAM:
                    one.recv(4096)
                else:
                    one.accept()[0].close()
        return heard

    def second_daemon(self) -> subprocess.CompletedProcess[str]:
        """Another one on the same directories."""
        command = [*self._prefix, *PROGRAM, "run", f"--config={self.daemon.config_path}", "--view=off",
                   f"--state-dir={self.daemon.state_dir}", f"--runtime-dir={self.daemon.runtime_dir}"]  # fmt: skip
        env = {name: value for name, value in self.daemon._env.items() if name != "PYTHONPATH"}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=20, check=False)


def _directory(cleanup: contextlib.ExitStack) -> str:
    import tempfile

    made = tempfile.mkdtemp(prefix="nmx-", dir="/tmp")
    cleanup.callback(shutil.rmtree, made, ignore_errors=True)
    (Path(made) / "d").mkdir()
    return made


@contextlib.contextmanager
def _program(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
