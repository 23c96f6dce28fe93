"""One QEMU: its command line, its life and its monitor. Not here: what runs inside."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Self

from tests.support.host.netns import PATH
from tests.support.waiting import wait_for
from tests.vm.network import CONTROL, MANAGEMENT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.vm.image import Image
    from tests.vm.network import Network

__all__ = ["ACCELERATORS", "Qemu"]

ACCELERATORS = {"kvm": "host", "tcg": "max"}
"""What may run the guest's processor, and the model of it; the better one first."""
MEMORY = "1G"
MONITOR_LIMIT = 30.0


class Qemu:
    """A context manager: on leaving the process is gone. The guest's disk is a layer that goes with `directory`."""

    def __init__(
        self, image: Image, network: Network, directory: Path, accelerator: str, seed: Path | None = None
    ) -> None:
        """`seed`: a file that the guest finds as its second disk, read-only."""
        self.console = directory / "console.txt"
        """What the guest's kernel and systemd print."""
        self._monitor_path = directory / "monitor.sock"
        layer = directory / "layer.qcow2"
        _run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image.disk, layer)
        drives = [f"file={layer},format=qcow2,if=virtio,cache=unsafe"]
        drives += [f"file={seed},format=raw,if=virtio,readonly=on"] if seed else []
        self._command = [
            *network.namespace.prefix,
            # Nothing of it outlives the tests, whatever ends them.
            *("setpriv", "--pdeathsig", "KILL"),
            *(shutil.which("qemu-system-x86_64", path=PATH) or "qemu-system-x86_64", "-nodefaults"),
            # With q35, or with a HPET, only the first sleep is one.
            *("-machine", "pc", "-no-hpet", "-global", "PIIX4_PM.disable_s3=0"),
            *("-accel", accelerator, "-cpu", ACCELERATORS[accelerator], "-smp", "1", "-m", MEMORY),
            *("-display", "none", "-serial", f"file:{self.console}"),
            *("-qmp", f"unix:{self._monitor_path},server=on,wait=off"),
            *("-kernel", image.kernel, "-initrd", image.initrd),
            *("-append", "root=/dev/vda rw console=ttyS0 panic=-1"),
            *("-device", "virtio-rng-pci"),
            *(word for drive in drives for word in ("-drive", drive)),
            *(word for wire in (CONTROL, MANAGEMENT) for word in _card(wire.tap, wire.mac)),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._monitor: socket.socket | None = None

    def __enter__(self) -> Self:
        with self.console.with_suffix(".qemu").open("wb") as log:
            self._process = process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._monitor = wait_for(self._connect, MONITOR_LIMIT, "QEMU's monitor answers")
            self._answers = self._monitor.makefile("r", encoding="utf-8")
            self._answers.readline()  # its greeting
            self.ask("qmp_capabilities")
        except ConnectionError:
            self._end(process)
            raise RuntimeError(f"cannot run QEMU: {self._said()}") from None
        except BaseException:
            self._end(process)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process is not None
        if self._monitor is not None:
            self._answers.close()
            self._monitor.close()
        self._end(self._process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def _said(self) -> str:
        lines = self.console.with_suffix(".qemu").read_text(errors="replace").splitlines()
        return " ".join(lines[-2:])[:300] or "it ended"

    def _connect(self) -> socket.socket | None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"cannot run QEMU: {self._said()}")
        monitor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        monitor.settimeout(MONITOR_LIMIT)
        try:
            monitor.connect(os.fspath(self._monitor_path))
        except OSError:
            monitor.close()
            return None
        return monitor

    @property
    def running(self) -> bool:
        """The process has not ended."""
        return self._process is not None and self._process.poll() is None

    def ask(self, command: str, **arguments: object) -> Any:
        """What one command of the monitor returns."""
        assert self._monitor is not None
        assert self._process is not None
        order = {"execute": command} | ({"arguments": arguments} if arguments else {})
        self._monitor.sendall(json.dumps(order).encode() + b"\n")
        while True:
            line = self._answers.readline()
            if not line:
                raise RuntimeError(f"cannot {command}: QEMU has ended")
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(f"cannot {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def state(self) -> str:
        """`running`, `suspended`, `shutdown`, …"""
        return str(self.ask("query-status")["status"])

    def set_link(self, card: str, *, up: bool) -> None:
        """Plug the cable of a card in or out."""
        self.ask("set_link", name=f"card-{card}", up=up)


def _card(tap: str, mac: str) -> Sequence[str]:
    backend = f"tap,id={tap},ifname={tap},script=no,downscript=no"
    return ("-netdev", backend, "-device", f"virtio-net-pci,netdev={tap},id=card-{tap},mac={mac},romfile=")


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, timeout=60, env=os.environ | {"PATH": PATH})
