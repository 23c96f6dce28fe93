"""The daemon as a node of a real headscale: what the documentation says about it, and what an administrator does.

Not part of `make test`: it needs a binary of headscale, which is named (`make headscale-test HEADSCALE=PATH`).
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.peers.headscale import SUFFIX, TAG, binary, running_headscale
from tests.support.processes.daemon import Daemon
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.peers.headscale import Headscale

pytestmark = [pytest.mark.headscale, pytest.mark.timeout(300)]
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "headscale.md"
SILENCE = 20.0
"""Seconds: less than the minute between two keep-alives, so only for a server that is stopped meanwhile."""


@pytest.fixture(scope="session")
def program() -> Path:
    found = binary()
    if found is None:
        pytest.skip("no headscale was named; run: make headscale-test HEADSCALE=/path/to/headscale")
    return found


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="nmx-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def headscale(program: Path, place: Path) -> Iterator[Headscale]:
    directory = place / "h"
    directory.mkdir()
    with running_headscale(program, directory) as server:
        print(program, server.tell("version").strip())
        yield server


@pytest.fixture
def join(headscale: Headscale, place: Path) -> Iterator[Callable[..., Daemon]]:
    """`join(name, key, *options)` starts a daemon under this host name; all are ended with the test."""
    with ExitStack() as running:

        def start(name: str, key: str = "", *options: str) -> Daemon:
            directory = place / name
            directory.mkdir(exist_ok=True)
            words = [f"--control-url={headscale.url}", f"--hostname={name}"]
            if key:
                file = directory / "key"
                file.touch(mode=0o600)
                file.write_text(key)
                words.append(f"--auth-key=file:{file}")
            return running.enter_context(Daemon(*words, *options, directory=directory))

        yield start


def peer(daemon: Daemon, name: str) -> dict[str, Any] | None:
    """What the daemon's netmap has of a node."""
    shown = daemon.command("netmap", "--json")
    assert shown.returncode == 0, shown.stderr
    found = [one for one in json.loads(shown.stdout)["peers"] if one["name"].startswith(f"{name}.")]
    return found[0] if found else None


def typed(command: str, number: str) -> list[list[str]]:
    """What the page has headscale do with such a command, and with an ID put in."""
    lines = re.findall(rf"^headscale ({command} .*?)(?: +#.*)?$", PAGE.read_text(), flags=re.MULTILINE)
    return [[number if word == "ID" else word for word in line.split()] for line in lines]


def test_the_lines_of_the_page_make_a_user_and_keys(headscale: Headscale) -> None:
    [create] = typed("users", "")
    headscale.tell(*create)
    [user] = [one for one in headscale.ask("users", "list") if one["name"] == create[-1]]
    made = [headscale.tell(*words) for words in typed("preauthkeys", str(user["id"]))]
    assert len(made) == 2
    assert all(one.strip() for one in made)


def test_a_key_of_a_user_lets_a_node_in_and_the_tailnet_is_called_by_its_suffix(
    headscale: Headscale, join: Callable[..., Daemon]
) -> None:
    user = headscale.user("observer")
    daemon = join("observer", headscale.key("--user", user))
    status = daemon.wait_fresh()
    assert status["netmap"]["self"]["name"].rstrip(".") == f"observer.{SUFFIX}"
    assert f"{SUFFIX}: 0 peers" in daemon.command("status").stdout
    assert "observer" in headscale.nodes()


def test_a_key_that_carries_a_tag_needs_no_user(headscale: Headscale, join: Callable[..., Daemon]) -> None:
    """From headscale 0.28 on."""
    headscale.user("observer")
    daemon = join("observer", headscale.key("--tags", TAG))
    daemon.wait_fresh()
    shown = daemon.command("netmap", "observer", "--json")
    assert f'"{TAG}"' in shown.stdout


def test_a_login_by_page_is_let_in_on_its_command_line(
    headscale: Headscale, join: Callable[..., Daemon]
) -> None:
    headscale.user("observer")
    daemon = join("observer")
    waiting = daemon.wait_status(lambda status: status["connection"]["auth_url"], what="a URL to log in")
    assert daemon.command("status", "-q").returncode == 5
    login = waiting["connection"]["auth_url"].rpartition("/")[2]
    try:
        headscale.tell(*typed("auth", login)[0])
    except RuntimeError as error:
        if "unknown" not in str(error):
            raise
        headscale.tell("nodes", "register", "--key", login, "--user", "observer")  # before 0.29
    daemon.wait_fresh()


def test_tags_that_are_asked_for_beside_a_key_are_refused_with_a_way_out(
    headscale: Headscale, join: Callable[..., Daemon]
) -> None:
    user = headscale.user("observer")
    daemon = join("observer", headscale.key("--user", user), f"--request-tags={TAG}")
    status = daemon.wait_status(lambda status: status["connection"]["last_end"], what="a refusal")
    assert "take --request-tags away" in status["connection"]["last_end"]["detail"]


def test_a_refused_key_ends_the_run_with_77(headscale: Headscale, join: Callable[..., Daemon]) -> None:
    assert headscale.nodes() == {}
    assert join("observer", "hskey-auth-nobody-" + "0" * 64).wait(30.0) == 77


def test_what_an_administrator_does_to_a_peer_is_seen(
    headscale: Headscale, join: Callable[..., Daemon]
) -> None:
    user = headscale.user("observer")
    daemon = join("observer", headscale.key("--user", user))
    join("web", headscale.key("--user", user)).wait_fresh()
    daemon.wait_fresh()
    wait_for(lambda: (peer(daemon, "web") or {}).get("online") is True, 20.0, "the peer is online")
    node = headscale.node_id("web")
    headscale.tell("nodes", "rename", "--identifier", node, "shop")
    wait_for(lambda: peer(daemon, "shop"), 20.0, "its new name")
    assert peer(daemon, "web") is None
    headscale.tell("nodes", "tag", "--identifier", node, "--tags", "tag:canary")
    wait_for(lambda: "tag:canary" in (peer(daemon, "shop") or {"tags": ()})["tags"], 20.0, "its tag")
    headscale.tell("nodes", "expire", "--identifier", node)
    wait_for(lambda: (peer(daemon, "shop") or {}).get("expired"), 20.0, "its expiry")
    headscale.tell("nodes", "delete", "--identifier", node, "--force")
    wait_for(lambda: peer(daemon, "shop") is None, 20.0, "its end")


def test_a_node_that_is_deleted_finds_out_though_it_is_fed(
    headscale: Headscale, join: Callable[..., Daemon]
) -> None:
    """headscale issue 3410: the stream may go on for a node that is no more; it is asked."""
    user = headscale.user("observer")
    daemon = join("observer", headscale.key("--user", user), "--truth-interval=5s")
    daemon.wait_fresh()
    headscale.tell("nodes", "delete", "--identifier", headscale.node_id("observer"), "--force")
    daemon.wait_status(lambda status: status["connection"]["ended"]["removed"], 60.0, "its removal")
    daemon.wait_status(
        lambda _: daemon.command("status", "-q").returncode == 5, 30.0, "a person is asked for"
    )


def test_a_restart_of_the_server_costs_seconds_and_the_node_stays_the_same(
    headscale: Headscale, join: Callable[..., Daemon]
) -> None:
    user = headscale.user("observer")
    daemon = join("observer", headscale.key("--user", user))
    before = daemon.wait_fresh()
    headscale.stop()
    daemon.wait_status(lambda status: status["netmap"]["state"] == "stale", what="a stale netmap")
    headscale.start()
    after = daemon.wait_fresh(60.0)
    assert after["netmap"]["self"] == before["netmap"]["self"]
    assert after["connection"]["pid"] != before["connection"]["pid"]
    assert list(headscale.nodes()) == ["observer"]


def test_a_silent_server_is_found_out_and_the_netmap_is_fresh_when_it_speaks_again(
    headscale: Headscale, join: Callable[..., Daemon]
) -> None:
    user = headscale.user("observer")
    daemon = join("observer", headscale.key("--user", user), f"--silence-timeout={SILENCE:g}s")
    before = daemon.wait_fresh()
    with headscale.silent():
        found = daemon.wait_event("silence_detected", SILENCE + 15.0)
        assert SILENCE <= float(found["silent_for"]) <= SILENCE + 2.0
        daemon.wait_status(lambda status: status["netmap"]["state"] == "stale", what="a stale netmap")
    after = daemon.wait_fresh(60.0)
    assert after["connection"]["local_address"] != before["connection"]["local_address"]
