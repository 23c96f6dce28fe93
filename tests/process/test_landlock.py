"""What a confined process can still do, tried from inside real ones, row by row."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import msgspec
import pytest

from netmap_actors.boot import (
    Boot,
    ConnectionSettings,
    DevControlSettings,
    Endpoints,
    HistorySettings,
    HttpSettings,
    LivenessSettings,
    PublisherSettings,
    WebhooksSettings,
)
from netmap_actors.confinement import landlock
from netmap_actors.confinement.permissions import ROWS, RunPlaces
from netmap_actors.control_connection.actor import ControlConnection
from netmap_actors.publisher.actor import Publisher
from netmap_supervisor.daemon.boot_records import listened_on
from tests.support.processes import pairs

PROGRAM = """
    import ctypes, errno, json, os, signal, socket, sys, threading
    from pathlib import Path
    import msgspec
    from netmap_actors.boot import Boot
    from netmap_actors.confinement import confinement
    from netmap_actors.confinement.permissions import ROWS, RunPlaces

    name, record, place, port, abstract = sys.argv[1:]
    place, port = Path(place), int(port)
    row = ROWS[name]
    kind = RunPlaces if name in ("supervisor", "view") else Boot
    allowed = row.permissions(msgspec.json.decode(record, type=kind, dec_hook=lambda type, text: Path(text)))
    confinement.forbid_dump()
    held = confinement.confine(row, allowed)
    told = {}

    def attempt(what, work):
        try:
            work()
            told[what] = "done"
        except PermissionError:
            told[what] = "refused"
        except OSError as error:
            told[what] = errno.errorcode.get(error.errno, str(error))

    def connect(family, address):
        with socket.socket(family) as one:
            one.connect(address)

    def bind(number):
        with socket.socket() as one:
            one.bind(("127.0.0.1", number))

    attempt("read secret", (place / "secret/key").read_text)
    attempt("list secret", lambda: list((place / "secret").iterdir()))
    attempt("write secret", lambda: (place / "secret/new").write_text("x"))
    attempt("write home", lambda: (Path.home() / f".confined-{os.getpid()}").write_text("x"))
    attempt("read shadow", Path("/etc/shadow").read_text)
    attempt("read passwd", Path("/etc/passwd").read_text)
    attempt("list etc", lambda: list(Path("/etc").iterdir()))
    attempt("read hosts", Path("/etc/hosts").read_text)
    attempt("environ of the parent", Path(f"/proc/{os.getppid()}/environ").read_bytes)
    attempt("environ of init", Path("/proc/1/environ").read_bytes)
    attempt("state of the parent", Path(f"/proc/{os.getppid()}/stat").read_bytes)
    attempt("descriptors of the parent", lambda: os.listdir(f"/proc/{os.getppid()}/fd"))
    attempt("list processes", lambda: os.listdir("/proc"))
    attempt("list the root", lambda: os.listdir("/"))
    attempt("list devices", lambda: os.listdir("/dev"))
    attempt("zero device", lambda: os.close(os.open("/dev/zero", os.O_RDONLY)))
    attempt("kernel settings", lambda: os.close(os.open("/sys/kernel/mm/transparent_hugepage/enabled", os.O_RDONLY)))
    attempt("command line of the parent", Path(f"/proc/{os.getppid()}/cmdline").read_bytes)
    attempt("settings of the kernel", Path("/proc/sys/kernel/core_pattern").read_text)
    attempt("own figures", Path("/proc/self/statm").read_text)
    attempt("memory device", lambda: os.open("/dev/mem", os.O_RDONLY))
    attempt("terminal device", lambda: os.open("/dev/ptmx", os.O_RDWR))
    attempt("null device", lambda: Path("/dev/null").write_text("x"))
    attempt("random device", lambda: os.close(os.open("/dev/urandom", os.O_RDONLY)))
    attempt("load a module", lambda: __import__("colorsys"))
    attempt("run a shell", lambda: os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", ":"], {}), 0))
    attempt("run python", lambda: os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}), 0))
    attempt("signal the parent", lambda: os.kill(os.getppid(), 0))
    attempt("signal itself", lambda: os.kill(os.getpid(), 0))
    attempt("connect", lambda: connect(socket.AF_INET, ("127.0.0.1", port)))
    attempt("bind any", lambda: bind(0))
    attempt("bind 47111", lambda: bind(47111))
    attempt("abstract socket", lambda: connect(socket.AF_UNIX, "\\0" + abstract))
    attempt("path socket", lambda: connect(socket.AF_UNIX, str(place / "socket")))
    attempt("write state", lambda: (place / "state/mine/new").write_text("x"))
    attempt("replace state", lambda: os.replace(place / "state/mine/new", place / "state/mine/old"))
    attempt("write runtime", lambda: (place / "run/new").write_text("x"))
    def make_socket():
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(place / "run/made.sock"))

    attempt("make a socket", make_socket)
    attempt("read runtime", (place / "run/file").read_text)
    attempt("list runtime", lambda: list((place / "run").iterdir()))
    attempt("read auth key", (place / "auth_key").read_text)
    attempt("resolve localhost", lambda: socket.getaddrinfo("localhost", 80))
    attempt("change the root", lambda: os.chroot("/"))
    thread = threading.Thread(target=lambda: attempt("secret in a thread", (place / "secret/key").read_text))
    thread.start()
    thread.join()
    told["dumpable"] = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    told["NoNewPrivs"], told["CapEff"] = status["NoNewPrivs"].strip(), int(status["CapEff"], 16)
    told["held"] = held
    print(json.dumps(told))
"""
KERNEL = landlock.abi()
needs = pytest.mark.skipif(KERNEL < 6, reason="this kernel's Landlock does not know all of it")


@pytest.fixture
def place():
    # Unix socket paths are short; pytest's own directories are not.
    with tempfile.TemporaryDirectory(prefix="nm-") as path:
        for name in ("secret", "state/mine", "state/curve", "run/pub", "run/r-1"):
            (Path(path) / name).mkdir(parents=True)
        (Path(path) / "secret/key").write_text("x")
        (Path(path) / "auth_key").write_text("x")
        (Path(path) / "run/file").write_text("x")
        yield Path(path)


def boot(actor: str, place: Path, settings: msgspec.Struct | None = None) -> Boot:
    runtime = place / "run"
    inside = {name: f"ipc://{runtime}/r-1/{name}.sock" for name in ("supervisor", "liveness", "publisher")}
    public = {name: f"ipc://{runtime}/pub/{name}.sock" for name in ("updates", "requests")}
    encoded = msgspec.Raw(msgspec.json.encode(settings)) if settings is not None else msgspec.Raw(b"{}")
    return Boot(
        run="0" * 16,
        actor=actor,
        generation=1,
        parent_pid=1,
        life_fd=0,
        endpoints=Endpoints(**inside, **public),
        secrets=pairs.secrets_of(actor),
        settings=encoded,
    )


def from_inside(name: str, record: object, place: Path) -> dict:
    """What a process with this row can do."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        word = f"nm-{os.getpid()}-{threading.get_ident()}"
        abstract.bind(f"\0{word}")
        abstract.listen()
        with socket.socket(socket.AF_UNIX) as path:
            path.bind(str(place / "socket"))
            path.listen()
            words = [
                name,
                msgspec.json.encode(record, enc_hook=str).decode(),
                str(place),
                str(tcp.getsockname()[1]),
                word,
            ]
            command = [sys.executable, "-P", "-c", textwrap.dedent(PROGRAM), *words]
            done = subprocess.run(command, capture_output=True, check=False, timeout=30, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def records(place: Path) -> dict[str, object]:
    state = str(place / "state/mine")
    connection = ConnectionSettings(
        control_url="http://127.0.0.1:1", state_dir=state, auth_key=f"file:{place}/auth_key", proxy="off"
    )
    connects = boot("control_connection", place, connection)
    served = DevControlSettings(state_dir=state, listen_fd=3)
    webhooks = WebhooksSettings(
        directory=state, webhooks=msgspec.Raw(b"[]"), files=(f"{place}/auth_key",), proxy="off"
    )
    return {
        "liveness": boot("liveness", place, LivenessSettings()),
        "publisher": boot("publisher", place, PublisherSettings()),
        "http_endpoint": boot("http_endpoint", place, HttpSettings(listen=f"unix:{place}/run/http.sock")),
        "control_connection": msgspec.structs.replace(
            connects, connect_ports=ControlConnection.connect_ports(connects)
        ),
        "dev_control": boot("dev_control", place, served),
        "history": boot("history", place, HistorySettings(directory=state)),
        "webhooks": boot("webhooks", place, webhooks),
        "view": RunPlaces(place / "state", place / "run"),
        "supervisor": RunPlaces(place / "state", place / "run/mine"),
    }


ALWAYS = {
    "own figures",
    "null device",
    "random device",
    "load a module",
    "signal itself",
    "path socket",
}
"""Sockets with a path are held back by the permissions of their directories, and by what they ask of a peer."""
DONE = {
    "liveness": set(),
    "publisher": set(),
    "http_endpoint": set(),
    "control_connection": {
        "write state",
        "replace state",
        "read auth key",
        "read hosts",
        "resolve localhost",
    },
    "dev_control": {"write state", "replace state"},
    "history": {"write state", "replace state"},
    "webhooks": {"write state", "replace state", "read auth key", "read hosts", "resolve localhost"},
    "view": {"read passwd", "read runtime", "list runtime"},
}
"""What each may do besides."""


@needs
@pytest.mark.parametrize("name", DONE)
def test_a_process_can_do_what_its_row_says_and_nothing_else(name: str, place: Path) -> None:
    told = from_inside(name, records(place)[name], place)
    facts = {what: told.pop(what) for what in ("dumpable", "NoNewPrivs", "CapEff", "held")}
    assert facts == {
        "dumpable": 0,
        "NoNewPrivs": "1",
        "CapEff": 0,
        "held": {"landlock": KERNEL, "capabilities": 0},
    }
    done = {what for what, how in told.items() if how == "done"}
    assert len(told) > 30
    assert told["make a socket"] == ("done" if name == "http_endpoint" else "refused"), (
        "and no file beside it"
    )
    done.discard("make a socket")
    assert done == ALWAYS | DONE[name], told


@needs
def test_the_supervisor_reads_files_everywhere_and_starts_python_only(place: Path) -> None:
    told = from_inside("supervisor", records(place)["supervisor"], place)
    for what in (
        "run python",
        "read secret",
        "list etc",
        "connect",
        "bind any",
        "write state",
        "own figures",
        "state of the parent",
        "null device",
        "random device",
    ):
        assert told[what] == "done", what
    for what in (
        "run a shell",
        "write home",
        "bind 47111",
        "abstract socket",
        "signal the parent",
        "change the root",
        "descriptors of the parent",
        "list processes",
        "list the root",
        "list devices",
        "zero device",
        "terminal device",
    ):
        assert told[what] == "refused", what
    assert told["kernel settings"] in {"refused", "ENOENT"}


@needs
def test_a_service_managers_abstract_socket_stays_within_reach(place: Path) -> None:
    run = RunPlaces(place / "state", place / "run/mine", notify_socket="@/org/systemd/notify")
    assert from_inside("supervisor", run, place)["abstract socket"] == "done"


@needs
def test_a_publisher_for_other_machines_may_listen_there_and_read_their_keys(place: Path) -> None:
    settings = PublisherSettings(listen="tcp://127.0.0.1:47110", curve_dir=str(place / "secret"))
    told = from_inside("publisher", boot("publisher", place, settings), place)
    done = {what for what, how in told.items() if how == "done"}
    assert done >= {"bind 47111", "read secret", "list secret", "secret in a thread"}
    assert told["bind any"] == told["connect"] == told["write secret"] == "refused"


@needs
def test_an_http_endpoint_for_other_machines_may_read_its_certificate_and_the_tokens_only(
    place: Path,
) -> None:
    secret = place / "secret" / "curve"
    settings = HttpSettings(
        listen="127.0.0.1:47111",
        tls_cert=str(secret),
        tls_key=str(secret),
        token_required=True,
        tokens=str(place / "state/mine/tokens"),
    )
    told = from_inside("http_endpoint", boot("http_endpoint", place, settings), place)
    done = {what for what, how in told.items() if how == "done"}
    assert done >= {"bind 47111", "read secret", "list secret"}
    for what in ("bind any", "connect", "write secret", "write state", "read auth key", "read passwd"):
        assert told[what] == "refused", what


@pytest.mark.parametrize("where", ["state", "state/mine", "state/mine/http_tokens/default"])
def test_a_certificate_among_the_daemons_secrets_opens_none_of_them(where: str, place: Path) -> None:
    named = place / where / "cert.pem"
    settings = HttpSettings(
        listen="0.0.0.0:1",
        tls_cert=str(named),
        tls_key=str(named),
        token_required=True,
        tokens=str(place / "state/mine/http_tokens/default"),
    )
    readable = ROWS["http_endpoint"].permissions(boot("http_endpoint", place, settings)).readable
    assert set(readable) == {named, Path(settings.tokens)}


@pytest.mark.parametrize("name", [name for name in ROWS if name not in {"supervisor", "view"}])
def test_who_does_not_need_the_state_directory_does_not_ask_for_it(name: str, place: Path) -> None:
    allowed = ROWS[name].permissions(records(place)[name])
    inside = {
        path
        for path in (*allowed.readable, *allowed.writable, *allowed.sockets)
        if path.is_relative_to(place / "state")
    }
    writes = {"control_connection", "dev_control", "history", "webhooks"}
    mine = {place / "state/mine"} if name in writes else set()
    assert inside == mine


def test_a_publisher_makes_its_key_while_it_may_still_write_there(tmp_path: Path) -> None:
    settings = PublisherSettings(listen="tcp://127.0.0.1:9740", curve_dir=str(tmp_path / "curve"))
    started = boot("publisher", tmp_path, settings)
    (tmp_path / "run").mkdir(exist_ok=True)
    Publisher.prepare(started)
    assert (tmp_path / "curve" / "server.key_secret").exists()
    allowed = ROWS["publisher"].permissions(started)
    assert allowed.readable == (tmp_path / "curve",)
    assert allowed.tcp_bind == {9740, 9741}


def test_who_is_handed_its_sockets_makes_none(place: Path) -> None:
    for name, settings in (("liveness", LivenessSettings()), ("publisher", PublisherSettings())):
        record = boot(name, place, settings)
        handed = msgspec.structs.replace(
            record, listeners=dict.fromkeys(listened_on(record.endpoints)[name], 7)
        )
        assert ROWS[name].permissions(record).sockets
        assert not ROWS[name].permissions(handed).sockets


@pytest.mark.parametrize(
    ("known", "left"),
    [(0, 6), (1, 5), (2, 4), (3, 3), (4, 2), (5, 1), (6, 0), (7, 0), (99, 0)],
)
def test_what_a_kernel_does_not_know_is_said(known: int, left: int) -> None:
    assert len(landlock.missing(known)) == left


@pytest.mark.skipif(KERNEL == 0, reason="this kernel has no Landlock")
@pytest.mark.parametrize("known", range(1, KERNEL + 1))
def test_every_version_a_kernel_may_have_is_asked_only_what_it_knows(known: int, place: Path) -> None:
    """A newer kernel takes what an older one knew."""
    program = f"""
        import sys, msgspec
        from netmap_actors.boot import Boot
        from netmap_actors.confinement import confinement, landlock
        from netmap_actors.confinement.permissions import ROWS
        landlock.abi = lambda: {known}
        confinement.forbid_new_privileges()
        allowed = ROWS["control_connection"].permissions(msgspec.json.decode(sys.argv[1], type=Boot))
        print(landlock.enforce(allowed))
        try:
            open("/etc/shadow").read()
        except PermissionError:
            print("refused")
    """
    record = msgspec.json.encode(records(place)["control_connection"]).decode()
    command = [sys.executable, "-P", "-c", textwrap.dedent(program), record]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30, text=True)
    assert done.stdout.split() == [str(known), "refused"]


KEPT_SIGNALS = """
    import os, signal, sys, time
    from netmap_actors.confinement import confinement, landlock
    from netmap_actors.confinement.permissions import Permissions
    outside = int(sys.argv[1])
    confinement.forbid_new_privileges()
    assert landlock.keep_signals()
    child = os.fork()
    if child == 0:
        landlock.enforce(Permissions())
        try:
            os.kill(os.getppid(), 0)
        except PermissionError:
            os.write(1, b"up refused ")
        time.sleep(60)
    landlock.enforce(Permissions(), signals_kept=True)
    sys.stdin.readline()
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    try:
        os.kill(outside, 0)
    except PermissionError:
        print("out refused", flush=True)
"""


def test_who_keeps_its_signals_reaches_the_forks_it_made_since_and_nobody_else() -> None:
    """Each is held to a rule of its own after the fork, as the Supervisor and its nursery are."""
    if landlock.abi() < 6:
        pytest.skip("this kernel's Landlock knows no signals")
    started = subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(KEPT_SIGNALS), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert started.stdin is not None
    assert started.stdout is not None
    assert started.stdout.read(len("up refused ")) == b"up refused "
    started.stdin.write(b"on\n")
    started.stdin.close()
    assert started.stdout.read() == b"out refused\n"
    assert started.wait(20) == 0
    started.stdout.close()
