"""What systemd.md and upgrade.md have an administrator do later: files kept current, an upgrade, a backup."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.contract.site.blocks import Block, blocks, commands
from tests.support.waiting import wait_for
from tests.vm.image import ROOT
from tests.vm.machine import CONFIG, OFFLINE, SOURCE, UNIT

if TYPE_CHECKING:
    from tests.vm.machine import Machine
    from tests.vm.table import Table

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

LIMIT = 600.0
READERS = "netmap-readers"
EXPORTERS = "netmap-supervisor-export@hosts netmap-supervisor-export@prometheus-sd"


def found(page: str, language: str, word: str) -> Block:
    """The one block of the page that has this word."""
    path = ROOT / "docs" / "howto" / page
    (block,) = (
        one for one in blocks(path, path.read_text()) if one.language == language and word in one.text
    )
    return block


def do(machine: Machine, block: Block) -> None:
    """Its commands, in the tree."""
    for line in commands(block):
        machine.guest.run(f"set -eo pipefail; cd {SOURCE}; {OFFLINE}; {line}", limit=LIMIT)


def test_the_units_of_the_page_keep_files_current(machine: Machine, table: Table) -> None:
    scene = "exporters, installed word by word"
    guest = machine.guest
    good = guest.out(f"cat {CONFIG}") + "\n"
    drop_in = found("systemd.md", "ini", READERS)
    path = drop_in.text.partition("\n")[0].removeprefix("# ")
    try:
        do(machine, found("systemd.md", "", "systemd-sysusers"))
        guest.run(f"mkdir -p {path.rpartition('/')[0]}")
        guest.write(path, drop_in.text)
        guest.write(CONFIG, good + found("systemd.md", "toml", READERS).text)
        guest.run(f"systemctl daemon-reload; systemctl restart {UNIT}", limit=LIMIT)
        domain = machine.wait_fresh()["netmap"]["domain"]
        for name in ("hosts", "targets.json"):
            wait_for(
                lambda name=name: domain in guest.run(f"cat /run/tailnet/{name}", check=False).stdout,
                LIMIT,
                f"the nodes in {name}",
                every=1.0,
            )
        targets = json.loads(guest.out("cat /run/tailnet/targets.json"))
        ports = {one["targets"][0].rpartition(":")[2] for one in targets}
        table.equal(scene, "ports of the targets", ports, {"9100"})
        states = guest.out(f"systemctl is-active {EXPORTERS}").split()
        table.equal(scene, "active", states, ["active", "active"])
    finally:
        guest.run(f"systemctl disable --now {EXPORTERS}; rm -f {path}", check=False, limit=LIMIT)
        guest.write(CONFIG, good)
        guest.run(f"systemctl daemon-reload; systemctl restart {UNIT}", limit=LIMIT)


def test_an_upgrade_leaves_the_same_node(machine: Machine, table: Table) -> None:
    node = machine.wait_fresh()["netmap"]["self"]["stable_id"]
    before = machine.main_pid()
    do(machine, found("upgrade.md", "", "pip install"))
    status = machine.wait_fresh()
    assert machine.main_pid() != before
    table.equal("upgrade", "same node", status["netmap"]["self"]["stable_id"], node)


def test_a_backup_is_the_whole_node(machine: Machine, table: Table) -> None:
    guest = machine.guest
    do(machine, found("upgrade.md", "", "tar -C"))
    kept = set(guest.out(f"tar -tzf {SOURCE}/netmap-supervisor.tgz").splitlines())
    there = "find netmap-supervisor -type f -not -name '*-wal' -not -name '*-shm'"
    state = set(guest.out(f"cd /var/lib/private && {there}").splitlines())
    table.equal("backup", "files it has not", sorted(state - kept), [])
    assert any("history" in name for name in kept)
    machine.wait_fresh()
