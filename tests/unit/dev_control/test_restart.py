"""What of the embedded control server survives a restart, and nodes that come back."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.registration.requests import (
    IncomingRegisterRequest,
    decode_register,
    register_document,
)
from netmap_actors.dev_control.standalone import RunningServer, running_server
from netmap_actors.dev_control.tailnet.policy import parse_policy
from netmap_actors.errors import ConfigurationError
from tests.support.clients.control_client import ControlClient, Node, joined
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def run(state: Path, **given: Any) -> contextlib.AbstractContextManager[RunningServer]:
    return running_server(state_dir=str(state), batch_delay=0.005, **given)


def asked(server: RunningServer, node: Node, auth_key: str = "", **fields: object) -> dict[str, Any]:
    with ControlClient(server.url, node) as client:
        return client.register(auth_key, **fields)


def test_a_server_that_comes_back_is_the_same_with_the_same_nodes(state: Path) -> None:
    node = Node("web")
    with run(state) as server:
        key, auth_key = server.server_key, server.auth_key
        client, _ = joined(server, node=node)
        server.tailnet.set_tags("web", ["tag:a"])
        server.tailnet.set_routes("web", ["10.0.0.0/8"])
        server.tailnet.rename("web", "shop")
        before = server.call(lambda it: it.node("shop"))
        client.close()
    with run(state) as server:
        assert (server.server_key, server.auth_key) == (key, auth_key)
        after = server.call(lambda it: it.node("shop"))
        assert after == before
        assert after.tags == ("tag:a",)
        assert after.routes == ("10.0.0.0/8",)
        assert asked(server, node)["MachineAuthorized"], "without a key"


def test_routes_come_back_with_the_node_that_carries_them(state: Path) -> None:
    with run(state) as server:
        for name in ("one", "two"):
            asked(server, Node(name), server.auth_key)
            server.tailnet.set_routes(name, ["10.0.0.0/8"])
    with run(state) as server:
        assert server.call(lambda it: it.node("two")).routes == ("10.0.0.0/8",)
        carried = [server.call(lambda it, name=name: it._tailnet.find(name)).node for name in ("one", "two")]
        assert [node.primary_routes for node in carried] == [("10.0.0.0/8",), ()]
        server.tailnet.remove_node("one")
        assert server.call(lambda it: it._tailnet.find("two")).node.primary_routes == ("10.0.0.0/8",)


def test_users_and_owners_come_back(state: Path) -> None:
    node = Node()
    with run(state) as server:
        key = server.call(lambda it: it.add_auth_key(user="carol"))
        assert asked(server, node, key)["User"]["DisplayName"] == "Carol"
        server.call(lambda it: it.rename_user("carol", "Carol C."))
    with run(state) as server:
        assert asked(server, node)["User"]["DisplayName"] == "Carol C."


def test_simulated_nodes_come_back_to_the_last_field(state: Path) -> None:
    node = Node()

    def seen(server: RunningServer) -> list[dict[str, Any]]:
        client, stream = joined(server, node=node)
        client.close()
        return stream.messages[0]["Peers"]

    with run(state, nodes=20, seed=7) as server:
        before = seen(server)
    with run(state, nodes=20, seed=7) as server:
        assert len(before) == 20
        assert seen(server) == before


@pytest.mark.parametrize("moment", [-1.0, 1e300, "today", None])
def test_a_state_of_no_known_time_is_refused(state: Path, moment: object) -> None:
    with run(state):
        pass
    path = state / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"born": moment}))
    with (
        pytest.raises(ConfigurationError, match=r"cannot read .*state\.json: .*born.*; remove it"),
        run(state),
    ):
        pass


@pytest.mark.parametrize("name", ["state.json", "auth_key"])
def test_a_state_that_is_a_pipe_holds_nobody_up(state: Path, name: str) -> None:
    with run(state):
        pass
    (state / name).unlink()
    os.mkfifo(state / name)
    with (
        pytest.raises(ConfigurationError, match=rf"cannot read .*{name}: it is a pipe.*move that away"),
        run(state),
    ):
        pass


@pytest.mark.parametrize("key", [b"\xf5", bytes(42), b"two words", b"a\nb\n"])
def test_an_auth_key_file_that_holds_none_is_refused(state: Path, key: bytes) -> None:
    with run(state):
        pass
    (state / "auth_key").write_bytes(key)
    with (
        pytest.raises(ConfigurationError, match=r"cannot use .*auth_key: it is not one word.*remove it"),
        run(state),
    ):
        pass


@pytest.mark.parametrize("place", [0, -1, 1 << 22, 1 << 62])
def test_a_node_beyond_the_addresses_is_refused(state: Path, place: int) -> None:
    with run(state) as server:
        joined(server)[0].close()
    path = state / "state.json"
    document = json.loads(path.read_text())
    document["nodes"][0]["place"] = place
    path.write_text(json.dumps(document))
    with (
        pytest.raises(ConfigurationError, match=r"cannot read .*state\.json: .*place.*; remove it"),
        run(state),
    ):
        pass


def test_a_node_key_expires_although_the_server_was_away(state: Path) -> None:
    soon, later = Node("soon"), Node("later")
    with run(state) as server:
        for node in (soon, later):
            asked(server, node, server.auth_key)
        server.tailnet.expire("later", 3600.0)
        server.tailnet.expire("soon", 0.05)
        gone_at = time.time() + 0.05
    wait_for(lambda: time.time() > gone_at, 5.0, "the time has come")
    with run(state) as server:
        assert asked(server, soon)["NodeKeyExpired"]
        assert asked(server, later)["MachineAuthorized"]
        with ControlClient(server.url, later) as client:
            assert "KeyExpiry" in client.message(client.map(), 0)["Node"]


def test_a_device_that_waits_for_approval_still_does(state: Path) -> None:
    node = Node()
    with run(state, require_approval=True) as server:
        assert not asked(server, node, server.auth_key)["MachineAuthorized"]
    with run(state, require_approval=True) as server:
        assert not asked(server, node)["MachineAuthorized"]
        server.tailnet.authorize("client")
    with run(state, require_approval=True) as server:
        assert asked(server, node)["MachineAuthorized"]


def test_auth_keys_are_no_fresher_than_before(state: Path) -> None:
    with run(state) as server:
        once, revoked, old, tagged = server.call(
            lambda it: (
                it.add_auth_key(reusable=False),
                it.add_auth_key(),
                it.add_auth_key(expires_in=-1.0),
                it.add_auth_key(tags=["tag:x"], ephemeral=True),
            )
        )
        assert asked(server, Node(), once)["MachineAuthorized"]
        assert server.call(lambda it: it.revoke_auth_key(revoked))
    with run(state) as server:
        for key, why in ((once, "already used"), (revoked, "revoked"), (old, "expired")):
            assert why in asked(server, Node(), key)["Error"]
        asked(server, Node("job"), tagged)
        job = server.call(lambda it: it.node("job"))
        assert (job.tags, job.ephemeral) == (("tag:x",), True)


def test_a_login_begun_before_the_restart_is_completed_after_it(state: Path) -> None:
    node = Node("laptop")
    with run(state) as server:
        path = asked(server, node)["AuthURL"].removeprefix(server.url)
        assert json.loads((state / "state.json").read_text())["logins"], "at once, for it may be killed"
    with run(state) as server:
        with urllib.request.urlopen(server.url + path, timeout=5) as page:
            assert b"laptop" in page.read()
        urllib.request.urlopen(server.url + path, b"answer=allow", timeout=5).close()
    with run(state) as server:
        assert asked(server, node, Followup=server.url + path)["MachineAuthorized"]


def test_a_login_that_was_refused_stays_refused_with_its_reason(state: Path) -> None:
    node, rules = Node(), parse_policy({"tagOwners": {"tag:x": ["bob@"]}})
    wanted = {"Hostinfo": node.hostinfo | {"RequestTags": ["tag:x"]}}
    with run(state, policy=rules) as server:
        url = asked(server, node, **wanted)["AuthURL"]
        with urllib.request.urlopen(url, b"answer=allow", timeout=5) as page:
            assert b"refused" in page.read()
    with run(state, policy=rules) as server:
        assert "not permitted" in asked(server, node, Followup=url, **wanted)["Error"]


def test_the_id_of_a_deleted_node_is_not_given_out_again(state: Path) -> None:
    with run(state) as server:
        asked(server, Node("gone"), server.auth_key)
        gone = server.tailnet.remove_node("gone").id
    with run(state) as server:
        asked(server, Node("new"), server.auth_key)
        assert server.call(lambda it: it.node("new")).id > gone


def test_nodes_move_with_the_domain(state: Path) -> None:
    with run(state) as server:
        asked(server, Node("web"), server.auth_key)
    with run(state, domain="other.example") as server:
        assert server.call(lambda it: it.node("web")).name == "web.other.example."


def test_who_owns_the_key_is_remembered_until_it_is_said_anew(state: Path) -> None:
    with run(state, user="carol"):
        pass
    for given, login in (({}, "carol"), ({"user": "dave"}, "dave"), ({}, "dave")):
        with run(state, **given) as server:
            assert asked(server, Node(f"of-{login}"), server.auth_key)["User"]["LoginName"] == login


def test_the_state_keeps_no_auth_key_of_a_client(state: Path) -> None:
    with run(state) as server:
        asked(server, Node(), "verysecret-key-of-somebody")
        asked(server, Node())
        assert len(server.call(lambda it: it.logins())) == 1
    assert "verysecret" not in (state / "state.json").read_text()


def test_a_login_nobody_can_read_is_named(state: Path) -> None:
    with run(state) as server:
        asked(server, Node())
    file = state / "state.json"
    content = json.loads(file.read_text())
    content["logins"][0]["request"]["NodeKey"] = "x"
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match="cannot use the login"), run(state):
        pass


@pytest.mark.parametrize(
    ("hostinfo", "kept"),
    [
        ({"Hostname": "h", "Package": "x" * 3000}, {"Hostname", "Package"}),
        ({"Hostname": "h", "Package": "x" * 5000, "RequestTags": ["tag:x"]}, {"Hostname", "RequestTags"}),
        ({"Hostname": "h", "RequestTags": ["tag:" + "x" * 5000]}, {"Hostname"}),
        ({"Hostname": "h" * 5000}, set()),
    ],
)
def test_a_login_keeps_little_of_a_host_that_says_a_lot(hostinfo: dict[str, Any], kept: set[str]) -> None:
    document = {"Version": 130, "NodeKey": f"nodekey:{1:064x}", "Hostinfo": hostinfo}
    saved = register_document(decode_register(json.dumps(document).encode()))
    assert set(saved["Hostinfo"]) == kept
    assert len(json.dumps(saved)) < 5000


def test_a_request_is_kept_as_it_was_but_for_its_secret() -> None:
    document = {
        "Version": 130,
        "NodeKey": f"nodekey:{1:064x}",
        "OldNodeKey": f"nodekey:{2:064x}",
        "Auth": {"AuthKey": "secret"},
        "Followup": "http://x/auth/1",
        "Hostinfo": {"Hostname": "h", "RequestTags": ["tag:x"]},
        "Ephemeral": True,
    }
    request = decode_register(json.dumps(document).encode())
    again = decode_register(json.dumps(register_document(request)).encode())
    fields = IncomingRegisterRequest.__struct_fields__
    assert {name for name in fields if getattr(again, name) != getattr(request, name)} == {"auth_key"}


def test_two_servers_do_not_share_a_state_directory(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with running_server(state_dir=state) as first:
        key = first.auth_key
        with (
            pytest.raises(ConfigurationError, match="another control server uses it"),
            running_server(state_dir=state),
        ):
            pass
    with running_server(state_dir=state) as again:
        assert again.auth_key == key
    # One that fails for another reason leaves the directory to the next.
    with pytest.raises(ConfigurationError), running_server(state_dir=state, policy={"acls": 3}):
        pass
    with running_server(state_dir=state):
        pass
