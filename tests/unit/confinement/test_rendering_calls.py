"""What the webhooks' process may call besides, where it renders templates: a fork, and its bounds."""

from __future__ import annotations

import msgspec
import pytest

from netmap_actors.boot import Boot, Endpoints, Secrets, WebhooksSettings
from netmap_actors.confinement.seccomp_calls import AARCH64, X86_64, Architecture
from netmap_actors.confinement.seccomp_filter import ALLOW, COUNTED, program
from netmap_actors.confinement.seccomp_rows import rules
from tests.support.machines.bpf_machine import run

PID = 4711
NAMES = ("supervisor", "liveness", "publisher", "updates", "requests")
BOOT = Boot(
    run="0" * 16,
    actor="webhooks",
    generation=1,
    parent_pid=1,
    life_fd=3,
    endpoints=Endpoints(**{name: f"ipc:///run/{name}" for name in NAMES}),
    secrets=Secrets(supervisor="00" * 32),
    settings=msgspec.Raw(
        msgspec.json.encode(WebhooksSettings(directory="/s", webhooks=msgspec.Raw(b"[]"), templates=("/t",)))
    ),
)


@pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=lambda one: one.name)
def test_who_renders_templates_forks_and_bounds_what_it_forked_and_starts_no_program(
    machine: Architecture,
) -> None:
    code = program(machine, rules(BOOT, PID), COUNTED)

    def told(call: str, *arguments: int) -> int:
        return run(code, machine.numbers[call], machine.audit, arguments)

    fork, new_pid_namespace = 0x1200011, 0x2000_0000
    allowed = [("clone", fork), ("clone", 17), ("clone", 0x3D0F00), ("wait4", 7), ("setitimer", 0)]
    allowed += [("prlimit64", 0, 9, 0x7000, 0), ("prctl", 1, 9), ("prctl", 15)]
    refused = [
        ("clone", fork | new_pid_namespace),
        ("clone", fork | 1 << 32),
        ("execve", 1),
        ("setitimer", 1),
    ]
    refused += [("prlimit64", 1, 9, 0x7000, 0), ("prctl", 1, 0), ("kill", PID + 1, 9), ("pidfd_open", 1)]
    assert {one: told(*one) for one in allowed} == dict.fromkeys(allowed, ALLOW)
    assert {one: told(*one) for one in refused} == dict.fromkeys(refused, COUNTED)
