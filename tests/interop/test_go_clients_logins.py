"""How tailscale's own daemon is let into our control server: by a person's browser, by keys that are refused, anew
after its key has expired or it has logged out.
"""

from __future__ import annotations

import tempfile
import urllib.error
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from tests.support.peers.login_page import browse, press
from tests.support.peers.stun_server import running_stun
from tests.support.peers.tailscaled import Tailscaled, running_tailscaled
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.dev_control.operator.listings import NodeView

pytestmark = pytest.mark.interop

LIMIT = 15.0


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_stun() as derp_map, running_server(derp_map=derp_map, offline_grace=0.5) as running:
        yield running


@pytest.fixture
def laptop(go_tools: Path) -> Iterator[Tailscaled]:
    with running_tailscaled(go_tools) as running:
        yield running


def wait_state(daemon: Tailscaled, state: str) -> None:
    wait_for(lambda: daemon.state() == state, LIMIT, f"tailscaled is in the state {state}")


def waits_for_login(server: RunningServer) -> int:
    """How many requests of clients wait for the end of a login."""
    return len([event for event in server.seen("register") if "followup" in event.detail])


def the_node(server: RunningServer) -> NodeView:
    (node,) = server.nodes()
    return node


def known_to(witness: Tailscaled) -> tuple[str, bool]:
    """Key of the laptop, and whether it has expired, as this peer has it."""
    laptop = witness.peers().get("laptop", {})
    return laptop.get("PublicKey", ""), laptop.get("Expired", False)


def test_a_person_refuses_and_then_allows_it(server: RunningServer, laptop: Tailscaled) -> None:
    with laptop.going_up(server.url, "laptop") as up:
        first = up.wait_login_url()
        assert laptop.state() == "NeedsLogin"
        assert laptop.status()["AuthURL"] == first
        assert "laptop" in browse(first), "the page says who asks"
        wait_for(lambda: waits_for_login(server) == 1, LIMIT, "it waits for the answer")
        assert server.nodes() == []

        assert "refused" in press(first, "Refuse")
        second = up.wait_login_url(other_than=first)
        assert laptop.state() == "NeedsLogin"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            browse(first)

        assert "is in" in press(second, "Allow", user="bob")
        assert up.wait_end() == 0, up.words()
        assert "Success." in up.words()
    assert laptop.state() == "Running"
    own = laptop.status()["Self"]
    assert own["ID"] == the_node(server).stable_id
    assert laptop.status()["User"][str(own["UserID"])]["LoginName"] == "bob"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        browse(second)


def test_a_login_outlives_the_client_that_asked_for_it(server: RunningServer, go_tools: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="nmt-", dir="/tmp") as kept:
        with running_tailscaled(go_tools, Path(kept)) as laptop, laptop.going_up(server.url, "laptop") as up:
            before = up.wait_login_url()
            wait_for(lambda: waits_for_login(server) == 1, LIMIT, "it waits for the answer")
        # Its user goes on in the browser while it is away.
        assert "is in" in press(before, "Allow")
        promised = the_node(server)
        with running_tailscaled(go_tools, Path(kept)) as laptop:
            with laptop.going_up(server.url, "laptop") as up:
                # A tailscaled that was not let in forgets its node key, so it asks with another one.
                press(up.wait_login_url(), "Allow")
                assert up.wait_end() == 0, up.words()
            assert laptop.status()["Self"]["ID"] == promised.stable_id, "the machine is the same"
        assert the_node(server).key != promised.key


def test_what_tailscale_says_of_refused_keys(server: RunningServer, go_tools: Path) -> None:
    revoked = server.call(lambda it: it.add_auth_key())
    assert server.call(lambda it: it.revoke_auth_key(revoked))
    expired = server.call(lambda it: it.add_auth_key(expires_in=-1.0))
    refused = [
        ("invalid pre auth key", "devkey-auth-unheard-of", []),
        ("authkey revoked", revoked, []),
        ("authkey expired", expired, []),
        (
            "requested tags [tag:db] are invalid or not permitted",
            server.auth_key,
            ["--advertise-tags=tag:db"],
        ),
    ]
    for why, key, options in refused:
        # A new one each time: it goes on trying an earlier key for a while, and may print what is said of that.
        with (
            running_tailscaled(go_tools) as laptop,
            laptop.going_up(server.url, "laptop", f"--auth-key={key}", *options) as up,
        ):
            assert up.wait_end() == 1
            assert why in up.words()
            assert laptop.state() == "NeedsLogin"
            wait_for(
                lambda why=why, it=laptop: any(why in warning for warning in it.status()["Health"]),
                LIMIT,
                "its status says so, too",
            )
    assert server.nodes() == []


def test_a_refused_one_is_let_in_with_a_better_key(server: RunningServer, laptop: Tailscaled) -> None:
    with laptop.going_up(server.url, "laptop", "--auth-key=devkey-auth-unheard-of") as up:
        assert up.wait_end() == 1
    with laptop.going_up(server.url, "laptop", f"--auth-key={server.auth_key}"):
        wait_state(laptop, "Running")
    assert the_node(server).key == laptop.status()["Self"]["PublicKey"]


def test_a_one_shot_key_with_tags_lets_one_in(
    server: RunningServer, laptop: Tailscaled, go_tools: Path
) -> None:
    key = server.call(lambda it: it.add_auth_key(reusable=False, tags=["tag:db"]))
    laptop.up(server.url, key, "laptop", "--advertise-tags=tag:db")
    own = laptop.status()["Self"]
    assert own["Tags"] == ["tag:db"]
    assert laptop.status()["User"][str(own["UserID"])]["LoginName"] == "tagged-devices"
    with (
        running_tailscaled(go_tools) as other,
        other.going_up(server.url, "other", f"--auth-key={key}") as up,
    ):
        assert up.wait_end() == 1
        assert "authkey already used" in up.words()
    laptop.run("down")
    laptop.run("up")  # The spent key is no matter to the node it has let in.
    assert the_node(server).tags == ("tag:db",)


def test_an_approval_is_taken_back_and_given_again(server: RunningServer, laptop: Tailscaled) -> None:
    laptop.up(server.url, server.auth_key, "laptop")
    server.tailnet.authorize("laptop", False)
    wait_state(laptop, "NeedsMachineAuth")
    server.tailnet.authorize("laptop")
    wait_state(laptop, "Running")


def test_a_key_that_was_given_a_lifetime_ends_by_itself(server: RunningServer, laptop: Tailscaled) -> None:
    server.call(lambda it: it.require(key_lifetime=3.0))
    laptop.up(server.url, server.auth_key, "laptop")
    assert laptop.state() == "Running"
    assert laptop.status()["Self"]["KeyExpiry"] > laptop.status()["Self"]["Created"]
    wait_state(laptop, "NeedsLogin")
    assert the_node(server).expired
    laptop.up(server.url, server.auth_key, "laptop", "--force-reauth")
    assert laptop.state() == "Running"


def test_it_logs_out_and_comes_back_with_a_new_key(server: RunningServer, laptop: Tailscaled) -> None:
    laptop.up(server.url, server.auth_key, "laptop")
    before = the_node(server)
    laptop.run("logout")
    assert laptop.state() == "NeedsLogin"
    assert the_node(server).expired
    wait_for(lambda: the_node(server).online is False, LIMIT, "it is offline for the others")
    laptop.up(server.url, server.auth_key, "laptop")
    after = the_node(server)
    assert (after.id, after.addresses, after.name) == (before.id, before.addresses, before.name)
    assert after.key == laptop.status()["Self"]["PublicKey"] != before.key
    assert not after.expired


@pytest.mark.parametrize("way", ["auth key", "login"])
def test_it_rotates_an_expired_key(
    server: RunningServer, laptop: Tailscaled, go_tools: Path, way: str
) -> None:
    with ExitStack() as running:
        witness = running.enter_context(running_tailscaled(go_tools))
        witness.up(server.url, server.auth_key, "witness")
        laptop.up(server.url, server.auth_key, "laptop")
        (before,) = (node for node in server.nodes() if node.name.startswith("laptop."))
        wait_for(lambda: known_to(witness) == (before.key, False), LIMIT, "the witness knows it")

        server.tailnet.expire("laptop")
        wait_state(laptop, "NeedsLogin")
        wait_for(lambda: known_to(witness) == (before.key, True), LIMIT, "the witness hears of it")

        key = [f"--auth-key={server.auth_key}"] if way == "auth key" else []
        with laptop.going_up(server.url, "laptop", "--force-reauth", *key) as up:
            if not key:
                press(up.wait_login_url(), "Allow")
            assert up.wait_end() == 0, up.words()
        assert laptop.state() == "Running"
        (after,) = (node for node in server.nodes() if node.name.startswith("laptop."))
        assert (after.id, after.addresses) == (before.id, before.addresses)
        assert after.key == laptop.status()["Self"]["PublicKey"] != before.key
        assert any(
            event.detail.startswith(after.key) and "rotation" in event.detail
            for event in server.seen("register")
        ), "it named its old key"
        wait_for(lambda: known_to(witness) == (after.key, False), LIMIT, "the witness has the new key")
