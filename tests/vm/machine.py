"""A guest with the service installed as the page says, its control server outside, and a subscriber inside."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.support.processes.dev_server import DevServer, running_dev_server
from tests.support.proxies.certificates import issued
from tests.support.waiting import wait_for
from tests.vm import page
from tests.vm.guest import Guest
from tests.vm.image import ROOT, image, wheels
from tests.vm.network import CONTROL, Network
from tests.vm.qemu import ACCELERATORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.vm.guest import Sleep
    from tests.vm.image import Image

__all__ = [
    "OFFLINE",
    "PROGRAM",
    "RUNTIME_DIR",
    "SOURCE",
    "UNIT",
    "ControlServer",
    "Machine",
    "running_machine",
]

UNIT = "netmap-supervisor.service"
PROGRAM = "/opt/netmap-supervisor/bin/netmap-supervisor"
RUNTIME_DIR = "/run/netmap-supervisor"
CONFIG = "/etc/netmap-supervisor/config.toml"
SOURCE = "/srv/netmap-supervisor"
WATCHER = "nms-watcher"
OFFLINE = "export PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/seed/wheels PIP_DISABLE_PIP_VERSION_CHECK=1"
"""What stands between the words of a page and a registry is the environment's."""
PORT, TLS_PORT = 8080, 443
INSTALL_LIMIT = 1800.0
START_LIMIT = 600.0
"""Seconds of this machine for things whose duration in the guest is not judged by it."""


class ControlServer:
    """dev-control with TLS in front of it, in the guest's network; may be stopped and started with the same keys."""

    def __init__(self, network: Network, directory: Path) -> None:
        self._network = network
        self._directory = directory
        self._running = contextlib.ExitStack()
        self.key = directory / "auth_key"
        self.key.write_text(f"devkey-{secrets.token_hex(12)}")
        self.key.chmod(0o600)
        self._made = issued(directory, (page.control_host(),), common_name=page.control_host())
        self.issuer = self._made.issuer_pem

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            opening.callback(self.stop)
            opening.enter_context(self._tls_front())
            self.start()
            self._open = opening.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def start(self) -> DevServer:
        """Run it; the TLS front stays as it is."""
        return self._running.enter_context(
            running_dev_server(
                "--nodes=6",
                f"--state-dir={self._directory / 'state'}",
                f"--auth-key=file:{self.key}",
                listen=f"{CONTROL.host}:{PORT}",
                prefix=self._network.namespace.prefix,
            )
        )

    def stop(self) -> None:
        """End it, and every connection with it."""
        self._running.close()

    @contextlib.contextmanager
    def _tls_front(self) -> Iterator[None]:
        listen = (
            f"OPENSSL-LISTEN:{TLS_PORT},bind={CONTROL.host},reuseaddr,fork,verify=0,cert={self._made.pem}"
        )
        process = subprocess.Popen(
            [*self._network.namespace.prefix, "socat", listen, f"TCP:{CONTROL.host}:{PORT}"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()


class Machine:
    """Everything of one run. `figures` are what the installation took, seconds of the guest."""

    def __init__(self, guest: Guest, server: ControlServer, network: Network) -> None:
        self.guest = guest
        self.server = server
        self.network = network
        self.install_took: dict[str, float] = {}
        self._watched = 0
        self._last_state = ""

    # --- the service ------------------------------------------------------------------------------------------

    def install(self) -> None:
        """What the page says, line by line, in a copy of the tree; then a subscriber."""
        guest = self.guest
        guest.run(
            f"mkdir -p {SOURCE} && tar -xf /dev/vdb -C /srv && "
            f"echo '{CONTROL.host} {page.control_host()}' >>/etc/hosts && "
            "cp /srv/seed/issuer.pem /usr/local/share/ca-certificates/issuer.crt && update-ca-certificates && "
            f"cp /srv/seed/auth_key {SOURCE}/key",
            limit=START_LIMIT,
        )
        guest.follow(UNIT)
        for line in page.install_commands():
            began = guest.now()
            guest.run(f"set -eo pipefail; cd {SOURCE}; {OFFLINE}; {line}", limit=INSTALL_LIMIT)
            self.install_took[line] = guest.now() - began
        self.watch()

    def watch(self) -> None:
        """Start the subscriber; what it hears is kept in a file."""
        self.guest.run(
            f"systemctl reset-failed {WATCHER} 2>/dev/null; "
            f"systemd-run --quiet --unit={WATCHER} --property=StandardOutput=append:/srv/watch.jsonl "
            "--property=StandardError=journal "
            f"{PROGRAM} watch --json --runtime-dir {RUNTIME_DIR}"
        )

    def show(self, *properties: str, unit: str = UNIT) -> dict[str, str]:
        """`systemctl show`."""
        lines = self.guest.out(f"systemctl show {unit} --property={','.join(properties)}").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def main_pid(self) -> int:
        return int(self.show("MainPID")["MainPID"])

    def status(self) -> dict[str, Any] | None:
        """`status --json`; None while nobody answers."""
        shown = self.guest.run(f"{PROGRAM} status --json --runtime-dir {RUNTIME_DIR}", check=False)
        with contextlib.suppress(ValueError):
            status = json.loads(shown.stdout)
            if isinstance(status, dict) and "actors" in status:
                return status
        return None

    def settle(self) -> None:
        """Whatever a scene has left: no fault, and a service that runs with a fresh netmap."""
        self.network.heal()
        self.guest.qemu.set_link("control", up=True)
        if self.show("ActiveState")["ActiveState"] in {"failed", "inactive"}:
            self.guest.run(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}", limit=START_LIMIT)
        self.wait_fresh()
        if self.show("ActiveState", unit=WATCHER)["ActiveState"] != "active":
            self.watch()
        self.heard()

    def wait_fresh(self, limit: float = START_LIMIT) -> dict[str, Any]:
        """The first status that is fresh, with every actor at work."""

        def fresh() -> dict[str, Any] | None:
            status = self.status()
            if status is None or status["netmap"]["state"] != "fresh":
                return None
            return status if all(actor["state"] == "active" for actor in status["actors"]) else None

        return wait_for(fresh, limit, "a fresh netmap in the guest", every=1.0)

    # --- the subscriber ---------------------------------------------------------------------------------------

    def heard(self) -> list[dict[str, Any]]:
        """What the subscriber was told since the last call."""
        text = self.guest.run(f"tail -c +{self._watched + 1} /srv/watch.jsonl").stdout
        # The last line may not be whole yet.
        whole, end, _rest = text.rpartition("\n")
        self._watched += len((whole + end).encode())
        lines = []
        for line in filter(None, whole.split("\n")):
            assert line.startswith("{"), f"not a line of `watch --json`: {line[:200]!r}"
            lines.append(json.loads(line))
        self._last_state = next((line["state"] for line in reversed(lines)), self._last_state)
        return lines

    def last_state(self) -> str:
        """What the subscriber was told last of how far the netmap can be relied on."""
        self.heard()
        return self._last_state

    def watcher_pid(self) -> int:
        """Of the subscriber; 0 when it has ended."""
        return int(self.show("MainPID", unit=WATCHER)["MainPID"])

    # --- faults -----------------------------------------------------------------------------------------------

    def sleep(self, seconds: float, meanwhile: Any = None) -> Sleep:
        return self.guest.sleep(seconds, meanwhile)

    def lose_flows(self) -> None:
        """The daemon's connections are forgotten on the way."""
        self.network.lose_flows(TLS_PORT)


@contextlib.contextmanager
def running_machine(
    accelerators: tuple[str, ...] = tuple(ACCELERATORS), say: Callable[[str], None] = print
) -> Iterator[Machine]:
    """With the service installed and started. `accelerators`: tried in this order; `say` hears which it was."""
    disk, packages = image(), wheels()
    with tempfile.TemporaryDirectory(prefix="nmv-", dir="/tmp") as made, Network() as network:
        directory = Path(made)
        with ControlServer(network, directory) as server:
            seed = _seed(directory / "seed.tar", packages, server)
            with _booted(disk, network, directory, seed, accelerators, say) as guest:
                machine = Machine(guest, server, network)
                say(f"Linux {guest.out('uname -r')}, {guest.out('systemctl --version').splitlines()[0]}")
                machine.install()
                yield machine


@contextlib.contextmanager
def _booted(
    disk: Image,
    network: Network,
    directory: Path,
    seed: Path,
    accelerators: tuple[str, ...],
    say: Callable[[str], None],
) -> Iterator[Guest]:
    """A guest that has slept once, by the first accelerator with which one does."""
    with contextlib.ExitStack() as running:
        for accelerator in accelerators:
            own = directory / accelerator
            own.mkdir()
            trying = running.enter_context(contextlib.ExitStack())
            began = time.monotonic()
            try:
                guest = trying.enter_context(Guest(disk, network, own, accelerator, seed))
                guest.sleep(1.0)
            except (AssertionError, OSError, RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
                trying.close()
                if accelerator == accelerators[-1]:
                    raise
                say(f"not by {accelerator}: {error}")
            else:
                took = time.monotonic() - began
                say(f"processor by {accelerator}; started, and slept for a moment, within {took:.0f} s")
                break
        yield guest


def _seed(path: Path, packages: Path, server: ControlServer) -> Path:
    """What goes into the guest: the tracked files, wheels, the key, and whom to trust."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(path, "w") as tar:
        for name in filter(None, listed.decode().split("\0")):
            if (ROOT / name).is_file():
                tar.add(ROOT / name, f"netmap-supervisor/{name}", filter=_roots)
        for wheel in sorted(packages.iterdir()):
            tar.add(wheel, f"seed/wheels/{wheel.name}", filter=_roots)
        for file in (server.key, server.issuer):
            tar.add(file, f"seed/{file.name}", filter=_roots)
    # A disk has whole sectors; tar's records are of twenty.
    assert path.stat().st_size % 512 == 0
    return path


def _roots(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
