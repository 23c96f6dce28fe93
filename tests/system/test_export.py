"""`export` against a real daemon: what a resolver reads, what stays on a full disk, what follows a change."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.tailnet.shared_parts import Aspect
from tests.support.availability import unavailable
from tests.support.processes.daemon import PROGRAM, Daemon
from tests.support.processes.exporting import LIMIT, following, wait_text
from tests.support.servers.scripted import joined
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers.scripted import Control

UNSHARED = ("unshare", "--mount", "--propagation", "private", "--", "sh", "-c")


@pytest.fixture
def quiet(control: Control, daemon: Callable[..., Daemon]) -> Daemon:
    """A daemon whose netmap changes only when the test says so."""
    running = daemon(*joined(control))
    running.wait_fresh()
    return running


@pytest.fixture
def private_mounts() -> None:
    """This machine lets us mount something that nobody else sees."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        unavailable("a mount namespace needs root and unshare")
    tried = subprocess.run(
        [*UNSHARED, "mount -t tmpfs none /mnt"], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        unavailable(f"cannot mount in a namespace of our own: {tried.stderr.strip()}")


def addresses_in(text: str) -> dict[str, set[str]]:
    """Addresses by name, as hosts(5) has it."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        for name in words[1:]:
            found.setdefault(name, set()).add(words[0])
    return found


# Once


def test_each_format_is_the_netmap(quiet: Daemon) -> None:
    netmap = json.loads(quiet.command("netmap", "--json", check=True).stdout)
    own = netmap["self"]["name"]
    expected = {
        node["name"]: {str(ipaddress.ip_interface(one).ip) for one in node["addresses"]}
        for node in [netmap["self"], *netmap["peers"]]
    }
    assert len(expected) == 6
    others = {name: addresses for name, addresses in expected.items() if name != own}

    shown = json.loads(quiet.command("export", "json", check=True).stdout)
    # A keep-alive may have come between the two.
    assert min(shown.pop("age_s"), netmap.pop("age_s")) >= 0.0
    assert shown == netmap

    for flags, nodes in (((), others), (("--include-self",), expected)):
        hosts = addresses_in(quiet.command("export", "hosts", *flags, check=True).stdout)
        assert {name: hosts[name] for name in nodes} == nodes
        assert hosts.keys() - nodes.keys() == {name.partition(".")[0] for name in nodes}

    flags = ("--port=9100", "--include-self")
    groups = json.loads(quiet.command("export", "prometheus-sd", *flags[:1], check=True).stdout)
    assert {group["labels"]["__meta_netmap_name"] for group in groups} == others.keys()
    groups = json.loads(quiet.command("export", "prometheus-sd", *flags, check=True).stdout)
    assert {group["labels"]["__meta_netmap_name"] for group in groups} == expected.keys()
    for group in groups:
        address, _, port = group["targets"][0].rpartition(":")
        assert address in expected[group["labels"]["__meta_netmap_name"]]
        assert port == "9100"
    marked = [group["labels"] for group in groups if group["labels"]["__meta_netmap_self"] == "true"]
    assert [labels["__meta_netmap_name"] for labels in marked] == [own]


@pytest.mark.netns
@pytest.mark.usefixtures("private_mounts")
def test_a_resolver_finds_every_node_and_record_in_the_hosts_file(
    control: Control, quiet: Daemon, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    own = json.loads(quiet.command("netmap", "--json", check=True).stdout)["self"]["name"]
    record = f"grafana.{own.partition('.')[2]}"
    records = [(record, "10.9.8.7"), (record, "fd7a::9"), ("github.com", "10.9.8.7")]
    dns = {"Domains": [own.partition(".")[2]], "ExtraRecords": [{"Name": n, "Value": v} for n, v in records]}
    control.server.call(lambda it: it._tailnet.set_aspect(Aspect.DNS, json.dumps(dns).encode()))
    control.server.tailnet.set_online(control.server.nodes()[0].id, online=False)
    with following(quiet, "hosts", "-o", str(hosts), err=tmp_path / "err"):
        text = wait_text(hosts, f"10.9.8.7\t{record}")
    assert "Left out of the DNS records: 1 outside the tailnet's domain." in text
    expected = addresses_in(text)
    assert len(expected) == 11
    assert expected[record] == {"10.9.8.7", "fd7a::9"}
    for name, addresses in expected.items():
        found: set[str] = set()
        # getent asks for one family at a time; the machine's own /etc/hosts stays what it is.
        for database in ("ahostsv4", "ahostsv6"):
            script = f"mount --bind {shlex.quote(str(hosts))} /etc/hosts && getent -s files {database} {name}"
            shown = subprocess.run(
                [*UNSHARED, script], capture_output=True, text=True, check=False, timeout=LIMIT
            )
            assert shown.returncode == 0, f"{name}: {shown.stderr}"
            found |= {line.split()[0] for line in shown.stdout.splitlines()}
        assert {one for one in found if not one.startswith("::ffff:")} == addresses, name


@pytest.mark.parametrize("form", ["hosts", "json", "prometheus-sd", "zone", "ansible", "template"])
def test_a_file_that_says_the_same_is_not_touched_and_its_command_does_not_run(
    quiet: Daemon, tmp_path: Path, form: str
) -> None:
    out, ran, template = tmp_path / "out", tmp_path / "ran", tmp_path / "t.j2"
    template.write_text("{{ peers | length }} {{ state }}\n")
    words = (form, str(template)) if form == "template" else (form,)
    arguments = (
        "export",
        *words,
        "-o",
        str(out),
        "--exec",
        f"""sh -c 'cat "$NETMAP_EXPORT_FILE" >> {ran}'""",
    )
    quiet.command(*arguments, check=True)
    first, content = out.stat(), out.read_bytes()
    assert ran.read_bytes() == content
    quiet.command(*arguments, check=True)
    assert out.stat() == first
    assert ran.read_bytes() == content


def test_a_command_that_fails_is_told_and_the_file_is_there(quiet: Daemon, tmp_path: Path) -> None:
    out = tmp_path / "hosts"
    shown = quiet.command("export", "hosts", "-o", str(out), "--exec", "sh -c 'exit 3'")
    assert shown.returncode == 1
    assert "ended with exit status 3" in shown.stderr
    assert out.exists()


def test_a_netmap_that_is_not_fresh_is_exported_and_says_so(control: Control, quiet: Daemon) -> None:
    control.server.tailnet.remove_node("client", end_stream=True)
    quiet.wait_status(lambda status: status["netmap"]["state"] == "stale", 30.0, "a stale netmap")
    shown = quiet.command("export", "hosts")
    assert shown.returncode == 0
    assert "STALE" in shown.stdout
    assert len(addresses_in(shown.stdout)) == 10
    assert "warning: stale" in shown.stderr
    groups = json.loads(quiet.command("export", "prometheus-sd").stdout)
    assert {group["labels"]["__meta_netmap_state"] for group in groups} == {"stale"}


def test_without_any_netmap_nothing_is_written(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    # Nobody listens on port 9 of this machine.
    (tmp_path / "key").write_text("nobody")
    (tmp_path / "key").chmod(0o600)
    running = daemon("--control-url=http://127.0.0.1:9", f"--auth-key=file:{tmp_path / 'key'}")
    running.wait_status(lambda status: status["connection"]["attempts"] > 0, LIMIT, "an attempt")
    out = tmp_path / "hosts"
    out.write_text("old\n")
    for arguments in (("-o", str(out)), ()):
        shown = running.command("export", "hosts", "--timeout", "1s", *arguments)
        assert shown.returncode == 1
        assert "cannot export the netmap: none has come within 1 s" in shown.stderr
        assert shown.stdout == ""
    assert out.read_text() == "old\n"


def test_two_at_once_both_leave_whole_files(quiet: Daemon, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = {
        form: quiet.command("export", form, check=True).stdout.encode() for form in ("hosts", "prometheus-sd")
    }
    for _ in range(3):
        both = [quiet.spawn_command("export", form, "-o", str(out), "--timeout=20s") for form in whole]
        seen = set()
        while any(process.poll() is None for process in both):
            if out.exists():
                seen.add(out.read_bytes())
        assert [process.returncode for process in both] == [0, 0]
        assert seen | {out.read_bytes()} <= set(whole.values())
    assert [path.name for path in out.parent.glob("*export*")] == []


# Names that others choose


def test_neither_this_machine_nor_what_programs_look_for_is_found_at_a_members_node(
    control: Control, quiet: Daemon
) -> None:
    machine = os.uname().nodename.partition(".")[0].lower()
    tailnet = control.server.tailnet
    for name in (machine, "wpad", "isatap", "localhost", "ordinary"):
        tailnet.add_node(name)
    own = json.loads(quiet.command("netmap", "--json", check=True).stdout)["self"]["name"]
    domain = f".{own.partition('.')[2]}"

    def all_there() -> dict[str, set[str]] | None:
        found = addresses_in(quiet.command("export", "hosts", check=True).stdout)
        return found if f"ordinary{domain}" in found else None

    found = wait_for(all_there, LIMIT, "the new nodes")
    assert "ordinary" in found
    assert {f"wpad{domain}", f"isatap{domain}", f"localhost{domain}", f"{machine}{domain}"} <= found.keys()
    assert not {machine, "wpad", "isatap", "localhost"} & found.keys()
    short = quiet.command("export", "hosts", "--suffix", "no domain")
    assert (short.returncode, "is no domain" in short.stderr) == (2, True)
    for wrong in (("json", "--include-self"), ("prometheus-sd", "--suffix", "x.example")):
        assert quiet.command("export", *wrong).returncode == 2


# A disk that takes no more


def test_past_the_limit_of_a_files_size_the_old_one_stays(quiet: Daemon, tmp_path: Path) -> None:
    out = tmp_path / "d" / "netmap.json"
    out.parent.mkdir()
    out.write_text("old\n")
    shown = subprocess.run(
        [*PROGRAM, "export", "json", "-o", str(out), f"--runtime-dir={quiet.runtime_dir}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert shown.returncode == 1
    assert f"cannot write {out}: File too large" in shown.stderr
    assert [path.read_text() for path in out.parent.iterdir()] == ["old\n"]


@pytest.mark.netns
@pytest.mark.usefixtures("private_mounts")
def test_on_a_full_disk_the_old_file_stays_and_a_follower_writes_when_there_is_room(
    control: Control, quiet: Daemon, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [*PROGRAM, "export", "json", "--follow", "-o", str(disk / "netmap.json")]
    script = (
        f"mount -t tmpfs -o size=128k none {disk} && cp /dev/zero {disk}/ballast 2>/dev/null; "
        f"printf old > {disk}/netmap.json 2>/dev/null; "
        f"exec {shlex.join(command)} --runtime-dir={quiet.runtime_dir}"
    )
    err = tmp_path / "err"
    with err.open("wb") as errors:
        process = subprocess.Popen([*UNSHARED, script], stderr=errors)
    try:
        # Through its root the test sees the disk that only the follower has.
        inside = Path(f"/proc/{process.pid}/root{disk}")
        wait_text(err, f"cannot write {disk}/netmap.json: No space left on device")
        assert sorted(path.name for path in inside.iterdir()) == ["ballast", "netmap.json"]
        (inside / "ballast").unlink()
        control.server.tailnet.set_online(control.server.nodes()[0].id, online=False)
        shown = wait_for(lambda: _json(inside / "netmap.json"), LIMIT, "the file once there is room")
        assert shown["state"] == "fresh"
        wait_text(err, "can be written again")
        assert [path.name for path in inside.iterdir()] == ["netmap.json"]
    finally:
        process.terminate()
        process.wait(LIMIT)


def _json(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text())
    return None


# Following


def test_a_change_is_written_soon_and_the_command_runs_with_it(
    control: Control, quiet: Daemon, tmp_path: Path
) -> None:
    out, ran, err = tmp_path / "hosts", tmp_path / "ran", tmp_path / "err"
    command = f"""sh -c 'grep -c added "$NETMAP_EXPORT_FILE" >> {ran}'"""
    with following(quiet, "hosts", "-o", str(out), "--exec", command, err=err) as process:
        wait_text(ran, "0\n")
        control.server.tailnet.add_node("added")
        wait_text(out, "\tadded.")
        wait_text(ran, "0\n2\n")  # a line for each of its addresses
        control.server.tailnet.remove_node("added")
        wait_for(lambda: "added" not in out.read_text(), LIMIT, "the node is gone from the file")
        wait_text(ran, "0\n2\n0\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 0
    assert "ended with exit status 1" in err.read_text(), "grep found nothing"


def test_many_changes_are_few_writes_and_the_last_one_is_among_them(
    control: Control, quiet: Daemon, tmp_path: Path
) -> None:
    out, ran = tmp_path / "hosts", tmp_path / "ran"
    command = f"sh -c 'echo x >> {ran}'"
    with following(quiet, "hosts", "-o", str(out), "--exec", command, err=tmp_path / "err") as process:
        wait_text(ran, "x")
        word = control.server.nodes()[0].id
        for number in range(40):
            control.server.tailnet.rename(word, f"renamed-{number}")
        wait_text(out, "renamed-39")
        process.terminate()
        assert process.wait(LIMIT) == 0
    assert "renamed-39" in out.read_text()
    assert len(ran.read_text().split()) < 20


def test_what_changed_just_before_the_end_is_written(control: Control, quiet: Daemon, tmp_path: Path) -> None:
    out, ran = tmp_path / "hosts", tmp_path / "ran"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = f"""sh -c 'cat {fifo}; grep -c added "$NETMAP_EXPORT_FILE" >> {ran}; true'"""
    with following(quiet, "hosts", "-o", str(out), "--exec", command, err=tmp_path / "err") as process:
        wait_text(out, "State: fresh")
        control.server.tailnet.add_node("added")
        wait_text(out, "\tadded.")
        # The first run still waits; the end waits for it and for the one that is due.
        process.terminate()
        fifo.write_text("")
        wait_text(ran, "2\n")
        fifo.write_text("")
        assert process.wait(LIMIT) == 0
    assert ran.read_text() == "2\n2\n", "two addresses, two runs"


def test_it_goes_on_over_restarts_of_the_daemon_and_says_when_nobody_is_there(
    control: Control, quiet: Daemon, tmp_path: Path
) -> None:
    out, err = tmp_path / "hosts", tmp_path / "err"
    with following(quiet, "hosts", "-o", str(out), err=err) as process:
        fresh = wait_text(out, "State: fresh")
        quiet.signal_actor("publisher")
        quiet.wait_fresh()
        quiet.terminate()
        stale = wait_text(out, "STALE")
        assert addresses_in(stale) == addresses_in(fresh)
        assert "warning: stale" in err.read_text()
        control.server.tailnet.add_node("added")
        quiet.start()
        wait_text(out, "\tadded.", 30.0)
        wait_text(out, "State: fresh", 30.0)
        assert process.poll() is None


def test_a_daemon_that_comes_later_is_waited_for(
    control: Control, daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    running = daemon(*joined(control))
    running.wait_fresh()
    running.terminate()
    out = tmp_path / "hosts"
    with following(running, "hosts", "-o", str(out), err=tmp_path / "err"):
        running.start()
        wait_text(out, "State: fresh", 30.0)


def test_a_file_that_is_mounted_by_itself_is_written_in_place(
    control: Control, quiet: Daemon, tmp_path: Path, private_mounts: None
) -> None:
    """As `-v ./hosts:/run/hosts` gives it to a container."""
    outside, inside, err = tmp_path / "outside", tmp_path / "inside", tmp_path / "err"
    outside.write_text("# long before\n" * 10_000)
    outside.chmod(0o640)
    inside.touch()
    inode = outside.stat().st_ino
    command = [
        *PROGRAM,
        "export",
        "hosts",
        "--follow",
        "-o",
        str(inside),
        f"--runtime-dir={quiet.runtime_dir}",
    ]
    script = f"mount --bind {outside} {inside} && exec {shlex.join(command)}"
    with err.open("wb") as errors:
        process = subprocess.Popen([*UNSHARED, script], stderr=errors)
    try:
        wait_text(outside, "State: fresh")
        control.server.tailnet.add_node("added")
        wait_text(outside, "\tadded.")
        control.server.tailnet.remove_node("added")
        wait_for(lambda: "added" not in outside.read_text(), LIMIT, "the node is gone from the file")
        assert "long before" not in outside.read_text()
        process.terminate()
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.wait()
    assert (outside.stat().st_ino, outside.stat().st_mode & 0o777) == (inode, 0o640)
    assert inside.read_text() == "", "only the mount was written to"
    assert err.read_text().count("in place") == 1, "what may be seen half is said, once"
    assert not list(tmp_path.glob(".netmap-export*"))


def test_who_is_waited_for_is_said(tmp_path: Path) -> None:
    err = tmp_path / "err"
    with Daemon() as nobody:
        nobody.terminate()
        with following(nobody, "hosts", "-o", str(tmp_path / "hosts"), err=err) as process:
            said = wait_for(err.read_text, LIMIT, "a word")
            assert f"waiting for a daemon in {nobody.runtime_dir}" in said
            assert "--runtime-dir" in said
            process.terminate()
            assert process.wait(LIMIT) == 0


def test_a_directory_that_comes_later_is_a_warning_until_then(
    control: Control, quiet: Daemon, tmp_path: Path
) -> None:
    out, err = tmp_path / "later" / "hosts", tmp_path / "err"
    with following(quiet, "hosts", "-o", str(out), err=err):
        wait_text(err, "there is no directory")
        out.parent.mkdir()
        control.server.tailnet.add_node("added")
        wait_text(out, "\tadded.")
    assert err.read_text().count("there is no directory") == 1, "once for each reason"


def test_following_without_anything_happening_takes_no_time_of_the_processor(
    quiet: Daemon, tmp_path: Path
) -> None:
    """It sleeps until something is due: keep-alives of a second, and a heartbeat now and then."""
    out = tmp_path / "hosts"
    with following(quiet, "hosts", "-o", str(out), err=tmp_path / "err") as process:
        wait_text(out, "State: fresh")
        before = _processor_time(process.pid)
        status = quiet.status()
        assert status is not None
        later = status["uptime_s"] + 3.0
        quiet.wait_status(lambda status: status["uptime_s"] > later, LIMIT, "3 s")
        assert _processor_time(process.pid) - before < 0.5


def _processor_time(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_a_command_that_does_not_end_delays_the_end_only_so_long(quiet: Daemon, tmp_path: Path) -> None:
    out, fifo, err = tmp_path / "hosts", tmp_path / "fifo", tmp_path / "err"
    os.mkfifo(fifo)
    with following(quiet, "hosts", "-o", str(out), "--exec", f"cat {fifo}", err=err) as process:
        wait_text(out, "State: fresh")
        process.terminate()
        assert process.wait(LIMIT) == 0
    assert "still runs and is left alone" in err.read_text()
    fifo.write_text("")
