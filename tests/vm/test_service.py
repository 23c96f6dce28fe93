"""The unit of deploy/systemd under a real systemd: installed as the page says, started, hurt, reloaded, rebooted."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.waiting import wait_for
from tests.vm import page
from tests.vm.machine import CONFIG, PROGRAM, RUNTIME_DIR, UNIT, WATCHER

if TYPE_CHECKING:
    from tests.vm.guest import Guest
    from tests.vm.machine import Machine
    from tests.vm.table import Table

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

START = 90.0
"""Seconds for a start of every process on an emulated processor; some 2 s on a real one."""
WATCHDOG = 30.0
RESTART = 2.0
"""Seconds that systemd waits; RestartSec= of the unit."""
LATE = 3.0
"""Seconds by which systemd, on an emulated processor, may come late."""
CHILD = 5.0
STOP = 5.0
DYNAMIC_USERS = range(61184, 65520)
LANDLOCK = 2
"""What the guest's kernel has."""
ACTORS = ("publisher", "liveness", "control_connection")
CHILDREN = (*ACTORS, "history")
BROKEN = "[control]\nurl = 5\n"


def actor_pid(status: dict[str, Any], name: str) -> int:
    (found,) = (actor["pid"] for actor in status["actors"] if actor["name"] == name)
    return int(found)


def processes(guest: Guest) -> list[int]:
    """Everything in the service's control group."""
    return [int(pid) for pid in guest.out(f"cat /sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs").split()]


def warnings(guest: Guest, priority: str = "warning") -> list[str]:
    """What an operator finds; but for the one line about what this kernel leaves open, which is true."""
    shown = guest.out(f"journalctl --boot --unit={UNIT} --priority={priority} --output=cat --quiet")
    return [line for line in shown.splitlines() if '"event":"not_confined"' not in line]


def stays_failed(machine: Machine, code: int, table: Table, scene: str) -> None:
    """Ended with this status, and not started again for longer than systemd would wait."""
    facts = wait_for(
        lambda: (found := machine.show("ActiveState", "ExecMainStatus"))["ActiveState"] == "failed" and found,
        START,
        "the service has failed",
        every=1.0,
    )
    table.equal(scene, "exit status", facts["ExecMainStatus"], str(code))
    before = machine.show("NRestarts")["NRestarts"]
    machine.guest.run(f"sleep {RESTART + 2 * LATE:.0f}")
    after = machine.show("ActiveState", "NRestarts")
    table.equal(scene, "later", (after["ActiveState"], after["NRestarts"]), ("failed", before))


def start_again(machine: Machine) -> dict[str, Any]:
    machine.guest.run(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}", limit=600.0)
    return machine.wait_fresh()


def test_the_lines_of_the_page_lead_to_a_fresh_netmap(machine: Machine, table: Table) -> None:
    scene = "installed word by word"
    guest = machine.guest
    status = machine.wait_fresh()
    start = next(line for line in machine.install_took if "systemctl start" in line)
    table.within(scene, "`systemctl start` returned after", machine.install_took[start], 0.0, START)
    table.equal(scene, "control server", status["control"]["url"], f"https://{page.control_host()}")
    ready = guest.wait_entry(lambda one: one.text.startswith(f"Started {UNIT}"), "systemd says Started")
    (up,) = guest.events("up")
    table.within(scene, "READY after `up`", guest.boottime_of(ready) - up["boottime"], 0.0, LATE)
    table.equal(scene, "`journalctl -p warning`, besides `not_confined`", warnings(guest), [])


def test_systemctl_status_says_how_it_is(machine: Machine, table: Table) -> None:
    scene = "`systemctl status`"
    told = wait_for(
        lambda: (text := machine.show("StatusText")["StatusText"]).startswith("fresh, ") and text,
        START,
        "STATUS= says fresh",
        every=1.0,
    )
    shown = machine.guest.out(f"systemctl status {UNIT} --no-pager --full --lines=0")
    assert "Active: active (running)" in shown
    assert f'Status: "{told.split(",")[0]}' in shown
    named = [name for name in CHILDREN if f"netmap-supervisor: {name}" in shown]
    table.equal(scene, "shows fresh and the processes", ", ".join(named), ", ".join(CHILDREN))


def test_it_has_a_user_of_its_own_and_nothing_of_the_machine(machine: Machine, table: Table) -> None:
    scene = "DynamicUser, credential"
    guest = machine.guest
    pids = processes(guest)
    # The Supervisor and the nursery besides.
    assert len(pids) == len(CHILDREN) + 2
    for pid in pids:
        lines = guest.out(f"cat /proc/{pid}/status").splitlines()
        facts = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
        assert {int(uid) for uid in facts["Uid"]} <= set(DYNAMIC_USERS), facts["Uid"]
        assert facts["NoNewPrivs"] == ["1"]
        assert facts["Seccomp"] == ["2"]
        assert int(facts["CapEff"][0], 16) == int(facts["CapPrm"][0], 16) == 0
    table.equal(
        scene, "processes of that user, no capabilities, filtered calls", len(pids), len(CHILDREN) + 2
    )
    state = guest.out("stat --format='%U %a' /var/lib/private/netmap-supervisor")
    table.equal(scene, "state directory", state, "netmap-supervisor 700")
    key = shlex.quote(guest.out("cat /etc/netmap-supervisor/auth_key"))
    places = " ".join(f"/proc/{pid}/environ /proc/{pid}/cmdline" for pid in pids)
    found = guest.run(f"grep -lF -e {key} {places}", check=False).stdout.split()
    found += guest.run(f"journalctl --unit={UNIT} | grep -F -e {key}", check=False).stdout.splitlines()
    table.equal(scene, "auth key in environment, arguments or journal", found, [])


def test_an_older_kernel_confines_it_as_far_as_it_can_and_says_how_far(
    machine: Machine, table: Table
) -> None:
    guest = machine.guest
    scene = f"confined, Linux {'.'.join(guest.out('uname -r').split('.')[:2])}"
    actors = machine.wait_fresh()["actors"]
    held = {(actor["confinement"]["landlock"], actor["confinement"]["capabilities"]) for actor in actors}
    table.equal(scene, "Landlock's version and capabilities of each process", sorted(held), [(LANDLOCK, 0)])
    calls = {actor["name"]: actor["system_calls"] for actor in actors}
    table.equal(scene, "system calls", calls, {"supervisor": "refused"} | dict.fromkeys(CHILDREN, "counted"))
    (told,) = guest.events("not_confined")
    assert "TCP" in " ".join(told["left_open"]), "what this kernel cannot hold back is named"
    table.equal(
        scene, "refused system calls", [actor["refused_calls"] for actor in actors], [{}] * len(actors)
    )
    names = ("system_call_refused", "system_calls_not_filtered", "refused_system_calls_not_counted")
    told = [event["event"] for name in names for event in guest.events(name)]
    table.equal(scene, "words about it in the log", told, [])
    assert machine.wait_fresh()["degraded"] == []


def test_a_supervisor_that_stands_still_is_replaced(machine: Machine, table: Table) -> None:
    scene = "watchdog: SIGSTOP of the Supervisor"
    guest = machine.guest
    before, restarts = processes(guest), int(machine.show("NRestarts")["NRestarts"])
    at = guest.now()
    guest.run(f"kill -STOP {machine.main_pid()}")
    verdict = guest.wait_entry(
        lambda one: "Watchdog timeout" in one.text and guest.boottime_of(one) > at, "systemd's verdict"
    )
    decided = guest.boottime_of(verdict)
    table.within(scene, "verdict after", decided - at, WATCHDOG / 2 - LATE, WATCHDOG + LATE)
    started = guest.wait_event("run_started", after=at)
    table.within(scene, "started again after the verdict", started["boottime"] - decided, RESTART, START)
    machine.wait_fresh()
    table.equal(scene, "restarts by systemd", int(machine.show("NRestarts")["NRestarts"]), restarts + 1)
    assert not set(before) & set(processes(guest))


def test_a_supervisor_that_is_killed_is_replaced(machine: Machine, table: Table) -> None:
    scene = "kill -9 of the Supervisor"
    guest = machine.guest
    before, watcher = processes(guest), machine.watcher_pid()
    at = guest.now()
    gone = f"while kill -0 {' '.join(map(str, before[1:]))} 2>/dev/null; do sleep 0.05; done"
    guest.run(f"kill -9 {machine.main_pid()}; {gone}", limit=60.0)
    table.within(scene, "its processes gone after", guest.now() - at, 0.0, RESTART + LATE)
    started = guest.wait_event("run_started", after=at)
    table.within(scene, "started again after", started["boottime"] - at, RESTART, START)
    machine.wait_fresh()
    table.equal(scene, "subscriber", machine.watcher_pid(), watcher)
    table.equal(scene, "what it heard last", machine.last_state(), "fresh")


@pytest.mark.parametrize("actor", ACTORS)
def test_a_child_that_is_killed_is_no_business_of_systemd(machine: Machine, table: Table, actor: str) -> None:
    scene = f"kill -9 of `{actor}`"
    guest = machine.guest
    before = machine.wait_fresh()
    facts = tuple(machine.show("MainPID", "NRestarts").values())
    at = guest.now()
    guest.run(f"kill -9 {actor_pid(before, actor)}")
    started = guest.wait_event("actor_started", after=at, actor=actor)
    table.within(scene, "started again after", started["boottime"] - at, 0.0, CHILD)
    after = machine.wait_fresh()
    same = tuple(machine.show("MainPID", "NRestarts").values()) == facts
    table.equal(scene, "Supervisor stays, no restart by systemd", same, True)
    stay = [name for name in ACTORS if actor_pid(after, name) == actor_pid(before, name)]
    table.equal(scene, "processes that stay", stay, [name for name in ACTORS if name != actor])
    # What a priority is for: an operator who asks for warnings finds the death.
    assert any('"event":"actor_exited"' in line and f'"{actor}"' in line for line in warnings(guest))


def test_a_process_that_runs_out_of_memory_does_not_end_the_service(machine: Machine, table: Table) -> None:
    scene = "out of memory in the service's group"
    guest = machine.guest
    facts = machine.show("MainPID", "NRestarts", "ActiveState")
    limit = machine.show("MemoryMax")["MemoryMax"]
    guest.run(f"systemctl set-property --runtime {UNIT} MemoryMax=400M")
    try:
        at = guest.now()
        hog = (
            f"(echo $BASHPID >/sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs; echo 1000 >/proc/self/oom_score_adj; "
            "exec python3 -c 'kept = [bytearray(b\"x\") * 2**20 for _ in range(800)]'); exit $?"
        )
        assert guest.run(hog, check=False).returncode == 137, "the kernel kills what takes too much"
        guest.wait_entry(
            lambda one: "OOM killer" in one.text and guest.boottime_of(one) > at, "systemd hears of it"
        )
        same = machine.show("MainPID", "NRestarts", "ActiveState") == facts
        table.equal(scene, "Supervisor stays, the service is active", same, True)
    finally:
        guest.run(f"systemctl set-property --runtime {UNIT} MemoryMax={limit}")
    machine.wait_fresh()


def test_a_reload_takes_a_good_file_and_reports_a_broken_one(machine: Machine, table: Table) -> None:
    scene = "`systemctl reload`"
    guest = machine.guest
    good = guest.out(f"cat {CONFIG}") + "\n"
    pid = machine.main_pid()
    try:
        at = guest.now()
        guest.write(CONFIG, good + '\n[log]\nlevel = "debug"\n')
        table.equal(scene, "of a good file", guest.run(f"systemctl reload {UNIT}", check=False).returncode, 0)
        assert "log_level" in guest.wait_event("reloaded", after=at)["applied"]
        guest.write(CONFIG, BROKEN)
        refused = guest.run(f"systemctl reload {UNIT}", check=False)
        table.equal(scene, "of a broken file", refused.returncode, 1)
        assert any("control.url" in line for line in warnings(guest, "err")), "the journal says why"
        shown = guest.out(f"systemctl status {UNIT} --no-pager --full --lines=20")
        assert "control.url" in shown, "who looks finds out why"
        table.equal(scene, "the service after it", machine.show("ActiveState")["ActiveState"], "active")
    finally:
        guest.write(CONFIG, good)
    guest.run(f"systemctl reload {UNIT}")
    machine.wait_fresh()
    assert machine.main_pid() == pid


def test_it_stops_in_order_and_comes_back_as_the_same_node(machine: Machine, table: Table) -> None:
    scene = "`systemctl stop`"
    guest = machine.guest
    node = machine.wait_fresh()["netmap"]["self"]["stable_id"]
    watcher = machine.watcher_pid()
    at = guest.now()
    guest.run(f"systemctl stop {UNIT}")
    table.within(scene, "returned after", guest.now() - at, 0.0, STOP)
    facts = machine.show("Result", "ExecMainStatus", "ActiveState")
    table.equal(scene, "result", tuple(facts.values()), ("success", "0", "inactive"))
    order = [event["actor"] for event in guest.events("actor_exited", after=at)]
    # The last to start is the first to go.
    assert order[:2] == ["history", "control_connection"]
    assert order[-1] == "publisher", "subscribers are told before it goes"
    status = start_again(machine)
    table.equal(scene, "node after the next start", status["netmap"]["self"]["stable_id"], node)
    table.equal(scene, "subscriber", machine.watcher_pid(), watcher)


def test_a_configuration_that_cannot_be_used_is_not_tried_again(machine: Machine, table: Table) -> None:
    scene = "configuration that cannot be used"
    guest = machine.guest
    good = guest.out(f"cat {CONFIG}") + "\n"
    guest.run(f"systemctl stop {UNIT}")
    try:
        guest.write(CONFIG, BROKEN)
        assert guest.run(f"systemctl start {UNIT}", check=False, limit=600.0).returncode != 0
        stays_failed(machine, 78, table, scene)
        assert any("control.url" in line for line in warnings(guest, "err")), "the journal says why"
    finally:
        guest.write(CONFIG, good)
        start_again(machine)


def test_an_auth_key_that_is_refused_is_not_tried_again(machine: Machine, table: Table) -> None:
    scene = "auth key that is refused"
    guest = machine.guest
    node = machine.wait_fresh()["netmap"]["self"]["stable_id"]
    key, state = "/etc/netmap-supervisor/auth_key", "/var/lib/private/netmap-supervisor"
    guest.run(f"systemctl stop {UNIT} && cp --archive {key} /srv/good_key && mv {state} /srv/state")
    try:
        guest.write(key, "devkey-nobody-made-this", "600")
        guest.run(f"systemctl start {UNIT}", check=False, limit=600.0)
        stays_failed(machine, 77, table, scene)
        refused = [line for line in warnings(guest, "err") if "auth key" in line]
        assert refused, "the journal says why"
    finally:
        guest.run(f"cp --archive /srv/good_key {key}; rm -rf {state}; mv /srv/state {state}")
        status = start_again(machine)
    table.equal(scene, "node with key and state put back", status["netmap"]["self"]["stable_id"], node)


def test_another_unit_waits_for_the_netmap(machine: Machine, table: Table) -> None:
    scene = "unit with `ExecStartPre` of the page"
    guest = machine.guest
    assert page.start_condition().startswith("netmap-supervisor wait ")
    guest.write(
        "/etc/systemd/system/consumer.service",
        f"[Unit]\nRequires={UNIT}\nAfter={UNIT}\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\n"
        f"ExecStartPre={page.start_condition()}\n"
        f"ExecStart=/bin/sh -c '{PROGRAM} status -q --runtime-dir {RUNTIME_DIR}; echo $? >/srv/consumer'\n",
    )
    # The page leaves out the directory; systemd looks in this one.
    guest.run(f"ln -sf {PROGRAM} /usr/local/bin/ && systemctl daemon-reload && systemctl stop {UNIT}")
    guest.run("systemctl start consumer.service", limit=600.0)
    table.equal(scene, "`status -q` when its turn came", guest.out("cat /srv/consumer"), "0")
    machine.wait_fresh()


def test_a_reboot_ends_with_a_fresh_netmap(machine: Machine, table: Table) -> None:
    scene = "reboot"
    guest = machine.guest
    before = machine.wait_fresh()
    guest.run(f"systemctl stop {WATCHER}")
    boot_id = "cat /proc/sys/kernel/random/boot_id"
    boot = guest.out(boot_id)
    guest.reboot()
    assert guest.out(boot_id) != boot
    guest.follow(UNIT)
    after = machine.wait_fresh()
    first = guest.wait_event("first_netmap")
    table.within(scene, "fresh, by the clock that began with it", first["boottime"], 1.0, 2 * START)
    same = after["netmap"]["self"]["stable_id"] == before["netmap"]["self"]["stable_id"]
    table.equal(scene, "same node", same, True)
    table.equal(scene, "`journalctl -p warning` of this boot, besides `not_confined`", warnings(guest), [])
    machine.watch()
