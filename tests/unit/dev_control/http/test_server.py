"""The embedded control server over real sockets, met by a client made of the protocol room's pieces."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.http.connection import MAX_IN_A_ROW
from netmap_actors.dev_control.http.machine_api import MAX_MAPS
from netmap_actors.dev_control.standalone import RunningServer, make_options, running_server
from netmap_actors.dev_control.tailnet.tailnet import TailnetError
from netmap_actors.errors import RemoteProtocolError
from tests.support.clients.control_client import Closed, ControlClient, Node, joined
from tests.support.netmaps.netmap_fold import Fold
from tests.support.servers.quick_server import QUICK, get
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(nodes=3, options=QUICK) as running:
        yield running


# Register and map


def test_a_node_registers_and_sees_the_tailnet(server: RunningServer) -> None:
    client, stream = joined(server, "Alice's Laptop")
    first = stream.messages[0]
    assert first["Node"]["Name"] == "alice-s-laptop.dev.netmap.example."
    assert first["Node"]["DiscoKey"] == str(client.node.disco)
    assert len(first["Peers"]) == 3
    assert stream.headers["content-type"] == "application/json"
    assert client.message(stream, 1) == {"KeepAlive": True}
    client.close()


def test_without_compression_the_frames_are_plain(server: RunningServer) -> None:
    client, _ = joined(server)
    plain = client.map(Compress="")
    client.wait(lambda: len(plain.body) > 4)
    assert plain.body[4:5] == b"{"
    client.close()


def test_changes_are_told_and_add_up_to_the_truth(server: RunningServer) -> None:
    client, stream = joined(server)
    edits = server.tailnet
    edits.add_node("printer", tags=["tag:new"])
    edits.set_online("printer", False)
    edits.rename("printer", "plotter")
    edits.set_routes("plotter", ["10.1.0.0/16"])
    edits.churn(50)
    fold = Fold()

    def complete() -> bool:
        fold.__init__()  # type: ignore[misc]
        for message in stream.messages:
            fold.apply(json.loads(json.dumps(message)))
        truth = {node.id: node for node in server.nodes() if not node.registered}
        shown = {
            node_id: (peer["Name"], peer.get("Online"), tuple(peer.get("Tags", ())), peer["Key"])
            for node_id, peer in fold.peers.items()
        }
        return shown == {node.id: (node.name, node.online, node.tags, node.key) for node in truth.values()}

    client.wait(complete)
    assert any(peer["Name"].startswith("plotter.") for peer in fold.peers.values())
    client.close()


def test_clients_see_each_other_come_and_go(server: RunningServer) -> None:
    first, stream = joined(server, "first")
    second, _ = joined(server, "second")
    fold = Fold()

    def state_of_second() -> Any:
        fold.__init__()  # type: ignore[misc]
        for message in stream.messages:
            fold.apply(json.loads(json.dumps(message)))
        names = {peer["Name"].split(".")[0]: peer.get("Online") for peer in fold.peers.values()}
        return names.get("second", "absent")

    first.wait(lambda: state_of_second() is True)
    update = {"Stream": False, "OmitPeers": True, "Endpoints": ["192.0.2.7:41641"]}
    lite = second.answer("/machine/map", second.map_body(**update))
    assert (lite.status, lite.body) == (200, b"")
    first.wait(
        lambda: (
            state_of_second() and any(p.get("Endpoints") == ["192.0.2.7:41641"] for p in fold.peers.values())
        )
    )
    second.close()
    first.wait(lambda: state_of_second() is False)
    server.tailnet.remove_node("second")
    first.wait(lambda: state_of_second() == "absent")
    first.close()


def test_who_comes_back_within_the_grace_was_never_away() -> None:
    with running_server(options=make_options(offline_grace=30.0, batch_delay=0.005)) as server:
        watcher, stream = joined(server, "watcher")
        node = Node("restless")
        joined(server, node=node)[0].close()
        server.tailnet.add_node("before")
        watcher.wait(lambda: "before" in json.dumps(stream.messages))
        told = len(stream.messages)
        joined(server, node=node)[0].close()
        server.tailnet.add_node("after")
        watcher.wait(lambda: "after" in json.dumps(stream.messages[told:]))
        assert all(set(message) <= {"PeersChanged", "ControlTime"} for message in stream.messages[told:])
        assert "restless" not in json.dumps(stream.messages[told:])
        watcher.close()


def test_a_newer_poll_ends_the_older_one(server: RunningServer) -> None:
    client, older = joined(server)
    newer = client.map()
    client.message(newer, 0)
    client.wait(lambda: older.ended)
    assert [len(view.map_streams) for view in server.clients() if view.machine] == [1]
    client.close()


def test_a_stream_has_begun_at_the_same_moment_whenever_it_is_looked_at(server: RunningServer) -> None:
    client, _ = joined(server)
    with client:
        looks = [stream for _ in range(2) for view in server.clients() for stream in view.map_streams]
        asked = [event.at for event in server.seen("map")]
        assert [stream.began_at for stream in looks] == asked * 2


def test_a_read_is_one_full_map_and_a_lite_update_leaves_the_poll_alone(server: RunningServer) -> None:
    client, stream = joined(server)
    read = client.answer("/machine/map", client.map_body(Stream=False, ReadOnly=True))
    (message,) = read.messages
    assert message["Node"]["ID"] == stream.messages[0]["Node"]["ID"]
    client.answer("/machine/map", client.map_body(Stream=False, OmitPeers=True))
    assert not stream.ended
    (view,) = server.clients()
    assert (view.registers, view.maps, view.lite_updates, view.reads) == (1, 1, 1, 1)
    client.close()


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/machine/map", {"Version": 130, "NodeKey": "nodekey:" + "1" * 64}, 404, "node not found"),
        (
            "/machine/map",
            {"Version": 30, "NodeKey": "nodekey:" + "1" * 64},
            400,
            "unsupported client version",
        ),
        ("/machine/register", {"Version": 30, "NodeKey": "nodekey:" + "1" * 64}, 400, "needs 60 or newer"),
        ("/machine/register", b"{", 400, "cannot read"),
        ("/machine/map", b"\xff", 400, "cannot read"),
        ("/machine/set-dns", {}, 501, "Not implemented"),
        ("/elsewhere", {}, 404, "not found"),
        ("/c2n/nobody", b"HTTP/1.1 200 OK", 500, ""),
    ],
)
def test_what_is_wrong_is_answered(
    server: RunningServer, path: str, body: object, status: int, says: str
) -> None:
    client = ControlClient(server.url, Node())
    answer = client.answer(path, body)
    assert answer.status == status
    assert says in answer.body.decode()
    assert client.register(server.auth_key)["MachineAuthorized"], "and the connection goes on"
    client.close()


def test_a_map_request_with_the_node_key_of_another_machine_is_refused(server: RunningServer) -> None:
    victim, _ = joined(server, "victim")
    thief = ControlClient(server.url, Node("thief"))
    answer = thief.answer("/machine/map", thief.map_body(NodeKey=victim.node.key))
    assert answer.status == 404
    assert b"does not match" in answer.body
    victim.close()
    thief.close()


def test_a_body_over_a_mebibyte_is_reset(server: RunningServer) -> None:
    client = ControlClient(server.url, Node())
    response = client.request("/machine/register", bytes((1 << 20) + 1))
    client.wait(lambda: response.reset is not None)
    client.close()


def test_a_login_is_completed_by_its_page(server: RunningServer) -> None:
    client = ControlClient(server.url, Node("new <b>one</b>"))
    url = client.register()["AuthURL"]
    waiting = client.request("/machine/register", client.register_body(Followup=url))
    status, page = get(url)
    assert status == 200
    assert b"<b>one" not in page
    assert not waiting.ended
    assert get(url, method="POST", data=b"answer=allow")[0] == 200
    client.wait(lambda: waiting.ended)
    assert json.loads(waiting.body)["MachineAuthorized"]
    client.message(client.map(), 0)
    assert get(url)[0] == 404
    client.close()


@pytest.mark.parametrize("answer", [b"answer=allow", b"answer=deny"], ids=["allowed", "refused"])
def test_a_followup_is_counted_once_however_long_it_waits(server: RunningServer, answer: bytes) -> None:
    client = ControlClient(server.url, Node())
    url = client.register()["AuthURL"]
    waiting = client.request("/machine/register", client.register_body(Followup=url))
    wait_for(lambda: len(server.seen("register")) == 2, 5.0, "both requests came")
    assert server.fault("register/error") == 0  # for the next request, not for one that is being answered
    assert get(url, method="POST", data=answer)[0] == 200
    client.wait(lambda: waiting.ended)
    assert "Error" not in json.loads(waiting.body) or not json.loads(waiting.body)["Error"]
    assert [event.detail.split()[1:] for event in server.seen("register")] == [[], ["followup"]]
    assert server.clients()[0].registers == 2
    assert client.register()["Error"] == "authkey expired"
    client.close()


def test_a_login_that_ends_under_a_fault_is_answered_when_it_is_healed(server: RunningServer) -> None:
    client = ControlClient(server.url, Node())
    url = client.register()["AuthURL"]
    waiting = client.request("/machine/register", client.register_body(Followup=url))
    wait_for(lambda: len(server.seen("register")) == 2, 5.0, "both requests came")
    assert server.fault("liveness/pings-only") == 1
    assert get(url, method="POST", data=b"answer=allow")[0] == 200
    assert not waiting.ended
    server.heal()
    client.wait(lambda: waiting.ended)
    assert json.loads(waiting.body)["MachineAuthorized"]
    assert len(server.seen("register")) == 2
    client.close()


def test_a_refused_login_gets_a_new_url(server: RunningServer) -> None:
    client = ControlClient(server.url, Node())
    url = client.register()["AuthURL"]
    waiting = client.request("/machine/register", client.register_body(Followup=url))
    assert get(url, method="POST", data=b"answer=deny")[0] == 200
    client.wait(lambda: waiting.ended)
    assert json.loads(waiting.body)["AuthURL"] not in ("", url)
    client.close()


def test_an_ephemeral_node_is_deleted_after_its_last_stream(server: RunningServer) -> None:
    key = server.call(lambda it: it.add_auth_key(ephemeral=True))
    client = ControlClient(server.url, Node("fleeting"))
    client.register(key)
    client.message(client.map(), 0)
    client.close()
    wait_for(lambda: all(not node.registered for node in server.nodes()), 5.0, "the node is gone")


def test_a_ping_is_answered_on_either_way(server: RunningServer) -> None:
    client, stream = joined(server)
    for payload in ("", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"):
        ping = server.call(lambda it, payload=payload: it.ping(payload=payload))  # type: ignore[misc]
        client.wait(lambda: any("PingRequest" in message for message in stream.messages))
        request = next(message for message in stream.messages if "PingRequest" in message)["PingRequest"]
        stream.messages.clear()
        # tailscale-rs ends the session when one of the two is not there.
        assert (request["URLIsNoise"], request["Types"]) == ((True, "c2n") if payload else (False, ""))
        assert set(request) - {"Payload"} == {"URL", "URLIsNoise", "Types"}
        if payload:
            path = request["URL"].removeprefix("https://unused")
            assert client.answer(path, b"HTTP/1.1 200 OK\r\n\r\nabc").status == 204
        else:
            assert get(request["URL"], method="HEAD")[0] == 200
        assert server.call(lambda it, ping=ping: it.pong(ping))  # type: ignore[misc]
    client.close()


# Restart


def test_a_restarted_server_is_the_same_server(tmp_path: Path) -> None:
    state = tmp_path / "state"
    node = Node("survivor")
    with running_server(nodes=4, state_dir=str(state), options=QUICK) as server:
        client, stream = joined(server, node=node)
        client.answer(
            "/machine/map", client.map_body(Stream=False, OmitPeers=True, Endpoints=["192.0.2.9:9"])
        )
        before, auth_key, server_key = stream.messages[0], server.auth_key, server.server_key
        assert (state / "state.json").stat().st_mode & 0o777 == 0o600
        assert (state / "auth_key").read_text().strip() == auth_key
        client.close()
    with running_server(nodes=4, state_dir=str(state), options=QUICK) as server:
        assert (server.auth_key, server.server_key) == (auth_key, server_key)
        client = ControlClient(server.url, node)
        after = client.message(client.map(), 0)
        assert {name: after["Node"][name] for name in ("ID", "Name", "Addresses", "Created")} == {
            name: before["Node"][name] for name in ("ID", "Name", "Addresses", "Created")
        }
        assert after["Node"]["Endpoints"] == ["192.0.2.9:9"]
        keys = [[peer["Key"] for peer in message["Peers"]] for message in (before, after)]
        assert keys[0] == keys[1]
        newcomer = server.tailnet.add_node("late")
        assert newcomer.id > max(peer["ID"] for peer in before["Peers"]) + 1000, (
            "ids of the last run are not reused"
        )
        client.close()


def test_a_state_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    tmp_path.chmod(0o700)
    with pytest.raises(Exception, match=r"state\.json.*remove it"), running_server(state_dir=str(tmp_path)):
        pass


def test_fifty_streams_are_told_of_a_change(server: RunningServer) -> None:
    clients = [joined(server, f"node-{number}") for number in range(50)]
    server.tailnet.add_node("marker")
    for client, stream in clients:
        client.wait(lambda stream=stream: "marker" in json.dumps(stream.messages[1:]))  # type: ignore[misc]
        client.close()


def test_what_clients_did_is_remembered_without_secrets(server: RunningServer) -> None:
    client, _ = joined(server)
    client.close()
    kinds = [event.kind for event in server.seen()]
    assert [kind for kind in kinds if kind in ("key", "upgrade", "register", "map")] == [
        "key",
        "upgrade",
        "register",
        "map",
    ]
    assert server.auth_key not in repr(server.seen())
    assert server.auth_key not in repr(server)


def test_requests_sent_all_at_once_are_answered_up_to_a_number(server: RunningServer) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    for together, kept in ((MAX_IN_A_ROW - 1, True), (MAX_IN_A_ROW + 50, False)):
        with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
            sock.sendall(one * together)
            said = b""
            while said.count(b"HTTP/1.1 200") < min(together, MAX_IN_A_ROW):
                said += sock.recv(65536)
            assert said.count(b"Connection: close") == (not kept), said[-300:]


def test_what_is_taken_back_at_once_is_not_done(server: RunningServer) -> None:
    with ControlClient(server.url, Node()) as client:
        client.register(server.auth_key)
        body = json.dumps(client.map_body()).encode()
        for _ in range(100):
            stream_id = client.http2.request("POST", "/machine/map", (), body, stream=True)
            client.http2._reset(stream_id, 8)
        client.message(client.map(), 0)
        assert server.clients()[-1].maps == 1


def test_a_client_gets_only_so_many_whole_maps(server: RunningServer) -> None:
    with ControlClient(server.url, Node()) as client:
        client.register(server.auth_key)
        read = client.map_body(Stream=False)
        answers = [client.answer("/machine/map", read).status for _ in range(MAX_MAPS + 1)]
        assert answers == [200] * MAX_MAPS + [429]
        update = client.map_body(Stream=False, OmitPeers=True)
        assert client.answer("/machine/map", update).status == 200


def test_a_slow_request_does_not_hold_the_front_door_open() -> None:
    with (
        running_server(options=make_options(half_open_limit=0.3)) as server,
        socket.create_connection(("127.0.0.1", server.port), 5) as sock,
    ):
        watch = Stopwatch()
        sock.settimeout(0.05)
        while watch.seconds() < 5:
            try:
                sock.send(b"G")
                if sock.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert watch.seconds() < 3


def test_garbage_inside_noise_ends_its_own_connection(server: RunningServer) -> None:
    client, stream = joined(server)
    vandal = ControlClient(server.url, Node("vandal"))
    vandal.sock.sendall(vandal.records.seal(b"\x00" * 5000))
    with pytest.raises((Closed, RemoteProtocolError)):
        vandal.wait(lambda: vandal.goaway is not None)
        vandal.wait(lambda: False)
    client.message(stream, len(stream.messages))
    client.close()


def test_a_client_that_does_not_read_is_dropped_and_costs_no_memory() -> None:
    options = make_options(keep_alive=0.2, keep_alive_jitter=0.0, stalled_limit=0.5, batch_delay=0.005)
    with running_server(nodes=200, options=options) as server:
        client, _ = joined(server)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        incompressible = json.dumps({"Domain": os.urandom(400_000).hex()})
        for _ in range(20):
            server.tailnet.churn(200)
            server.raw(incompressible)
        wait_for(lambda: not server.clients(), 10.0, "the connection is gone")
        assert server.seen("end")[-1].detail == "the client does not read"
        client.close()


@pytest.mark.parametrize("seconds", [1e300, -1.0])
def test_a_life_of_node_keys_that_no_date_can_bear_is_refused(server: RunningServer, seconds: float) -> None:
    command = json.dumps({"command": "require", "key_lifetime": seconds}).encode()
    with pytest.raises(TailnetError, match="cannot let keys live"):
        server.call(lambda it: it.execute(command))
    joined(server, "later")[0].close()


def test_a_node_key_expires_by_itself(server: RunningServer) -> None:
    client, stream = joined(server)
    server.tailnet.expire("client", 0.2)
    client.wait(lambda: any(message.get("Node", {}).get("Expired") for message in stream.messages))
    assert client.register()["NodeKeyExpired"]
    client.close()


def test_a_device_waits_for_its_approval(server: RunningServer) -> None:
    server.call(lambda it: it.require(approval=True))
    client = ControlClient(server.url, Node("device"))
    assert not client.register(server.auth_key)["MachineAuthorized"]
    stream = client.map()
    assert "MachineAuthorized" not in client.message(stream, 0)["Node"]
    server.tailnet.authorize("device")
    client.wait(lambda: any(message.get("Node", {}).get("MachineAuthorized") for message in stream.messages))
    client.close()


def test_a_disk_that_cannot_be_written_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    with running_server(
        state_dir=str(tmp_path / "state"), log=lambda event, **_: events.append(event)
    ) as server:

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("netmap_actors.dev_control.registration.store.os.fsync", full)
        before = (tmp_path / "state" / "state.json").read_bytes()
        client, _ = joined(server)
        client.close()
        assert "state_not_saved" in events
        assert (tmp_path / "state" / "state.json").read_bytes() == before
        assert not list((tmp_path / "state").glob(".*.new"))
