"""A running guest: commands in it, its sleeps, the journal of the service as it is written, its end.

Moments are seconds of the guest's own CLOCK_BOOTTIME throughout: how fast this machine emulates it is no fact about the
daemon.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.support.waiting import wait_for
from tests.vm.network import MANAGEMENT
from tests.vm.qemu import Qemu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.vm.image import Image
    from tests.vm.network import Network

__all__ = ["EVENT_LIMIT", "Entry", "Guest", "Sleep"]

BOOT_LIMIT = 600.0
SILENT = 20.0
"""Seconds within which a kernel prints its first line, on the slowest machine."""
COMMAND_LIMIT = 180.0
EVENT_LIMIT = 180.0
"""Seconds of this machine until something has to show that is then judged by the guest's clock."""
FALL_ASLEEP = 120.0
POWEROFF_LIMIT = 120.0
LOOK = 0.2
_BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
_FIELDS = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER"


@dataclass(frozen=True)
class Entry:
    """One line of the service's journal: of the daemon itself, or of systemd about it."""

    monotonic: float
    priority: int
    by: str
    text: str
    event: dict[str, Any] | None
    """The daemon's line, taken apart."""


@dataclass(frozen=True)
class Sleep:
    """When user space stopped and when it ran again."""

    began: float
    ended: float

    @property
    def middle(self) -> float:
        """Whatever bears a later moment happened after the wake: none passed between."""
        return (self.began + self.ended) / 2

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Guest:
    """A context manager: inside it the guest has booted; on leaving everything that was started is gone."""

    def __init__(
        self, image: Image, network: Network, directory: Path, accelerator: str, seed: Path | None = None
    ) -> None:
        self._network = network
        self._directory = directory
        self.accelerator = accelerator
        self.qemu = Qemu(image, network, directory, accelerator, seed)
        self._ssh = [
            *network.namespace.prefix,
            *("ssh", "-F", "/dev/null", "-i", str(image.key), "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *(
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "ConnectTimeout=15",
            ),
            *("-o", f"ControlPath={directory / 'ssh.sock'}"),
        ]
        self._there = f"root@{MANAGEMENT.guest}"
        self._processes = contextlib.ExitStack()
        self._journal = directory / "journal.json"
        self._offset: float | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            opening.enter_context(self.qemu)
            opening.callback(self._hang_up)
            self.wait_booted()
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        with self._opened, contextlib.suppress(subprocess.SubprocessError, TimeoutError):
            self.run("systemctl poweroff --no-block", limit=30.0, check=False)
            wait_for(lambda: not self.qemu.running, POWEROFF_LIMIT, "the guest is off", every=LOOK)

    # --- commands ---------------------------------------------------------------------------------------------

    def wait_booted(self, limit: float = BOOT_LIMIT) -> None:
        """Until ssh answers; then one connection is kept for every command."""
        self._hang_up()

        began = time.monotonic()

        def answers() -> bool:
            silent = time.monotonic() - began > SILENT and self.qemu.console.stat().st_size == 0
            assert not silent, "the guest's kernel says nothing"
            assert self.qemu.running, f"QEMU ended while its guest was starting; see {self.qemu.console}"
            tried = [*self._ssh, "-o", "ControlPath=none", self._there, "true"]
            with contextlib.suppress(subprocess.TimeoutExpired):
                return subprocess.run(tried, capture_output=True, timeout=60, check=False).returncode == 0
            return False

        wait_for(answers, limit, "the guest has started", every=1.0)
        master = [*self._ssh, "-M", "-N", self._there]
        self._spawn(master, subprocess.DEVNULL)
        wait_for((self._directory / "ssh.sock").exists, 60.0, "a kept connection to the guest")

    def run(
        self, command: str, *, limit: float = COMMAND_LIMIT, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A command of bash in the guest, as root. With `check` it has to succeed."""
        there = f"bash -c {shlex.quote(command)}"
        done = subprocess.run(
            [*self._ssh, self._there, there], capture_output=True, text=True, timeout=limit, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command!r} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done

    def out(self, command: str, *, limit: float = COMMAND_LIMIT) -> str:
        """Standard output of a command, without the last line break."""
        return self.run(command, limit=limit).stdout.rstrip("\n")

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Make a file in the guest."""
        self.run(f"printf %s {shlex.quote(text)} >{path} && chmod {mode} {path}")

    def now(self) -> float:
        """CLOCK_BOOTTIME."""
        return float(self.out("cat /proc/uptime").split()[0])

    def reboot(self) -> None:
        """As an administrator would; the journal has to be followed anew."""
        boot = self.out(_BOOT_ID)
        self.run("systemctl reboot --no-block")

        def another() -> bool:
            asked = [*self._ssh, "-o", "ControlPath=none", self._there, _BOOT_ID]
            with contextlib.suppress(subprocess.TimeoutExpired):
                told = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
                return told.returncode == 0 and told.stdout.strip() != boot
            return False

        self._hang_up()
        wait_for(another, BOOT_LIMIT, "the guest has started again", every=1.0)
        self.wait_booted()

    def _spawn(self, command: list[str], out: Any) -> None:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
        self._processes.callback(process.wait)
        self._processes.callback(process.terminate)

    def _hang_up(self) -> None:
        self._processes.close()
        (self._directory / "ssh.sock").unlink(missing_ok=True)

    # --- the journal of the service ---------------------------------------------------------------------------

    def follow(self, unit: str) -> None:
        """From now on keep what the journal says of this boot about `unit`."""
        command = (
            f"journalctl --boot --follow --no-tail --unit={unit} --output=json --output-fields={_FIELDS}"
        )
        self._offset = None
        with self._journal.open("wb") as kept:
            self._spawn([*self._ssh, self._there, command], kept)

    def entries(self) -> list[Entry]:
        """Everything since the boot, in order."""
        *lines, _partial = self._journal.read_bytes().split(b"\n")
        return [_entry(line) for line in lines]

    def boottime_of(self, entry: Entry) -> float:
        """When it was written, by the clock of everything else here: the journal's does not run in sleep."""
        if self._offset is None:
            ask = "import time; print(time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())"
            self._offset = float(self.out(f"python3 -c {shlex.quote(ask)}"))
        return entry.monotonic + self._offset

    def events(self, name: str = "", *, after: float = 0.0, **fields: object) -> list[dict[str, Any]]:
        """The daemon's events since this moment that have these fields; of any name without one."""
        found = (entry.event for entry in self.entries() if entry.event is not None)
        return [
            event
            for event in found
            if event["boottime"] >= after
            and name in {"", event["event"]}
            and all(event.get(key) == value for key, value in fields.items())
        ]

    def wait_event(
        self, name: str, *, after: float = 0.0, limit: float = EVENT_LIMIT, **fields: object
    ) -> dict[str, Any]:
        """The first such event. `limit`: of this machine's time."""
        what = f"{name} {fields or ''} after {after:.1f} in the journal"
        return wait_for(lambda: self.events(name, after=after, **fields), limit, what, every=LOOK)[0]

    def wait_entry(self, fact: Callable[[Entry], object], what: str, limit: float = EVENT_LIMIT) -> Entry:
        """The first entry the fact holds for."""
        return wait_for(lambda: [one for one in self.entries() if fact(one)], limit, what, every=LOOK)[0]

    # --- sleep ------------------------------------------------------------------------------------------------

    def sleep(self, seconds: float, meanwhile: Callable[[], object] | None = None) -> Sleep:
        """Suspend to memory for so long; `meanwhile` is called while it sleeps."""
        self._offset = None
        told = f"/run/slept-{time.monotonic_ns()}"
        nap = (
            "read -r began _ </proc/uptime; echo mem >/sys/power/state || exit; "
            f'read -r ended _ </proc/uptime; echo "$began $ended" >{told}'
        )
        # Not over ssh itself, which would hang while the guest sleeps.
        when = "systemd-run --quiet --collect --on-active=0.3 --timer-property=AccuracySec=10ms"
        self.run(f"{when} /bin/sh -c {shlex.quote(nap)}")
        wait_for(lambda: self.qemu.state() == "suspended", FALL_ASLEEP, "the guest sleeps", every=0.05)
        wakes_at = time.monotonic() + seconds
        if meanwhile is not None:
            meanwhile()
        time.sleep(max(0.0, wakes_at - time.monotonic()))
        assert self.qemu.state() == "suspended", "the guest woke up by itself"
        self.qemu.ask("system_wakeup")

        def told_how_long() -> list[str]:
            return self.run(f"cat {told} 2>/dev/null", check=False).stdout.split()

        began, ended = wait_for(told_how_long, EVENT_LIMIT, "the guest says how long it slept", every=LOOK)
        return Sleep(float(began), float(ended))


def _entry(line: bytes) -> Entry:
    record = json.loads(line)
    message = record.get("MESSAGE")
    # What is not text comes as a list of numbers.
    text = bytes(message).decode(errors="replace") if isinstance(message, list) else str(message)
    by = str(record.get("SYSLOG_IDENTIFIER", ""))
    event = None
    if by != "systemd" and text.startswith("{"):
        event = json.loads(text)
    return Entry(int(record["__MONOTONIC_TIMESTAMP"]) / 1e6, int(record["PRIORITY"]), by, text, event)
