"""What a template sees, what it can do with it, and what it cannot do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from netmap_actors.exports import template_sandbox
from netmap_actors.exports.remarks import CannotExport
from netmap_actors.exports.template_sandbox import render
from netmap_actors.exports.template_values import template_values, with_nodes
from tests.support.netmaps.built_netmap import DOMAIN, built_netmap
from tests.support.netmaps.recorded_netmap import recorded_netmap
from tests.support.netmaps.shown_netmap import EVIL


def values_of(*peers: Any, **choice: Any) -> dict[str, Any]:
    return with_nodes(template_values(built_netmap(*peers), state="fresh", **choice))


def made(template: str, values: dict[str, Any] | None = None, **others: str) -> str:
    sources = {"main": template, **others}
    return render("main", sources.get, values_of(f"web.{DOMAIN}") if values is None else values)


def refused(template: str, **others: str) -> str:
    with pytest.raises(CannotExport) as caught:
        made(template, **others)
    return str(caught.value)


# Values


def test_a_template_sees_the_tailnet() -> None:
    values = template_values(
        built_netmap(f"web.{DOMAIN}", records=[{"Name": "x", "Value": "y"}]), state="stale"
    )
    assert values.keys() == {
        "tailnet", "state", "domain", "suffix", "peers", "self_node", "tags", "users", "dns",
    }  # fmt: skip
    shown = (values["tailnet"], values["state"], values["domain"], values["suffix"])
    assert shown == ("default", "stale", DOMAIN, DOMAIN)
    assert values["self_node"]["address"] == "100.64.9.9"
    assert values["dns"]["ExtraRecords"] == [{"Name": "x", "Value": "y"}]
    assert json.loads(json.dumps(values)) == values, "plain values"


def test_a_node_has_its_fields_and_what_may_be_written_of_it() -> None:
    netmap = recorded_netmap(until="db1 connection closed")
    values = with_nodes(template_values(netmap, state="fresh"))
    assert [node["short_name"] for node in values["peers"]] == [
        "db1", "rsnode", "td2", "trutha", "truthb", "vm", "web1-renamed",
    ]  # fmt: skip
    for node in values["peers"]:
        known = netmap.peers[node["stable_id"]]
        assert {name: node[name] for name in known.to_json()} == known.to_json()
        assert (node["dns_name"], node["address"]) == (known.name, known.ips[0])
        assert ([*node["ipv4"], *node["ipv6"]], node["identifier"]) == (
            list(known.ips),
            node["short_name"].replace("-", "_"),
        )
    (tag,) = values["tags"]
    shown = (tag["name"], tag["identifier"], [node["short_name"] for node in tag["nodes"]])
    assert shown == ("db", "db", ["db1"])
    assert {user["login_name"]: len(user["nodes"]) for user in values["users"]} == {
        "alice": 6,
        "tagged-devices": 1,
    }


def test_the_docs_name_all_that_a_template_sees() -> None:
    page = (Path(__file__).parents[3] / "docs" / "howto" / "exports.md").read_text()
    section = page.partition("## Whatever else: templates")[2].partition("\n## ")[0]
    rows = {line.split("|")[1] for line in section.splitlines() if line.startswith("| `")}
    documented = {word for row in rows for word in re.findall(r"`(\w+)", row)}
    node = values_of(f"web.{DOMAIN}")["peers"][0]
    known = built_netmap(f"web.{DOMAIN}").peers["n1"].to_json().keys()
    filters = {"tagged", "addresses", "endpoint", "identifier", "word", "shell"}
    assert documented == {*values_of(), *(node.keys() - known), *filters}


def test_names_of_others_are_empty_and_no_two_nodes_have_one_identifier() -> None:
    peers = values_of(
        {"name": "web.stranger.example", "sharer_id": 9, "stable_id": "s1"},
        {"name": f"web.{DOMAIN}", "stable_id": "s2"},
        {"name": f"a-b.{DOMAIN}", "stable_id": "s3"},
        {"name": f"a-b.{DOMAIN}", "stable_id": "s4"},
        {"name": f"wpad.{DOMAIN}", "stable_id": "s5"},
        {"name": "", "stable_id": "s6"},
    )["peers"]
    shown = {node["stable_id"]: (node["dns_name"], node["short_name"]) for node in peers}
    assert shown == {
        "s1": ("", ""),
        "s2": (f"web.{DOMAIN}", "web"),
        "s3": ("", ""),
        "s4": ("", ""),
        "s5": (f"wpad.{DOMAIN}", ""),
        "s6": ("", ""),
    }
    assert len({node["identifier"] for node in peers}) == 6


def test_a_tag_and_a_user_have_nodes_that_can_be_reached_and_are_ours() -> None:
    tagged: dict[str, Any] = {"tags": ["tag:web"], "user_id": 7}
    values = values_of(
        {"name": f"a.{DOMAIN}", **tagged},
        {"name": f"b.{DOMAIN}", "expired": True, **tagged},
        {"name": f"c.{DOMAIN}", "addresses": ["10.0.0.0/8"], **tagged},
        {"name": "d.stranger.example", "sharer_id": 9, **tagged},
        {"name": f"e.{DOMAIN}", "tags": ["web"]},
    )
    assert len(values["peers"]) == 5
    for found in (values["tags"][0], values["users"][0]):
        assert [node["short_name"] for node in found["nodes"]] == ["a"]
    assert made("{% for n in peers | tagged('web') %}{{ n.short_name }}{% endfor %}", values) == "a"
    assert made("{% for n in peers | tagged('tag:no') %}x{% else %}none{% endfor %}", values) == "none"


def test_a_choice_is_by_tag_online_and_ourselves() -> None:
    nodes: list[Any] = [{"name": f"a.{DOMAIN}", "tags": ["tag:x"]}, {"name": f"b.{DOMAIN}", "online": True}]
    names = "{{ peers | map(attribute='short_name') | join(' ') }}"
    assert made(names, values_of(*nodes, tags=["x"])) == "a"
    assert made(names, values_of(*nodes, online_only=True)) == "b"
    assert made(names, values_of(*nodes, include_self=True)) == "a b obs"


def test_no_string_ends_a_line() -> None:
    node = {
        "name": EVIL,
        "hostname": "a\nb\u2028c\x00",
        "os": EVIL,
        "tags": ["tag:x\ny"],
        "json": b'{"CapMap":{"a\\nb":[1]}}',
    }
    values = values_of(node)
    everything = made("{{ peers }}{{ tags }}{{ users }}", values)
    assert everything.isprintable()
    assert made("{{ peers[0].hostname }}", values) == "a\\nb\\u2028c\\x00"


# Templates


def test_blocks_leave_no_lines_and_the_last_line_break_stays() -> None:
    template = "{% for n in peers %}\n    {% if true %}\n{{ n.short_name }}\n    {% endif %}\n{% endfor %}\n"
    assert made(template) == "web\n"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ '100.64.0.1' | endpoint(80) }} {{ 'fd7a::1' | endpoint('80') }}", "100.64.0.1:80 [fd7a::1]:80"),
        ("{{ 'Web-1 x' | identifier }}", "web_1_x"),
        ("{{ 'a;b {c}$d\"#\\n-é' | word }} {{ '-x' | word }} {{ '' | word }}", "a_b__c__d___-_ _-x _"),
        ("{{ 'it\\'s' | shell }}", "'it'\"'\"'s'"),
        ("{{ '<a&b>' }}", "<a&b>"),
        ("{{ peers | addresses(4) | join }} {{ peers | addresses(6) | join }}", "100.64.0.1 fd7a::1"),
        ("{{ peers | tagged('x') }}", "[]"),
        ("{{ {'a': [1]} | tojson }}", '{"a": [1]}'),
    ],
)
def test_filters(template: str, text: str) -> None:
    assert made(template) == text


def test_a_template_may_include_and_extend_others() -> None:
    base = "{% macro m(x) %}<{{ x }}>{% endmacro %}"
    assert made("{% from 'base' import m %}{{ m(1) }}{% include 'part' %}", base=base, part="p") == "<1>p"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("x\n{{ nothing }}", "main: line 2: 'nothing' is undefined"),
        ("{{ peers[0].nothing }}", "main: line 1: 'dict object' has no attribute 'nothing'"),
        ("{{ ''.__class__ }}", "main: line 1: access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ peers.append(1) }}", "main: line 1: access to attribute 'append' of 'list' object is unsafe"),
        ("{{ peers[0].update(a=1) }}", "main: line 1: access to attribute 'update'"),
        ("{{ cycler.__init__.__globals__ }}", "main: line 1: access to attribute '__init__'"),
        ("\n{% for %}", "main: line 2: Expected an expression"),
        ("{% include 'other' %}", "main: there is no other in its directory"),
        ("{% include 'main' %}", "main: its templates include each other without end"),
        ("{{ range(100001) }}", "main: line 1: Range too big"),
        ("{{ 1 / 0 }}", "main: line 1: division by zero"),
        ("{{ peers | addresses(5) }}", "main: line 1: 'ipv5'"),
        ("{{ 'a' + 1 }}", "main: line 1: can only concatenate str"),
        ("{% include 'part' %}", "part: line 2: 'no' is undefined"),
        ("{% include 'wrong' %}", "wrong: line 1: unexpected '}'"),
    ],
)
def test_what_a_template_cannot_do_is_said_with_its_line(template: str, why: str) -> None:
    assert refused(template, part="\n{{ no }}", wrong="{{ } }}").startswith(f"cannot render {why}")


def test_a_text_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_sandbox, "MAX_OUTPUT", 1 << 20)
    loop = "{% for i in range(99999) %}{{ 'x' * 100 }}{% endfor %}"
    assert "its text is longer than 1 MiB" in refused(loop)
