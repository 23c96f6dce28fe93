"""`export` of zones, inventories and templates against a real daemon, and which options a format takes."""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes.daemon import PROGRAM, Daemon
from tests.support.processes.exporting import LIMIT, following, wait_text
from tests.support.programs import reads
from tests.support.servers.scripted import joined
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers.scripted import Control


@pytest.fixture
def quiet(control: Control, daemon: Callable[..., Daemon]) -> Daemon:
    """A daemon whose netmap changes only when the test says so."""
    running = daemon(*joined(control))
    running.wait_fresh()
    return running


def test_the_formats_with_names_of_their_own_have_every_node(quiet: Daemon, tmp_path: Path) -> None:
    netmap = json.loads(quiet.command("netmap", "--json", check=True).stdout)
    expected = {
        node["name"]: {str(ipaddress.ip_interface(one).ip) for one in node["addresses"]}
        for node in netmap["peers"]
    }
    short = {name.partition(".")[0]: found for name, found in expected.items()}

    zone = quiet.command("export", "zone", check=True).stdout
    found: dict[str, set[str]] = {}
    for line in zone.splitlines():
        name, _, rest = line.partition("\tIN\t")
        kind, _, value = rest.partition("\t")
        if kind in {"A", "AAAA"}:
            found.setdefault(name, set()).add(value)
    assert {name: addresses for name, addresses in found.items() if not name.endswith(".tag")} == short
    tagged = {tag.removeprefix("tag:") for node in netmap["peers"] for tag in node["tags"]}
    assert {name.removesuffix(".tag") for name in found if name.endswith(".tag")} == tagged

    shown = json.loads(quiet.command("export", "ansible", "--list", check=True).stdout)
    assert shown == json.loads(quiet.command("export", "ansible", check=True).stdout)
    hosts = shown["_meta"]["hostvars"]
    assert {name: host["ansible_host"] in short[name] for name, host in hosts.items()} == dict.fromkeys(
        short, True
    )
    host = next(iter(short))
    assert json.loads(quiet.command("export", "ansible", "--host", host, check=True).stdout) == hosts[host]

    template = tmp_path / "names.j2"
    template.write_text("{% for node in peers %}{{ node.short_name }}\n{% endfor %}")
    text = quiet.command("export", "template", str(template), check=True).stdout
    assert text.split() == sorted(short)


def test_the_script_of_the_docs_is_an_inventory(quiet: Daemon, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "exports.md").read_text()
    script = tmp_path / "tailnet"
    script.write_text(
        page.partition("## An inventory for Ansible")[2].partition("```sh\n")[2].partition("```")[0]
    )
    script.chmod(0o755)
    program = tmp_path / "netmap-supervisor"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@" --runtime-dir={quiet.runtime_dir}\n')
    program.chmod(0o755)
    settings = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "ANSIBLE_HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
    }
    shown = json.loads(reads("ansible-inventory", "-i", str(script), "--list", env=settings))
    netmap = json.loads(quiet.command("netmap", "--json", check=True).stdout)
    assert shown["_meta"]["hostvars"].keys() == {node["name"].partition(".")[0] for node in netmap["peers"]}


def test_a_zone_that_changes_has_a_greater_serial_and_one_that_does_not_is_not_touched(
    control: Control, quiet: Daemon, tmp_path: Path
) -> None:
    out = tmp_path / "zone"

    def serial() -> int:
        return int(out.read_text().partition("\tSOA\t")[2].split()[2])

    quiet.command("export", "zone", "-o", str(out), check=True)
    # As another clock wrote it, an hour ahead of ours.
    ahead = serial() + 3600
    out.write_text(out.read_text().replace(f" {ahead - 3600} ", f" {ahead} "))
    first = out.stat().st_mtime_ns
    quiet.command("export", "zone", "-o", str(out), check=True)
    assert out.stat().st_mtime_ns == first
    control.server.tailnet.add_node("added")
    with following(quiet, "zone", "-o", str(out), err=tmp_path / "err"):
        wait_text(out, "added\tIN\tA\t")
        assert serial() == ahead + 1
        control.server.tailnet.remove_node("added")
        wait_for(lambda: "added" not in out.read_text(), LIMIT, "the node is gone from the zone")
        assert serial() == ahead + 2


def test_a_template_that_cannot_be_rendered_leaves_the_old_file(quiet: Daemon, tmp_path: Path) -> None:
    out, template, err = tmp_path / "out", tmp_path / "t.j2", tmp_path / "err"
    out.write_text("old\n")
    template.write_text("{{ nothing }}")
    shown = quiet.command("export", "template", str(template), "-o", str(out))
    assert (shown.returncode, out.read_text()) == (1, "old\n")
    assert "cannot render t.j2: line 1: 'nothing' is undefined" in shown.stderr
    with following(quiet, "template", str(template), "-o", str(out), err=err):
        wait_text(err, "'nothing' is undefined; it is tried again")
        template.write_text("{{ state }}")
        wait_text(out, "fresh")


def test_ctrl_c_while_a_template_is_rendered_ends_in_order(quiet: Daemon, tmp_path: Path) -> None:
    out, template, err = tmp_path / "out", tmp_path / "t.j2", tmp_path / "err"
    template.write_text(
        "{% for a in range(300) %}{% for b in range(30000) %}{% endfor %}{% endfor %}{{ state }}"
    )
    command = [*PROGRAM, "export", "template", str(template), "--follow", "-o", str(out)]
    with err.open("wb") as errors:
        process = subprocess.Popen(
            [*command, f"--runtime-dir={quiet.runtime_dir}"], stderr=errors, start_new_session=True
        )
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_for(children.read_text, LIMIT, "a process that renders")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.wait()
    assert out.read_text() == "fresh"
    assert err.read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("hosts", "--port=1"), "--port is for prometheus-sd only"),
        (
            ("json", "--include-self"),
            "--include-self is for hosts, prometheus-sd, zone, ansible, template only",
        ),
        (("ansible", "--origin=x.example"), "--origin is for zone only"),
        (("zone", "--host=x"), "--host is for ansible only"),
        (("zone", "x.j2"), "TEMPLATE is for template only"),
        (("template",), "export template TEMPLATE"),
        (("ansible", "--list", "--host=x"), "--list and --host exclude each other"),
        (("zone", "--reverse=100.64.0.0/10"), "one ends at /8, /16 or /24"),
        (("zone", "--origin=no domain"), "is no domain"),
    ],
)
def test_what_a_format_does_not_take_is_refused(arguments: tuple[str, ...], why: str) -> None:
    shown = subprocess.run(
        [*PROGRAM, "export", *arguments], capture_output=True, text=True, check=False, timeout=LIMIT
    )
    assert shown.returncode == 2
    assert why in " ".join(shown.stderr.split())
