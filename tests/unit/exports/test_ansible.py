"""The netmap as an inventory: which hosts, in which groups, and that no string of it is a template."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.exports import ansible
from tests.support.netmaps.built_netmap import DOMAIN, built_netmap
from tests.support.netmaps.recorded_netmap import recorded_netmap
from tests.support.netmaps.shown_netmap import EVIL

if TYPE_CHECKING:
    from collections.abc import Iterator


def inventory(*peers: Any, **choice: Any) -> dict[str, Any]:
    return ansible.inventory(built_netmap(*peers), state="fresh", **choice)


def groups(shown: dict[str, Any]) -> dict[str, list[str]]:
    return {name: group["hosts"] for name, group in shown.items() if name not in {"_meta", "all"}}


def test_hosts_are_in_groups_by_what_is_known_of_them() -> None:
    shown = inventory(
        {"name": f"web.{DOMAIN}", "tags": ["tag:web", "tag:eu-1"], "os": "linux", "online": True},
        {"name": f"db.{DOMAIN}", "tags": ["tag:db"], "os": "macOS", "online": False, "user_id": 7},
        {"name": f"old.{DOMAIN}", "expired": True},
    )
    assert groups(shown) == {
        "expired_yes": ["old"],
        "online_no": ["db"],
        "online_unknown": ["old"],
        "online_yes": ["web"],
        "os_linux": ["web"],
        "os_macos": ["db"],
        "tag_db": ["db"],
        "tag_eu_1": ["web"],
        "tag_web": ["web"],
        "user_ann_example_com": ["db"],
    }
    assert shown["all"] == {
        "hosts": ["db", "old", "web"],
        "vars": {
            "netmap_tailnet": "default",
            "netmap_domain": DOMAIN,
            "netmap_state": "fresh",
            "netmap_left_out": {},
        },
    }


def test_a_user_is_a_group() -> None:
    assert groups(ansible.inventory(recorded_netmap(until="db1 connection closed"), state="fresh")) == {
        "online_no": ["rsnode", "trutha", "truthb"],
        "online_yes": ["db1", "td2", "vm", "web1-renamed"],
        "os_linux": ["db1", "td2", "trutha", "truthb", "vm", "web1-renamed"],
        "tag_db": ["db1"],
        "user_alice": ["rsnode", "td2", "trutha", "truthb", "vm", "web1-renamed"],
        "user_tagged_devices": ["db1"],
    }


def test_a_host_has_the_fields_of_its_node_as_variables() -> None:
    netmap = recorded_netmap(until="db1 connection closed")
    hosts = ansible.inventory(netmap, state="fresh")["_meta"]["hostvars"]
    assert len(hosts) == len(netmap.peers) == 7
    for node in netmap.peers.values():
        known = {f"netmap_{name}": value for name, value in node.to_json().items()}
        more = {"ansible_host": node.ips[0], "netmap_shared_in": False, "netmap_self": False}
        assert hosts[node.short_name] == known | more


def test_tags_that_look_alike_have_groups_of_their_own() -> None:
    shown = groups(
        inventory(
            {"name": f"a.{DOMAIN}", "tags": ["tag:a-b"]},
            {"name": f"b.{DOMAIN}", "tags": ["tag:a_b"]},
            {"name": f"c.{DOMAIN}", "tags": ["a_b"]},
        )
    )
    assert (shown["tag_a_b"], shown["tag_a_b_d44362d6"]) == (["b"], ["a"])


@pytest.mark.parametrize("label", ["localhost", "all", "ungrouped", "metadata"])
def test_a_name_that_means_something_else_is_written_in_full(label: str) -> None:
    assert inventory(f"{label}.{DOMAIN}")["all"]["hosts"] == [f"{label}.{DOMAIN}"]


def test_no_stranger_is_in_it_and_whatever_is_left_out_is_counted() -> None:
    shown = inventory(
        {"name": "web.stranger.example", "tags": ["tag:web"], "sharer_id": 9},
        {"name": f"web.{DOMAIN}", "sharer_id": 9},
        {"name": f"a b.{DOMAIN}"},
        {"name": f"c.{DOMAIN}", "addresses": []},
        {"name": f"d.{DOMAIN}", "decoded": False},
        f"e.{DOMAIN}",
        f"E.{DOMAIN}",
        f"f.{DOMAIN}",
    )
    assert shown["all"]["hosts"] == ["f"]
    assert shown["all"]["vars"]["netmap_left_out"] == {
        "outside the tailnet's domain": 2,
        "unreadable": 1,
        "with a name that another node has, too": 2,
        "without a valid address": 1,
        "without a valid host name": 1,
    }


def test_a_choice_is_by_tag_online_and_ourselves() -> None:
    nodes: list[Any] = [{"name": f"a.{DOMAIN}", "tags": ["tag:x"]}, {"name": f"b.{DOMAIN}", "online": True}]
    assert inventory(*nodes, tags=["x"])["all"]["hosts"] == ["a"]
    assert inventory(*nodes, online_only=True)["all"]["hosts"] == ["b"]
    assert inventory(*nodes, include_self=True)["all"]["hosts"] == ["a", "b", "obs"]
    assert inventory(*nodes, include_self=True)["_meta"]["hostvars"]["obs"]["netmap_self"] is True


def test_one_host_is_asked_for_by_name() -> None:
    shown = inventory(f"a.{DOMAIN}")
    assert json.loads(ansible.host_text(shown, "a")) == shown["_meta"]["hostvars"]["a"]
    assert json.loads(ansible.host_text(shown, "nobody")) == {}


def test_a_string_that_could_be_a_template_is_marked_as_none() -> None:
    bad = "{{ lookup('pipe', 'id') }}"
    shown = inventory({"name": f"a.{DOMAIN}", "hostname": bad, "os": bad, "tags": [f"tag:{bad}"]})
    variables = shown["_meta"]["hostvars"]["a"]
    assert variables["netmap_hostname"] == {"__ansible_unsafe": bad}
    assert variables["netmap_tags"] == [{"__ansible_unsafe": f"tag:{bad}"}]


def test_a_key_that_ansible_would_obey_is_left_out() -> None:
    node = {
        "Name": f"a.{DOMAIN}",
        "CapMap": {"__ansible_vault": "x", "__ansible_unsafe": 1, "ok": [{"a": "{%"}]},
    }
    shown = inventory({"name": f"a.{DOMAIN}", "json": json.dumps(node).encode()})
    cap_map = shown["_meta"]["hostvars"]["a"]["netmap_cap_map"]
    assert cap_map == {"ok": [{"a": {"__ansible_unsafe": "{%"}}]}


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["web", "a-b", "a_b", "{{ x }}", "{% x %}", EVIL, "all", "a,b", "!a"]
)
nodes = st.fixed_dictionaries(
    {
        "name": words.map(lambda word: f"{word}.{DOMAIN}"),
        "tags": st.lists(words.map(lambda word: f"tag:{word}"), max_size=3),
        "os": words,
        "hostname": words,
        "online": st.sampled_from([None, True, False]),
    }
)


@given(st.lists(nodes, max_size=5))
def test_whatever_nodes_say_names_are_valid_and_strings_are_data(peers: list[dict[str, Any]]) -> None:
    shown = inventory(*peers)
    assert json.loads(ansible.text(shown)) == json.loads(json.dumps(shown))
    hosts = set(shown["all"]["hosts"])
    assert shown["_meta"]["hostvars"].keys() == hosts
    for name, members in groups(shown).items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert set(members) <= hosts
        assert name not in hosts
    for host in hosts:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", host)
    assert not list(evaluated(shown))


def evaluated(value: Any) -> Iterator[str]:
    """The strings that Ansible would take for templates."""
    if isinstance(value, str) and "{" in value:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from evaluated(item)
    elif isinstance(value, dict) and value.keys() != {"__ansible_unsafe"}:
        for item in value.values():
            yield from evaluated(item)
