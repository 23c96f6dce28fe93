"""The inventory, read by Ansible itself: through a script as the docs have it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.exports import ansible
from tests.support.netmaps.built_netmap import DOMAIN, built_netmap
from tests.support.netmaps.recorded_netmap import recorded_netmap
from tests.support.netmaps.shown_netmap import EVIL
from tests.support.programs import reads

if TYPE_CHECKING:
    from netmap_actors.subscriber import Netmap


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    """Runs one of Ansible's programs on an inventory script that answers with this netmap."""

    def ask(program: str, netmap: Netmap, *words: str) -> str:
        shown = ansible.inventory(netmap, state="fresh")
        (tmp_path / "all.json").write_text(ansible.text(shown))
        script = tmp_path / "inventory"
        script.write_text(f'#!/bin/sh\n[ "$1" = --list ] && cat {tmp_path}/all.json || echo "{{}}"\n')
        script.chmod(0o755)
        (tmp_path / "ansible.cfg").write_text(
            "[defaults]\n[inventory]\nenable_plugins = script\nunparsed_is_failed = true\n"
        )
        settings = {
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
            "ANSIBLE_HOME": str(tmp_path / "home"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "temporary"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "PATH": os.environ["PATH"],
        }
        return reads(program, "-i", str(script), *words, env=settings)

    return ask


def test_ansible_reads_a_recorded_tailnet(asked: Any) -> None:
    netmap = recorded_netmap(until="db1 connection closed")
    said = asked("ansible-inventory", netmap, "--list")
    assert "WARNING" not in said
    shown = json.loads(said)
    ours = ansible.inventory(netmap, state="fresh")
    about = ours["all"].pop("vars")
    for name, variables in ours["_meta"]["hostvars"].items():
        assert shown["_meta"]["hostvars"][name] == variables | about
    groups = {name: group["hosts"] for name, group in ours.items() if name not in {"_meta", "all"}}
    assert {name: shown[name]["hosts"] for name in groups} == groups
    assert set(shown["all"]["children"]) == {"ungrouped", *groups}


def test_what_nodes_call_themselves_is_never_evaluated(asked: Any, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    bad = f"{{{{ lookup('pipe', 'touch {proof}') }}}}"
    netmap = built_netmap(
        {
            "name": f"web.{DOMAIN}",
            "hostname": bad,
            "os": f"{{% if x %}}{EVIL}",
            "tags": [f"tag:{bad}", "tag:a,b", "tag:!x"],
        },
        {"name": f"localhost.{DOMAIN}"},
        {"name": f"all.{DOMAIN}"},
        domain=bad,
    )
    said = asked("ansible-inventory", netmap, "--list")
    assert "WARNING" not in said
    shown = json.loads(said)
    assert set(shown["_meta"]["hostvars"]) == {"web", f"localhost.{DOMAIN}", f"all.{DOMAIN}"}
    message = "{{ netmap_hostname }} {{ netmap_os }} {{ netmap_tags }} {{ netmap_domain }}"
    told = asked("ansible", netmap, "web", "-c", "local", "-m", "debug", "-a", f"msg='{message}'")
    assert "touch" in told, "it is shown"
    assert not proof.exists()
