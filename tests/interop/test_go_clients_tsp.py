"""tailscale's own protocol client, tsp, in one tailnet with tailscale's own daemon; single steps of it stand in
tests/conformance/test_tsp_client.py.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from netmap_actors.dev_control.standalone import running_server
from tests.support.peers.login_page import press
from tests.support.peers.stun_server import running_stun
from tests.support.peers.tailscaled import running_tailscaled
from tests.support.peers.tsp import Tsp, documents
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from netmap_actors.dev_control.http.state import Options

pytestmark = pytest.mark.interop

LIMIT = 15.0
GRACE = 1.0


def labels_of(response: dict[str, Any], field: str = "Peers") -> set[str]:
    return {peer["Name"].partition(".")[0] for peer in response.get(field) or []}


def online_of(responses: Iterable[dict[str, Any]], node_id: int) -> bool | None:
    """What was said last of one node, in whichever of the ways there are."""
    online: bool | None = None
    for response in responses:
        said = [(response.get("OnlineChange") or {}).get(str(node_id))]
        for field, name in (("PeersChanged", "ID"), ("PeersChangedPatch", "NodeID")):
            said += [it.get("Online") for it in response.get(field) or [] if it[name] == node_id]
        online = next((it for it in reversed(said) if it is not None), online)
    return online


def last_of(responses: Iterable[dict[str, Any]], label: str) -> dict[str, Any]:
    """The node of this name as it was told last by PeersChanged; empty if never."""
    told = [peer for response in responses for peer in response.get("PeersChanged") or []]
    return next((peer for peer in reversed(told) if peer["Name"].partition(".")[0] == label), {})


def test_two_tailscaled_and_a_tsp_see_each_other(go_tools: Path, tsp_binary: Path, tmp_path: Path) -> None:
    with ExitStack() as running:
        derp_map = running.enter_context(running_stun())
        server = running.enter_context(running_server(derp_map=derp_map, offline_grace=GRACE))
        one, two = (running.enter_context(running_tailscaled(go_tools)) for _ in range(2))
        one.up(server.url, server.auth_key, "one")
        two.up(server.url, server.auth_key, "two")
        tsp = Tsp(tsp_binary, server, tmp_path)
        tsp.make_node()
        tsp.join("-hostname", "gopher")
        output = tmp_path / "stream.json"
        with tsp.streaming(output):
            first = wait_for(lambda: documents(output), LIMIT, "its first map")[0]
            assert labels_of(first) == {"one", "two"}
            assert all(peer["Online"] and peer["Hostinfo"]["OS"] == "linux" for peer in first["Peers"])
            for daemon in (one, two):
                wait_for(
                    lambda daemon=daemon: daemon.peers().get("gopher", {}).get("Online"),
                    LIMIT,
                    "gopher is seen",
                )
            server.tailnet.set_tags("gopher", ["tag:animal"])
            wait_for(lambda: one.peers()["gopher"].get("Tags") == ["tag:animal"], LIMIT, "its tag is seen")
            wait_for(
                lambda: any((it.get("Node") or {}).get("Tags") == ["tag:animal"] for it in documents(output)),
                LIMIT,
                "it hears of its own tag",
            )
            server.tailnet.rename("two", "deux")
            wait_for(
                lambda: any(labels_of(it, "PeersChanged") == {"deux"} for it in documents(output)),
                LIMIT,
                "it hears of the new name",
            )
            server.tailnet.add_node("printer")
            wait_for(lambda: last_of(documents(output), "printer"), LIMIT, "it hears of one that has come")
            server.tailnet.set_tags("printer", ["tag:office"])
            wait_for(
                lambda: last_of(documents(output), "printer").get("Tags") == ["tag:office"],
                LIMIT,
                "it hears of the tag of another",
            )
            server.tailnet.set_routes("printer", ["10.9.0.0/16"])
            wait_for(
                lambda: "10.9.0.0/16" in last_of(documents(output), "printer")["AllowedIPs"],
                LIMIT,
                "it hears of a route",
            )
            two_id = next(node.id for node in server.nodes() if node.name.startswith("deux."))
            two.run("down")
            wait_for(lambda: online_of(documents(output), two_id) is False, LIMIT, "two is offline")
            two.run("up")
            wait_for(lambda: online_of(documents(output), two_id), LIMIT, "and back")
            request = "POST /echo HTTP/1.1\r\nHost: it\r\nContent-Length: 3\r\n\r\nhej"
            echo = server.call(lambda it: it.ping("gopher", payload=request))
            assert wait_for(lambda: server.call(lambda it: it.pong(echo)), LIMIT, "/echo").endswith(
                "\r\n\r\nhej"
            )
            server.tailnet.remove_node("one")
            one_id = next(peer["ID"] for peer in first["Peers"] if peer["Name"].startswith("one."))
            wait_for(
                lambda: any(one_id in (it.get("PeersRemoved") or []) for it in documents(output)),
                LIMIT,
                "one is gone",
            )
            ended = time.monotonic()
        wait_for(lambda: two.peers()["gopher"]["Online"] is False, LIMIT, "gopher is offline")
        assert time.monotonic() - ended > GRACE, "it had its time to come back"
        with tsp.streaming(output):
            wait_for(lambda: two.peers()["gopher"]["Online"], LIMIT, "gopher is back")


def test_a_machine_with_a_new_node_key_is_the_same_node(tsp_binary: Path, tmp_path: Path) -> None:
    with running_server() as server:
        tsp = Tsp(tsp_binary, server, tmp_path)
        machine = tmp_path / "machine"
        machine.write_text(tsp.run("new-machine-key"))
        tsp.make_node("-m", str(machine))
        tsp.join("-hostname", "gopher")
        before = tsp.map()["Node"]
        tsp.make_node("-m", str(machine))
        assert tsp.register()["AuthURL"], "the new key alone lets nobody in"
        tsp.join("-hostname", "gopher")
        after = tsp.map()["Node"]
        assert (after["ID"], after["Addresses"], after["Name"]) == (
            before["ID"],
            before["Addresses"],
            before["Name"],
        )
        assert after["Key"] != before["Key"]
        assert after["Machine"] == before["Machine"]


def hasty(options: Options) -> Options:
    return msgspec.structs.replace(options, ephemeral_grace=0.5)


def test_an_ephemeral_one_with_tags_is_forgotten_and_its_key_is_spent(
    tsp_binary: Path, tmp_path: Path
) -> None:
    with running_server() as server:
        tsp = Tsp(tsp_binary, server, tmp_path)
        key = server.call(lambda it: it.add_auth_key(ephemeral=True, reusable=False, tags=["tag:job"]))
        tsp.key.write_text(key)
        tsp.make_node()
        tsp.join("-tags", "tag:job")
        output = tmp_path / "stream.json"
        with tsp.streaming(output):
            first = wait_for(lambda: documents(output), LIMIT, "its first map")[0]
            assert first["Node"]["Tags"] == ["tag:job"]
            (node,) = server.nodes()
            assert node.ephemeral
            # Not sooner: one that takes its time between register and map would be forgotten.
            server.call(lambda it: setattr(it._control, "options", hasty(it._control.options)))
        wait_for(lambda: server.nodes() == [], LIMIT, "it is forgotten")
        with pytest.raises(AssertionError, match="authkey already used"):
            tsp.join("-tags", "tag:job")


@pytest.mark.parametrize("way", ["auth key", "login"])
def test_it_reads_the_same_map_after_the_server_was_restarted(
    tsp_binary: Path, tmp_path: Path, way: str
) -> None:
    state = str(tmp_path / "state")
    with running_server(state_dir=state, nodes=3) as server:
        port = server.port
        tsp = Tsp(tsp_binary, server, tmp_path)
        tsp.make_node()
        if way == "auth key":
            tsp.join("-hostname", "gopher")
        else:
            assert "is in" in press(tsp.register("-hostname", "gopher")["AuthURL"], "Allow", user="bob")
            assert not tsp.register("-hostname", "gopher")["AuthURL"]
        before = tsp.map()
    with running_server(state_dir=state, nodes=3, port=port) as server:
        after = tsp.map()
        assert after["Node"] == before["Node"]
        assert labels_of(after) == labels_of(before)
        output = tmp_path / "stream.json"
        with tsp.streaming(output):
            wait_for(lambda: documents(output), LIMIT, "its first map")
            server.tailnet.add_node("printer")
            wait_for(lambda: last_of(documents(output), "printer"), LIMIT, "it hears of one that has come")
        assert not server.seen("register")
