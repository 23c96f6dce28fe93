"""The control key: pinned once a handshake has proved it, and whatever `/key` says before, nobody has to come."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from netmap_actors.boot import ConnectionSettings
from netmap_actors.dev_control.standalone import make_options, running_server
from netmap_actors.exit_reason import ExitReason, status_of
from netmap_actors.protocol.keys import MachinePrivate
from tests.support.inputs.low_order import LOW_ORDER
from tests.support.processes.connection_process import running_connection
from tests.support.proxies.lying_front import SWITCHED, LyingFront, http_answer, lying_front

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.dev_control.standalone import RunningServer


def key_answer(raw: bytes) -> bytes:
    return http_answer(
        b'{"legacyPublicKey":"mkey:%s","publicKey":"mkey:%s"}' % (b"0" * 64, raw.hex().encode())
    )


RANDOM = MachinePrivate.generate(b"\x2a" * 32).public().raw
LIES = {
    "random key": key_answer(RANDOM),
    "low order": key_answer(LOW_ORDER[2]),
    "low order, not canonical": key_answer(LOW_ORDER[-1]),
    "zero": key_answer(bytes(32)),
    "malformed": http_answer(b'{"publicKey":"mkey:12"}'),
    "legacy only": http_answer(RANDOM.hex().encode(), kind="text/plain"),
    "no content": http_answer(b""),
    "http error": http_answer(b"no", status="502 Bad Gateway", kind="text/plain"),
    "captive portal": http_answer(b"<html>log in</html>", kind="text/html"),
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\nContent-Length: 0\r\n\r\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(nodes=2, options=make_options(keep_alive=50.0)) as running:
        yield running


@pytest.fixture
def front(server: RunningServer) -> Iterator[LyingFront]:
    with lying_front(server.port) as front:
        yield front


class Node:
    """One state directory, and what became of each process that used it."""

    def __init__(self, directory: Path, front: LyingFront, auth_key: str) -> None:
        self.state = directory / "state"
        self.front = front
        (directory / "auth-key").write_text(auth_key)
        self.settings = ConnectionSettings(
            control_url=front.url,
            state_dir=str(self.state),
            auth_key=f"file:{directory / 'auth-key'}",
            hostname="client",
        )

    def fails(self) -> tuple[str, str, int]:
        """Reason, detail and exit status of a process that comes to no map."""
        with running_connection(self.settings) as process:
            ended = process.next("session_ended")
            assert not ended.had_map
            return ended.reason, ended.detail, process.exit_status()

    def comes_up(self) -> None:
        with running_connection(self.settings) as process:
            process.next_map()

    @property
    def pinned(self) -> str:
        path = self.state / "node.json"
        return json.loads(path.read_bytes())["server_key"] if path.exists() else ""


@pytest.fixture
def node(tmp_path: Path, front: LyingFront, server: RunningServer) -> Node:
    return Node(tmp_path, front, server.auth_key)


@pytest.mark.parametrize("lie", LIES)
def test_a_wrong_first_answer_is_asked_for_again(node: Node, server: RunningServer, lie: str) -> None:
    node.front.key_answer = LIES[lie]
    reason, detail, status = node.fails()
    assert (reason, status) == ("error", status_of(ExitReason.ERROR)), detail
    assert not node.pinned, "nothing has proved it"
    node.front.key_answer = b""
    node.comes_up()
    assert node.pinned == str(server.server_key)


@pytest.mark.parametrize("lie", LIES)
def test_a_pinned_key_outlives_a_wrong_answer(node: Node, server: RunningServer, lie: str) -> None:
    """The server hangs up once, which puts the key in doubt, and then `/key` errs as well."""
    node.comes_up()
    node.front.key_answer, node.front.upgrade_answer = LIES[lie], SWITCHED
    reason, detail, status = node.fails()
    assert (reason, status) == ("error", status_of(ExitReason.ERROR)), detail
    node.front.upgrade_answer = b""
    node.comes_up()
    assert node.pinned == str(server.server_key)
    assert node.front.asked.count(b"GET /key") == 2, "a pinned key is asked for only while it is in doubt"


def test_a_random_key_that_the_server_cannot_prove_is_no_changed_key(
    node: Node, server: RunningServer
) -> None:
    """Only the answer of `/key` is a lie: the handshake with the lie fails at the server itself."""
    node.comes_up()
    node.front.key_answer = key_answer(RANDOM)
    with changed_state(node, RANDOM):
        # What an older version pinned unproved, and the same lie again: nothing new is known.
        reason, _, _ = node.fails()
        assert reason == "error"
    node.comes_up()
    assert node.pinned == str(server.server_key)


@contextlib.contextmanager
def changed_state(node: Node, server_key: bytes) -> Iterator[None]:
    """The node file with another pin, for a while."""
    path = node.state / "node.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(node.pinned.encode(), b"mkey:" + server_key.hex().encode()))
    yield
    path.write_bytes(whole)


def test_a_pin_of_low_order_from_an_older_version_heals(node: Node, server: RunningServer) -> None:
    node.comes_up()
    with changed_state(node, LOW_ORDER[3]):
        node.comes_up()
        assert node.pinned == str(server.server_key)


def test_an_unproved_pin_of_a_node_that_never_registered_heals(node: Node, server: RunningServer) -> None:
    node.comes_up()
    registration = node.state / "registration.json"
    known = json.loads(registration.read_bytes())
    del known["server_key"]
    registration.write_text(json.dumps(known | {"registered_node_key": "", "auth_key_digest": ""}))
    path = node.state / "node.json"
    path.write_bytes(path.read_bytes().replace(node.pinned.encode(), b"mkey:" + RANDOM.hex().encode()))
    reason, detail, _ = node.fails()
    assert reason == "error"
    assert "pinned from now on" in detail
    node.comes_up()
    assert node.pinned == str(server.server_key)


def test_a_proved_pin_is_kept_from_the_first_proof_on(
    node: Node, server: RunningServer, tmp_path: Path
) -> None:
    """Whoever comes in between after the first contact must not get the auth key that a person puts right then."""
    (tmp_path / "auth-key").write_text("tskey-auth-WRONG")
    reason, detail, _ = node.fails()
    assert reason == "auth_refused", detail
    assert node.pinned == str(server.server_key)
    (tmp_path / "auth-key").write_text(server.auth_key)
    with running_server() as other, lying_front(other.port) as between:
        assert other.server_key != server.server_key
        node.settings = msgspec.structs.replace(node.settings, control_url=between.url)
        path = node.state / "node.json"
        path.write_text(path.read_text().replace(node.front.url, between.url))
        for _ in range(2):
            reason, detail, status = node.fails()
            assert (reason, status) == ("control_key_changed", status_of(ExitReason.KEY_CHANGED)), detail
            assert node.pinned == str(server.server_key)


@pytest.mark.parametrize(
    "answer",
    [
        SWITCHED,
        SWITCHED + b"\x03\x00\x05wrong",
        SWITCHED + b"\x02\x00\x30" + b"\x07" * 48,
        SWITCHED + b"\x02\x00\x30" + LOW_ORDER[1] + b"\x07" * 16,
        SWITCHED + b"\x09\x00\x00",
    ],
    ids=["closed", "error frame", "wrong tag", "low order", "no handshake"],
)
def test_whatever_puts_the_pinned_key_in_doubt_asks_for_it_again(node: Node, answer: bytes) -> None:
    node.comes_up()
    node.front.asked.clear()
    node.front.upgrade_answer = answer
    reason, detail, _ = node.fails()
    assert reason == "error", detail
    assert "the key is the same" in detail
    assert node.front.asked == [b"POST /ts2021", b"GET /key"]
