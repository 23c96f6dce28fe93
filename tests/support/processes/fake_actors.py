"""Stand-ins for the real actors, run by the real bootstrap: small, quick, and as bad as a test wants them.

`behaviour/NAME` in the directory of the test says what the next process of an actor does; without it, it comes up and
works. Each process writes its boot record into `boots/NAME-INCARNATION.json`.
"""

from __future__ import annotations

import ctypes
import gc
import json
import locale
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.exit_reason import ExitReason
from netmap_actors.process.actor_base import ActorBase
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import VERSION, Codec
from netmap_actors.wire.secret import Secret
from netmap_supervisor.admin.socket import AdminClient, AdminError

if TYPE_CHECKING:
    from google.protobuf.message import Message

HERE = Path(os.environ["PYTHONPATH"])
LATER = 1 << 40
"""Number of a message above all sent so far: a lower one is refused."""


STAT = {"parent": 4, "group": 5, "session": 6, "terminal": 7, "nice": 19, "priority": 40, "policy": 41}
"""Fields of /proc/PID/stat (proc_pid_stat(5))."""
PROC = ("oom_score_adj", "coredump_filter", "cgroup", "cmdline", "comm", "loginuid", "personality")


def process_facts() -> dict[str, object]:
    """What a process has from whoever started it: of the kernel's and of the interpreter's."""
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    told: dict[str, object] = {name: stat[number - 3] for name, number in STAT.items()}
    for name in PROC:
        path = Path("/proc/self") / name
        told[name] = path.read_text().strip("\0 \n") if path.exists() else None
    for kind in ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"):
        told[f"namespace {kind}"] = str(Path(f"/proc/self/ns/{kind}").readlink())
    for name in sorted(name for name in dir(resource) if name.startswith("RLIMIT_")):
        told[name] = resource.getrlimit(getattr(resource, name))
    # Of a function of ours only its name: it lies elsewhere in every process.
    told["handlers"] = {
        int(number): str(signal.getsignal(number)).partition(" at ")[0] for number in signal.valid_signals()
    }
    told["blocked"] = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    told["pending"] = sorted(map(int, signal.sigpending()))
    told["wakes"] = signal.set_wakeup_fd(-1)
    told["umask"] = os.umask(0o077)
    told["users"] = [os.getresuid(), os.getresgid(), os.getgroups()]
    told["works in"], told["root"] = str(Path.cwd()), str(Path("/proc/self/root").readlink())
    told["threads"] = [thread.name for thread in threading.enumerate()]
    told["collects"] = [gc.isenabled(), gc.get_threshold()]
    told["path"], told["flags"] = sys.path, str(sys.flags)
    told["locale"], told["time zone"] = locale.setlocale(locale.LC_ALL), time.tzname
    told["writes to"] = [
        [one.fileno(), one.encoding, one.errors] for one in (sys.stdin, sys.stdout, sys.stderr)
    ]
    return told


class Fake(ActorBase):
    def setup(self) -> None:
        name, number = self.boot.actor, self.boot.generation
        environment = dict(os.environ)
        settings = json.loads(bytes(self.boot.settings))
        told = {"settings": settings, "environment": environment, "process": process_facts()}
        path = HERE / "boots" / f"{name}-{number}.json"
        path.with_suffix(".tmp").write_text(json.dumps(told))
        path.with_suffix(".tmp").rename(path)
        behaviour = HERE / "behaviour" / name
        self.behaves = behaviour.read_text().split() if behaviour.exists() else []
        match self.behaves:
            case ["end", reason]:
                self.finish(ExitReason(reason), "as the test wants")
                return
            case ["raise"]:
                raise ValueError("as the test wants")
            case ["print"]:
                print("not a log line \x1b[31m", file=sys.stderr, flush=True)
            case ["write"]:
                write((HERE / "words").read_bytes())
            case ["burn", seconds]:
                while not (HERE / "go").exists():
                    time.sleep(0.005)
                work(float(seconds))
            case ["later", *how]:
                self.loop.every(0.1, lambda: self.misbehave(how))
            case ["ignore_stop"]:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                self.finish = lambda *_: None
        self.ready({"fake": "yes"})
        if name == "control_connection":
            self.tell_supervisor(
                internal_pb2.StageEntered(generation=number, session=1, stage="map", since=self.loop.now())
            )

    def misbehave(self, how: list[str]) -> None:
        """Once the file `go` is there."""
        if not (HERE / "go").exists():
            return
        match how:
            case ["forge"]:
                how.clear()
                self.forge()
            case ["order"]:
                how.clear()
                self.order()
            case ["write"]:
                how.clear()
                write((HERE / "words").read_bytes())
            case ["write_and_die"]:
                write((HERE / "words").read_bytes())
                os.kill(os.getpid(), signal.SIGKILL)
            case ["loop"]:
                while True:
                    pass
            case ["hold_gil"]:
                # A call through PyDLL keeps the interpreter's lock, as an extension does that waits for something.
                ctypes.PyDLL(None).sleep(60)
            case ["burn", seconds]:
                how.clear()
                work(float(seconds))

    def forge(self) -> None:
        """Words in the names of others, sent from our own socket."""
        forged = {
            "control_connection": internal_pb2.LoginNeeded(url="https://evil.example/login"),
            "liveness": internal_pb2.Verdict(generation=1, session=1, stage="map", reason="silence"),
        }
        for actor, body in forged.items():
            for data in as_another(self, actor, body):
                self._supervisor.send(data)
        self.degraded("forged", "it is done")

    def order(self) -> None:
        """What the command line may say, said by a child."""
        try:
            client = AdminClient(HERE / "run")
            answer = str(client.request("fault", what="kill", actor="liveness", force=True))
        except (AdminError, OSError) as error:
            answer = str(error)
        self.degraded("ordered", answer)

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        body = envelope.WhichOneof("body")
        if body == "dev_command":
            reply = {"asked": json.loads(envelope.dev_command.json)}
            token = envelope.dev_command.token
            self.tell_supervisor(internal_pb2.DevReply(token=token, ok=True, json=json.dumps(reply).encode()))
        elif body == "probe":
            probe = envelope.probe
            with (HERE / "boots" / f"probes-{self.boot.generation}").open("a") as file:
                file.write(f"{probe.reason} {probe.timeout:g}\n")
            answer = internal_pb2.ProbeResult(
                token=probe.token, generation=self.boot.generation, answered=True, round_trip=0.01
            )
            self.tell_supervisor(answer)
        elif body == "connection_started" and self.boot.actor == "publisher":
            self.generation = envelope.connection_started.generation
            self.heartbeat_now()

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        if self.boot.actor == "publisher":
            generation = getattr(self, "generation", 0)
            heartbeat.publisher.CopyFrom(
                internal_pb2.PublisherStatistics(
                    state="fresh", generation=generation, session=1, last_received_at=self.loop.now(), peers=5
                )
            )


def as_another(actor: Fake, name: str, body: Message) -> list[bytes]:
    """What this process can make of a word that another one might say."""
    envelope = internal_pb2.Envelope(
        version=VERSION, run=bytes.fromhex(actor.boot.run), actor=name, incarnation=1, number=LATER
    )
    field = "login_needed" if name == "control_connection" else "verdict"
    getattr(envelope, field).CopyFrom(body)
    word = envelope.SerializeToString()
    own = Secret.from_text(actor.boot.secrets.supervisor)
    claimed = Codec(actor.boot.run, name, 1, peer="supervisor", secret=own)
    claimed._sent = LATER
    return [word, own.proof(word) + (1).to_bytes(8, "big") + word, claimed.wrap(body)]


def work(seconds: float) -> None:
    """For so much processor time."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def write(data: bytes) -> None:
    """On standard error, all of it, however slowly it is taken."""
    os.set_blocking(2, True)
    while data:
        data = data[os.write(2, data) :]
    os.set_blocking(2, False)
