"""`netmap_supervisor.testing`: commands of a test, and the errors of waits that time out."""

from __future__ import annotations

import re

import pytest

from netmap_actors.dev_control.assembly import Setup
from netmap_actors.dev_control.http.state import Options
from netmap_actors.errors import NetmapError
from netmap_supervisor.testing import DevControl, DevControlOptions, UnknownOption, dev_control_server
from tests.support.clients.control_client import Closed, ControlClient, Node, fetch_key, joined


def test_a_client_is_waited_for_step_by_step(dev_control: DevControl) -> None:
    node = Node("laptop")
    assert dev_control.last_seen() is None
    client = ControlClient(dev_control.url, node, fetch_key(dev_control.url))
    assert dev_control.wait_for_client(5.0).map_streams == ()
    client.register(dev_control.auth_key)
    client.map()
    for word in ("laptop", "laptop.dev.netmap.example.", node.key, client.local_address, "connection:2", ""):
        seen = dev_control.wait_for_map(word, 5.0)
        assert seen.map_streams[0].node == "laptop"
        assert dev_control.wait_for_client(5.0, word).number == seen.number == 2
    kinds = [event.kind for event in dev_control.seen() if event.kind != "end"]
    assert kinds == ["accept", "key", "accept", "upgrade", "register", "map"]
    first = dev_control.wait_seen("map", 5.0)
    client.map()
    assert dev_control.wait_seen("map", 5.0, after=first) is not first
    assert dev_control.seen("register", after=first) == []
    assert [one.name for one in dev_control.nodes()] == ["laptop.dev.netmap.example."]
    client.close()
    dev_control.wait_seen("end", 5.0, after=first)


def test_a_wait_in_vain_tells_what_was_seen_instead(dev_control: DevControl) -> None:
    with pytest.raises(
        TimeoutError, match=r"no client has connected within 0\.05 s; the server has seen nothing"
    ):
        dev_control.wait_for_client(0.05)
    client = ControlClient(dev_control.url, Node())
    client.register("wrong")
    said = r"no client 'laptop' has a map stream within 0\.05 s; seen instead: .*1 register.*; the last: .*register"
    with pytest.raises(TimeoutError, match=said):
        dev_control.wait_for_map("laptop", 0.05)
    with pytest.raises(TimeoutError, match=r"did 'map' since then .* the server has seen nothing at all"):
        dev_control.wait_seen("map", 0.05, after=dev_control.last_seen())
    with pytest.raises(TimeoutError, match="the printer is there within"):
        dev_control.wait_until(lambda: len(dev_control.nodes()) > 3, 0.05, "the printer is there")
    client.close()


@pytest.mark.dev_control(nodes=2, keep_alive=0.2)
def test_it_does_what_it_is_told(dev_control: DevControl) -> None:
    assert re.fullmatch("mkey:[0-9a-f]{64}", dev_control.server_key)
    client, stream = joined(dev_control)
    assert len(stream.messages[0]["Peers"]) == 2
    dev_control.tailnet.add_node("printer", tags=["tag:office"])
    client.told(stream, lambda message: "PeersChanged" in message)
    assert dev_control.raw('{"Debug":{}}', "client") == 1
    client.wait(lambda: {"Debug": {}} in stream.messages)
    assert dev_control.fault("liveness/no-keep-alives", "client") == 1
    assert client.silent_for(0.6) or client.silent_for(0.6)
    dev_control.heal()
    told = len(stream.messages)
    client.message(stream, told)
    assert dev_control.call(lambda it: it.faults()) == dev_control.faults()
    with pytest.raises(NetmapError, match="the faults are"):
        dev_control.fault("nonsense")
    assert dev_control.drop_all(reset=False) == 1
    with pytest.raises(Closed, match="eof"):
        client.wait(lambda: False)
    client.close()


def test_an_option_there_is_not_is_named_with_those_there_are() -> None:
    with (
        pytest.raises(
            UnknownOption, match=r"no option 'node'; did you mean nodes\? The options are auth_key, "
        ),
        dev_control_server(node=5),
    ):  # type: ignore[call-arg]
        pass
    with pytest.raises(UnknownOption), dev_control_server(options=Options()):  # type: ignore[call-arg]
        pass


def test_two_servers_do_not_meet(dev_control: DevControl) -> None:
    with dev_control_server() as other:
        assert other.port != dev_control.port
        client, _ = joined(other)
        assert dev_control.seen() == []
        client.close()


def test_type_checkers_know_every_option() -> None:
    fields = Setup.__annotations__ | Options.__annotations__
    known = DevControlOptions.__annotations__.keys() - {"host", "port", "tls"}
    assert known <= fields.keys()
    given = {"nodes": 1, "seed": 2, "churn": 0.0, "early_payload": "off", "require_auth": False}
    with dev_control_server(**given) as server:  # type: ignore[misc]
        client = ControlClient(server.url, Node())
        assert client.register()["MachineAuthorized"]
        client.close()
