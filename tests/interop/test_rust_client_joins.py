"""How tailscale's crate for Rust is let into our control server: by a key, by a person's browser, or not at all."""

from __future__ import annotations

import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

import msgspec
import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from tests.support.peers.rust_client import running_rust_client
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.dev_control.operator.listings import NodeView

pytestmark = pytest.mark.interop

LIMIT = 20.0
REFUSED = "unable to register with control server"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(offline_grace=0.5) as running:
        yield running


def the_node(server: RunningServer) -> NodeView:
    (node,) = server.nodes()
    return node


def press(url: str, button: str, user: str) -> str:
    """Send the form of the login page."""
    form = urllib.parse.urlencode({"answer": button, "user": user}).encode()
    with urllib.request.urlopen(url, form, timeout=10) as answer:
        return str(answer.read().decode())


def test_it_joins_by_key_and_is_the_same_node_the_next_time(
    server: RunningServer, rust_client_binary: Path, tmp_path: Path
) -> None:
    arguments = (rust_client_binary, server.url, "ferris", server.auth_key, tmp_path)
    with running_rust_client(*arguments) as client:
        own = client.wait_own()
        node = the_node(server)
        assert client.agrees_with(server)
        assert node.name.startswith("ferris.")
        (seen,) = server.clients()
        assert (seen.registers, seen.maps) == (1, 1)
    assert client.process.returncode == 0, client.log()
    with running_rust_client(*arguments) as client:
        assert client.wait_own()["key"] == own["key"]
        assert client.agrees_with(server)
    assert the_node(server) == msgspec.structs.replace(node, online=the_node(server).online)


def test_nothing_of_the_server_surprises_it(server: RunningServer, rust_client_binary: Path) -> None:
    """Relays of a tailnet in a machine answer nobody, of which it warns; netlink is asked by others, too."""
    server.tailnet.add_node("web-1", tags=["tag:web"])
    server.tailnet.set_routes("web-1", ["10.9.0.0/16"])
    with running_rust_client(rust_client_binary, server.url, "ferris", server.auth_key) as client:
        client.wait_own()
        wait_for(lambda: "web-1" in client.peers(), LIMIT, "it has its peer")
        server.tailnet.set_online("web-1", False)
        wait_for(lambda: client.peers()["web-1"]["online"] is False, LIMIT, "and hears of it")
        server.tailnet.set_online("web-1", True)
        wait_for(lambda: client.peers()["web-1"]["online"], LIMIT, "and again")
        about = ("early software", "insecure http", "derp", "ts_netcheck", "ts_runtime::netmon", "stun")
        assert [line for line in client.complaints() if not any(word in line for word in about)] == []


def test_no_log_holds_the_key(
    server: RunningServer, rust_client_binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUST_LOG", "trace")
    with running_rust_client(rust_client_binary, server.url, "ferris", server.auth_key) as client:
        client.wait_own()
        assert " DEBUG " in client.log()
        assert server.auth_key not in client.log()


def test_a_person_refuses_and_then_allows_it(server: RunningServer, rust_client_binary: Path) -> None:
    with running_rust_client(rust_client_binary, server.url, "ferris") as client:
        first = client.wait_login_url()
        assert server.nodes() == []
        assert "refused" in press(first, "deny", "bob")
        second = client.wait_login_url(other_than=first)
        assert "is in" in press(second, "allow", "bob")
        own = client.wait_own()
        assert own["stable_id"] == the_node(server).stable_id
        assert client.agrees_with(server)


def test_a_login_outlives_the_client_that_asked_for_it(
    server: RunningServer, rust_client_binary: Path, tmp_path: Path
) -> None:
    arguments = (rust_client_binary, server.url, "ferris", None, tmp_path)
    with running_rust_client(*arguments) as client:
        url = client.wait_login_url()
    # Its user goes on in the browser while it is away.
    assert "is in" in press(url, "allow", "bob")
    with running_rust_client(*arguments) as client:
        assert client.wait_own()["key"] == the_node(server).key
        assert client.said("login") == []


def test_a_refused_key_lets_nobody_in(server: RunningServer, rust_client_binary: Path) -> None:
    """The crate keeps the reason to itself, and asks anew without a pause until its supervisor has had enough."""
    with running_rust_client(rust_client_binary, server.url, "ferris", "devkey-auth-unheard-of") as client:
        wait_for(lambda: REFUSED in client.log(), LIMIT, "it knows that it is refused")
        assert client.said("self") == client.said("login") == []
    assert server.nodes() == []


def test_a_key_gives_its_tags_and_is_spent_for_others(
    server: RunningServer, rust_client_binary: Path
) -> None:
    """The crate gives its key with every registration, so a spent one must still let in whom it has let in before."""
    key = server.call(lambda it: it.add_auth_key(reusable=False, tags=["tag:db"]))
    with running_rust_client(rust_client_binary, server.url, "ferris", key) as client:
        assert client.wait_own()["tags"] == ["tag:db"]
        with running_rust_client(rust_client_binary, server.url, "other", key) as other:
            wait_for(lambda: REFUSED in other.log(), LIMIT, "the other one is refused")
        before = server.seen()[-1]
        server.drop_all()
        wait_for(
            lambda: any(event.at > before.at for event in server.seen("map")), LIMIT, "it has a new session"
        )
    assert the_node(server).tags == ("tag:db",)


def test_an_ephemeral_one_is_forgotten(rust_client_binary: Path) -> None:
    with running_server(offline_grace=0.2, ephemeral_grace=0.5) as server:
        key = server.call(lambda it: it.add_auth_key(ephemeral=True))
        with running_rust_client(rust_client_binary, server.url, "ferris", key) as client:
            client.wait_own()
            assert the_node(server).ephemeral
        wait_for(lambda: server.nodes() == [], LIMIT, "it is forgotten")


def test_it_is_let_in_once_its_machine_is_approved(rust_client_binary: Path, tmp_path: Path) -> None:
    """The crate does not wait for an approval: it is refused, and has to be started again."""
    with running_server(require_approval=True) as server:
        arguments = (rust_client_binary, server.url, "ferris", server.auth_key, tmp_path)
        with running_rust_client(*arguments) as client:
            wait_for(lambda: REFUSED in client.log(), LIMIT, "it knows that it is refused")
            assert not the_node(server).authorized
        server.tailnet.authorize("ferris")
        with running_rust_client(*arguments) as client:
            client.wait_own()
            assert client.agrees_with(server)


def test_an_expired_key_is_refused_when_it_registers_anew(
    server: RunningServer, rust_client_binary: Path
) -> None:
    """Until then the crate takes no notice, and it has no way to another node key."""
    with running_rust_client(rust_client_binary, server.url, "ferris", server.auth_key) as client:
        client.wait_own()
        server.tailnet.expire("ferris")
        wait_for(lambda: client.last("self")["key_expiry"], LIMIT, "it hears that its key has expired")
        assert REFUSED not in client.log()
        server.drop_all()
        wait_for(lambda: REFUSED in client.log(), LIMIT, "it is refused")
    assert the_node(server).expired
