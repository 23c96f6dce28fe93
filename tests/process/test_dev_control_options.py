"""`netmap-supervisor dev-control` as a process: what each of its options does to a client."""

from __future__ import annotations

import datetime
import functools
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from netmap_supervisor.devtools import listening
from tests.support.clients.control_client import ControlClient, Node
from tests.support.processes.dev_server import DevServer, running_dev_server
from tests.support.waiting import wait_for

KEY = "devkey-auth-0123456789abcdef"
QUIET = ("--nodes=0", "--churn=0")


def joined(
    server: DevServer, name: str = "client", auth_key: str | None = None
) -> tuple[dict[str, Any], Any]:
    """The first map of a client that has joined, and the client."""
    client = ControlClient(server.url, Node(name))
    client.register(server.auth_key if auth_key is None else auth_key)
    stream = client.map()
    return client.message(stream, 0), client


def test_who_joins_finds_the_tailnet_that_was_ordered(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    relay = {"Name": "7a", "RegionID": 7, "HostName": "derp.example"}
    regions = {"Regions": {"7": {"RegionID": 7, "RegionCode": "x", "RegionName": "X", "Nodes": [relay]}}}
    (tmp_path / "derp.json").write_text(json.dumps(regions))
    (tmp_path / "policy.toml").write_text(
        '[[acls]]\naction = "accept"\nsrc = ["carol@"]\ndst = ["carol@:22"]\n'
    )
    options = (
        "--nodes=20",
        "--churn=0",
        "--domain=corp.example",
        "--user=carol@",
        "--early-payload=whole",
        f"--auth-key=file:{tmp_path}/key",
        f"--derp-map={tmp_path}/derp.json",
        f"--policy={tmp_path}/policy.toml",
    )
    with running_dev_server(*options) as server:
        assert server.auth_key == KEY
        first, client = joined(server)
        assert client.early_payload
        assert first["Node"]["Name"] == "client.corp.example."
        assert first["Domain"] == "corp.example"
        assert first["DERPMap"] == regions
        (profile,) = first["UserProfiles"]
        assert profile["LoginName"] == "carol"
        assert {peer["User"] for peer in first["Peers"]} == {profile["ID"]}
        assert len(first["Peers"]) < 20
        assert {port["Ports"]["First"] for port in first["PacketFilters"]["base"][0]["DstPorts"]} == {22}
        client.close()


def test_a_scenario_happens_at_its_seconds(tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text(
        'from = "first_map"\n[[node]]\nname = "web-1"\n'
        '[[event]]\nat = 0.2\ndo = "set_online"\nnode = "web-1"\nonline = false\n'
        '[[event]]\nat = 0.5\ndo = "set_tags"\nnode = "web-1"\ntags = ["tag:web"]\n'
    )
    with running_dev_server(*QUIET, f"--scenario={tmp_path}/short.toml") as server:
        first, client = joined(server)
        (peer,) = first["Peers"]
        assert (peer["Name"], peer["Online"]) == ("web-1.dev.netmap.example.", True)
        changes = [client.message(client.map(), 0)["Peers"][0]]
        wait_for(
            lambda: (
                changes.append(client.message(client.map(), 0)["Peers"][0])
                or changes[-1].get("Tags") == ["tag:web"]
            ),
            5.0,
            "the changed tag",
        )
        assert changes[-1]["Online"] is False
        client.close()


def test_an_open_server_asks_nobody_who_he_is() -> None:
    with running_dev_server(*QUIET, "--open", "--early-payload=off") as server:
        client = ControlClient(server.url, Node())
        assert client.register()["MachineAuthorized"]
        assert client.early_payload is None
        client.close()


def test_new_machines_wait_and_node_keys_expire_when_it_is_told_so() -> None:
    with running_dev_server(*QUIET, "--require-approval", "--key-lifetime=1h") as server:
        first, client = joined(server)
        assert "MachineAuthorized" not in first["Node"]
        left = wall_of(first["Node"]["KeyExpiry"]) - time.time()
        assert 3000 < left <= 3601
        client.close()


def wall_of(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def test_the_others_hear_after_the_grace_that_a_node_has_gone() -> None:
    with running_dev_server(*QUIET, "--offline-grace=100ms") as server:
        _, watcher = joined(server, "watcher")
        _, gone = joined(server, "gone")
        (stream,) = (response for response in watcher.responses.values() if response.messages)
        gone.close()
        watcher.wait(lambda: "false" in json.dumps([_online(message) for message in stream.messages]))
        watcher.close()


def _online(message: dict[str, Any]) -> list[object]:
    patched = [patch.get("Online") for patch in message.get("PeersChangedPatch", ())]
    return [*patched, *message.get("OnlineChange", {}).values()]


def test_the_page_lets_a_node_in_as_the_user_one_says_he_is() -> None:
    with running_dev_server(*QUIET, "--user=dave") as server:
        for user, login in (("", "dave"), ("erin@", "erin")):
            client = ControlClient(server.url, Node(f"of-{login}"))
            url = client.register()["AuthURL"]
            with urllib.request.urlopen(url, timeout=5) as page:
                assert b'name="user" value="dave"' in page.read()
            urllib.request.urlopen(url, b"answer=allow&user=" + user.encode(), timeout=5).close()
            assert client.register(Followup=url)["User"]["LoginName"] == login
            client.close()


def test_it_takes_the_files_it_may_have_and_tells_for_how_many_clients_there_is_room() -> None:
    for limits, soft, told in (("ulimit -Sn 256", 4096 + 64, False), ("ulimit -n 300", 300, True)):
        with running_dev_server(*QUIET, prefix=("sh", "-c", f'{limits}; exec "$@"', "sh")) as server:
            assert server.log is not None
            log = server.log
            limits_now = Path(f"/proc/{server.process.pid}/limits").read_text()
            assert int(limits_now.partition("Max open files")[2].split()[0]) == soft
            wait_for(functools.partial(says_all, log), 5.0, "it says all it has to say")
            assert ('"room_for_clients":236' in log.read_text()) is told


def says_all(log: Path) -> bool:
    return "Ctrl-C" in log.read_text()


@pytest.mark.parametrize(
    ("host", "warns"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("192.0.2.1", True),
        ("host.example", True),
    ],
)
def test_listening_for_other_machines_is_warned_of(
    host: str, warns: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    listening.warn_of_others(host)
    shown = capsys.readouterr()
    assert (f"warning: {host} may be reached" in shown.err) is warns
    assert shown.out == ""
