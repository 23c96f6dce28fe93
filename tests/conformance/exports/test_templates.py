"""The templates of docs/examples, each read by the program it is for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.exports.template_sandbox import render
from netmap_actors.exports.template_values import template_values, with_nodes
from tests.support.availability import unavailable
from tests.support.netmaps.built_netmap import DOMAIN, built_netmap
from tests.support.netmaps.recorded_netmap import recorded_netmap
from tests.support.netmaps.shown_netmap import EVIL
from tests.support.programs import reads

if TYPE_CHECKING:
    from netmap_actors.subscriber import Netmap

TEMPLATES = Path(__file__).parents[3] / "docs" / "examples" / "templates"


def hostile() -> Netmap:
    words = [
        "a;b",
        "a{b}",
        "$x",
        "`id`",
        "a b",
        '"',
        "'",
        "\\",
        "#",
        "a\nserver x",
        EVIL,
        "-x",
        "web",
        "WEB",
        "a_b",
        "a-b",
        "é",
        "%h",
        "",
    ]
    nodes: list[dict[str, Any]] = [
        {
            "name": f"{word}.{DOMAIN}",
            "hostname": word,
            "os": word,
            "tags": [f"tag:{word}", "tag:all"],
            "user_id": 7,
        }
        for word in words
    ]
    nodes += [{"name": "web.stranger.example", "sharer_id": 9, "tags": ["tag:web"]}]
    return built_netmap(*nodes, domain=EVIL)


NETMAPS = {
    "recorded": lambda: recorded_netmap(until="db1 connection closed"),
    "hostile": hostile,
    "empty": built_netmap,
}


def made(name: str, netmap: str, directory: Path) -> Path:
    """The file that the template makes of this netmap."""
    values = with_nodes(template_values(NETMAPS[netmap](), state="fresh"))
    text = render(name, lambda wanted: (TEMPLATES / wanted).read_text(), values)
    assert "stranger" not in text
    file = directory / name.removesuffix(".j2")
    file.write_text(text)
    return file


netmaps = pytest.mark.parametrize("netmap", NETMAPS)


def test_every_template_is_tried_here() -> None:
    tried = {
        "nginx.conf.j2",
        "haproxy.cfg.j2",
        "Caddyfile.j2",
        "nftables.nft.j2",
        "ssh_config.j2",
        "dnsmasq.conf.j2",
    }
    assert {path.name for path in TEMPLATES.glob("*.j2")} == tried


@netmaps
def test_nginx(tmp_path: Path, netmap: str) -> None:
    file = made("nginx.conf.j2", netmap, tmp_path)
    (tmp_path / "main.conf").write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\ninclude {file};\n"
        "server { listen 127.0.0.1:8099; location / { proxy_pass http://registry; } }\n}\n"
    )
    reads("nginx", "-t", "-q", "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "main.conf"))


@netmaps
def test_haproxy(tmp_path: Path, netmap: str) -> None:
    file = made("haproxy.cfg.j2", netmap, tmp_path)
    (tmp_path / "main.cfg").write_text(
        "defaults\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n"
        "frontend all\n    bind 127.0.0.1:8099\n"
    )
    said = reads("haproxy", "-c", "-f", str(tmp_path / "main.cfg"), "-f", str(file))
    assert "[WARNING]" not in said
    assert "[ALERT]" not in said


@netmaps
def test_caddy(tmp_path: Path, netmap: str) -> None:
    file = made("Caddyfile.j2", netmap, tmp_path)
    settings = os.environ | {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    (tmp_path / "main").write_text(f"{{\n\tadmin off\n}}\nimport {file}\n")
    said = reads("caddy", "adapt", "--config", str(tmp_path / "main"), "--adapter", "caddyfile", env=settings)
    adapted = json.loads(said.partition("\n")[0])
    hosts = [
        host
        for server in adapted.get("apps", {}).get("http", {}).get("servers", {}).values()
        for route in server["routes"]
        for match in route["match"]
        for host in match["host"]
    ]
    values = template_values(NETMAPS[netmap](), state="fresh")
    expected = {f"{tag['identifier'].replace('_', '-')}.tailnet.localhost" for tag in values["tags"]}
    assert sorted(hosts) == sorted(expected)
    reads("caddy", "validate", "--config", str(tmp_path / "main"), "--adapter", "caddyfile", env=settings)


@pytest.mark.netns
@netmaps
def test_nftables(tmp_path: Path, netmap: str) -> None:
    if os.geteuid() != 0:
        unavailable("nft reads the kernel's tables before it checks: it needs root")
    file = made("nftables.nft.j2", netmap, tmp_path)
    reads("unshare", "--net", "nft", "-c", "-f", str(file))


@netmaps
def test_ssh(tmp_path: Path, netmap: str) -> None:
    file = made("ssh_config.j2", netmap, tmp_path)
    nodes = template_values(NETMAPS[netmap](), state="fresh")["peers"]
    named = [node for node in nodes if node["dns_name"]]
    assert len(named) == {"recorded": 7, "hostile": 1, "empty": 0}[netmap]
    for node in named[:3]:
        for name in filter(None, (node["dns_name"], node["short_name"])):
            said = reads("ssh", "-G", "-F", str(file), name).splitlines()
            assert f"hostname {node['address']}" in said
            assert f"hostkeyalias {node['dns_name']}" in said
    assert "hostname other.example" in reads("ssh", "-G", "-F", str(file), "other.example").splitlines()


@netmaps
def test_dnsmasq(tmp_path: Path, netmap: str) -> None:
    file = made("dnsmasq.conf.j2", netmap, tmp_path)
    assert "syntax check OK" in reads("dnsmasq", "--test", f"--conf-file={file}")
