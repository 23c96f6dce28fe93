"""The control_connection process against a whole control server: what it says to whom, and how it ends."""

from __future__ import annotations

import dataclasses
import json
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.boot import ConnectionSettings
from netmap_actors.dev_control.standalone import make_options, running_server
from netmap_actors.exit_reason import ExitReason, status_of
from netmap_actors.wire import internal_pb2
from tests.support.host.free_ports import free_address
from tests.support.processes.connection_process import ConnectionProcess, running_connection
from tests.support.proxies.tls_front import self_signed, tls_in_front_of
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.dev_control.standalone import RunningServer

LIMIT = 20.0


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclasses.dataclass
class House:
    """A server, a state directory, and settings that join the two."""

    server: RunningServer
    directory: Path

    def settings(self, **changes: object) -> ConnectionSettings:
        key = self.directory / "auth-key"
        if not key.exists():
            key.write_text(self.server.auth_key + "\n")
        fields: dict[str, Any] = {
            "control_url": self.server.url,
            "state_dir": str(self.directory / "state"),
            "auth_key": f"file:{key}",
            "hostname": "client",
        }
        return ConnectionSettings(**(fields | changes))

    @contextmanager
    def connection(self, generation: int = 1, **changes: object) -> Iterator[ConnectionProcess]:
        with running_connection(self.settings(**changes), generation) as process:
            yield process

    def joined(self, **changes: object) -> None:
        """Be a registered node."""
        with self.connection(**changes) as process:
            process.next_map()

    def stored(self, name: str) -> Any:
        return json.loads((self.directory / "state" / name).read_bytes())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with running_server(nodes=3, options=make_options(keep_alive=50.0)) as server:
        yield House(server, tmp_path)


# The way to the first map


def test_a_new_node_registers_and_hands_its_map_on(house: House) -> None:
    with house.connection() as process:
        stages = [process.next("stage_entered").stage for _ in range(5)]
        assert stages == ["resolve", "connect", "handshake", "register", "map"]
        header, body = process.next_map()
        assert (header.generation, header.session, header.number) == (1, 1, 1)
        assert header.size == len(body)
        assert len(json.loads(body)["Peers"]) == 3
        assert process.next_word("map_response_received", number=1).received_at == header.received_at
    node = house.stored("node.json")
    assert set(node) == {"node_key", "machine_key", "server_url", "server_key"}
    assert node["server_key"] == str(house.server.server_key)
    assert oct((house.directory / "state" / "node.json").stat().st_mode & 0o777) == "0o600"


def test_the_supervisor_learns_the_ends_of_the_connection(house: House) -> None:
    with house.connection() as process:
        process.next_map()
        info = process.next("connection_info", server_key=str(house.server.server_key))
        assert info.remote_address == f"127.0.0.1:{house.server.port}"
        assert info.local_address == house.server.clients()[0].remote_address
        assert process.next("registered").machine_authorized


def test_a_respawn_goes_straight_to_the_map_as_the_same_node(house: House) -> None:
    house.joined()
    before = house.stored("registration.json")
    with house.connection(generation=2) as process:
        stages = [process.next("stage_entered").stage for _ in range(4)]
        assert stages == ["resolve", "connect", "handshake", "map"]
        process.next_map()
    assert house.stored("registration.json") == before
    assert len(house.server.seen("register")) == 1


def test_keep_alives_and_deltas_reach_publisher_and_liveness(house: House) -> None:
    with house.connection() as process:
        process.next_map()
        house.server.raw('{"KeepAlive":true}')
        header, body = process.next_map()
        assert (header.number, header.keep_alive, body) == (2, True, b'{"KeepAlive":true}')
        house.server.tailnet.add_node("late")
        header, body = process.next_map()
        assert (header.number, header.keep_alive) == (3, False)
        assert b"late" in body
        assert process.next_word("map_response_received", number=2).keep_alive
        assert not process.next_word("map_response_received", number=3).keep_alive


def test_it_speaks_https_with_a_ca_of_ones_own(house: House, tmp_path: Path) -> None:
    pem = self_signed(tmp_path)
    with tls_in_front_of(house.server.port, pem) as port:
        url = f"https://localhost:{port}"
        with house.connection(control_url=url, ca_file=str(pem)) as process:
            process.next_map()
            for number in range(2, 12):
                house.server.raw(json.dumps({"Domain": "x", "Filler": "x" * 500_000}))
                header, body = process.next_map()
                assert (header.number, len(body) > 500_000) == (number, True)
        with house.connection(2, control_url=url) as process:
            ended = process.next("session_ended")
            assert (ended.reason, ended.stage) == ("error", "handshake")
            assert "cannot trust localhost" in ended.detail


def test_a_name_that_does_not_exist_is_a_failed_attempt(house: House) -> None:
    with house.connection(control_url="http://control.invalid") as process:
        ended = process.next("session_ended")
        assert (ended.reason, ended.stage) == ("error", "resolve")
        assert "cannot resolve control.invalid" in ended.detail


# What liveness is told


def test_liveness_hears_of_every_stage_with_its_limit(house: House) -> None:
    with house.connection(silence_timeout=77.0) as process:
        limits = {}
        while "map" not in limits:
            word = process.next_word("stage_entered")
            limits[word.stage] = word.limit
        assert limits == {"resolve": 12, "connect": 10, "handshake": 15, "register": 30, "map": 77}
        progress = process.next_word("progress", stage="map", session=1)
        assert progress.limit == 77
        assert progress.last_received_at == progress.stage_since


def test_at_the_deadline_it_proves_that_the_socket_is_empty(house: House) -> None:
    with house.connection(silence_timeout=2.0) as process:
        header, _ = process.next_map()
        watch = Stopwatch()
        deadline = header.received_at + 2.0
        while True:
            progress = process.next_word("progress", last_number=1)
            if progress.drained_at >= deadline:
                break
        heard_at = boottime()
        assert progress.drained_at - progress.last_received_at >= 2.0
        assert not progress.paused
        assert heard_at - deadline < watch.allowed(0.5)


def test_bytes_that_are_no_map_response_move_nothing(house: House) -> None:
    with house.connection(silence_timeout=2.0) as process:
        header, _ = process.next_map()
        house.server.fault("liveness/pings-only", period=0.1)
        progress = process.next_word("progress")
        while progress.drained_at < header.received_at + 2.0:
            progress = process.next_word("progress")
        assert (progress.last_number, progress.last_received_at) == (1, header.received_at)


def test_a_publisher_that_takes_nothing_stops_the_reading_and_loses_nothing(house: House) -> None:
    with house.connection(silence_timeout=1.0) as process:
        process.next_map()
        filler = json.dumps({"Domain": "x", "Filler": "x" * 200_000})
        for _ in range(200):
            house.server.raw(filler)
        progress = process.next_word("progress", paused=True)
        assert progress.paused_since > 0
        assert progress.last_number < 201
        for number in range(2, 202):
            header, _ = process.next_map()
            assert header.number == number
        process.next_word("progress", paused=False, last_number=201)


# Words of the Supervisor


def test_resync_brings_the_whole_map_on_the_same_connection(house: House) -> None:
    with house.connection() as process:
        process.next_map()
        process.next("stage_entered", stage="map")
        (before,) = house.server.clients()
        process.tell(internal_pb2.Resync(reason="a new publisher"))
        entered = process.next("stage_entered", stage="map")
        assert entered.session == 2
        header, body = process.next_map()
        assert (header.session, header.number) == (2, 1)
        assert len(json.loads(body)["Peers"]) == 3
        (after,) = house.server.clients()
        assert after.remote_address == before.remote_address
        assert after.maps == 2


def test_the_truth_about_a_living_node(house: House) -> None:
    with house.connection() as process:
        process.next_map()
        process.next("stage_entered", stage="map")
        process.tell(internal_pb2.TruthProbe())
        assert process.next("truth_probe").outcome == "alive"


def test_the_truth_about_a_node_that_was_deleted_and_is_fed_on(house: House) -> None:
    with house.connection() as process:
        process.next_map()
        process.next("stage_entered", stage="map")
        house.server.fault("identity/deleted-but-fed")
        process.tell(internal_pb2.TruthProbe())
        assert process.next("truth_probe").outcome == "removed"
        ended = process.next("session_ended")
        assert (ended.reason, ended.stage, ended.had_map) == ("removed", "map", True)
        assert process.exit_status() == status_of(ExitReason.REMOVED)
    # By itself it does not come back: an administrator removed it.
    with house.connection(generation=2) as process:
        assert process.next("stage_entered", stage="login")
        assert process.next("login_needed").url.startswith(house.server.url)
    # Unless that is what was asked for.
    with house.connection(generation=3, on_removed="register") as process:
        process.next_map()


def test_stop_ends_it_in_good_order(house: House) -> None:
    with house.connection() as process:
        process.next_map()
        process.next("stage_entered", stage="map")
        process.tell(internal_pb2.Stop(reason="test"))
        assert process.exit_status() == 0


# Ends


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("session/cut", "closed"),
        ("session/eof", "closed"),
        ("session/cut-mid-record", "closed"),
        ("session/goaway", "closed"),
        ("session/rst-stream", "closed"),
        ("session/end-stream", "closed"),
        ("input/oversized-frame", "error"),
        ("input/zero-frame", "error"),
        ("input/zstd-bomb", "error"),
        ("input/two-zstd-frames", "error"),
        ("input/bad-json", "error"),
        ("input/corrupt-record", "error"),
        ("input/oversized-record", "error"),
        ("input/flood", "error"),
    ],
)
def test_however_a_session_ends_the_supervisor_is_told_and_the_process_ends(
    house: House, fault: str, reason: str
) -> None:
    with house.connection() as process:
        process.next_map()
        watch = Stopwatch()
        house.server.fault(fault)
        if fault not in (
            "session/cut",
            "session/eof",
            "session/goaway",
            "session/rst-stream",
            "session/end-stream",
        ):
            house.server.tailnet.add_node("late")
        ended = process.next("session_ended")
        assert watch.seconds() < 5
        assert (ended.reason, ended.stage, ended.had_map, ended.generation) == (reason, "map", True, 1)
        assert ended.detail
        assert process.exit_status() == status_of(ExitReason[reason.upper()])


def test_a_first_map_without_node_is_no_session(house: House) -> None:
    house.server.fault("map/first-without-node")
    with house.connection() as process:
        ended = process.next("session_ended")
        assert (ended.reason, ended.had_map) == ("error", False)


def test_a_busy_server_is_given_the_time_it_asks_for(house: House) -> None:
    house.server.fault("refusal/status", status=429, retry_after="7", moment="register")
    with house.connection() as process:
        ended = process.next("session_ended")
        assert (ended.reason, ended.stage, ended.retry_after) == ("error", "register", 7)
        assert process.exit_status() == status_of(ExitReason.ERROR)


def test_a_refused_auth_key_ends_it_with_its_own_status(house: House) -> None:
    with house.connection(auth_key=f"file:{_wrong_key(house)}") as process:
        ended = process.next("session_ended")
        assert ended.reason == "auth_refused"
        assert process.exit_status() == status_of(ExitReason.LOGIN_REFUSED) == 77
        assert "WRONG" not in process.log_text() + ended.detail


def _wrong_key(house: House) -> Path:
    path = house.directory / "wrong-key"
    path.write_text("tskey-auth-WRONG")
    return path


def test_nobody_there_is_a_failed_attempt(house: House) -> None:
    with house.connection(control_url=f"http://{free_address()}") as process:
        ended = process.next("session_ended")
        assert (ended.reason, ended.stage) == ("error", "connect")
        assert "Connection refused" in ended.detail


def test_the_socket_closes_with_a_reset_even_when_it_is_killed(house: House) -> None:
    with house.connection() as process:
        process.next_map()
        process.process.send_signal(signal.SIGKILL)
        wait_for(lambda: not house.server.clients(), LIMIT, "the server sees the reset")


# A person logs in


def test_a_login_is_resumed_by_the_next_process_and_ends_in_a_map(house: House) -> None:
    with house.connection(auth_key="") as process:
        assert process.next("stage_entered", stage="login").limit == 0
        url = process.next("login_needed").url
        pending = house.stored("registration.json")["pending"]
        assert pending["auth_url"] == url
    with house.connection(generation=2, auth_key="") as process:
        assert process.next("login_needed").url == url
        (login,) = house.server.call(lambda it: it.logins())
        house.server.call(lambda it: it.approve_login(login))
        assert process.next("login_needed").url == ""
        process.next_map()
    assert house.stored("registration.json")["pending"] is None


# The server's key


def test_a_changed_control_key_is_reported_and_not_believed(house: House) -> None:
    house.joined()
    pinned = house.stored("node.json")["server_key"]
    house.server.fault("identity/server-key-changed")
    with house.connection(generation=2) as process:
        ended = process.next("session_ended")
        assert ended.reason == "control_key_changed"
        assert "--accept-changed-key" in ended.detail
        assert process.exit_status() == status_of(ExitReason.KEY_CHANGED)
    assert house.stored("node.json")["server_key"] == pinned
    with house.connection(generation=3, accept_changed_key=True) as process:
        assert process.next("session_ended").reason == "error"
    assert house.stored("node.json")["server_key"] != pinned
    assert house.stored("registration.json")["registered_node_key"] == ""


def test_the_pinned_key_is_used_without_asking(house: House) -> None:
    house.joined()
    asked = len(house.server.seen("key"))
    assert asked == 1
    house.joined(auth_key="")
    assert len(house.server.seen("key")) == asked


# Configuration


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"control_url": "gopher://x"}, "cannot use the control URL"),
        ({"auth_key": "file:/nonexistent/key"}, "cannot read the auth key"),
        ({"auth_key": "tskey-auth-SECRET"}, "its source must be"),
        ({"state_dir": "/proc/nowhere"}, "choose another --state-dir"),
        ({"control_url": "https://127.0.0.1:1", "ca_file": "/nonexistent.pem"}, "cannot use the CA file"),
    ],
)
def test_a_wrong_setting_ends_it_with_78_and_says_what_to_do(
    house: House, changes: dict[str, object], words: str
) -> None:
    with house.connection(**changes) as process:
        assert process.exit_status() == status_of(ExitReason.CONFIGURATION) == 78
        assert words in process.log_text()
        assert words in process.next("session_ended").detail
        assert "SECRET" not in process.log_text()


def test_a_damaged_node_file_ends_it_with_78_and_stays(house: House) -> None:
    house.joined()
    path = house.directory / "state" / "node.json"
    path.write_bytes(path.read_bytes()[:100])
    with house.connection(generation=2) as process:
        assert process.exit_status() == 78
        assert "node.json" in process.log_text()
    assert path.stat().st_size == 100


def test_a_state_directory_that_cannot_be_written_keeps_a_new_node_from_registering(house: House) -> None:
    state = house.directory / "state"
    state.mkdir()
    (state / ".node.json.new").mkdir()
    with house.connection() as process:
        ended = process.next("session_ended")
        assert (ended.reason, ended.stage) == ("error", "handshake")
        assert "cannot save" in ended.detail
    assert house.server.seen("register") == []


def test_a_registered_node_lives_on_with_an_auth_key_that_is_refused(house: House) -> None:
    house.joined()
    taken = house.stored("registration.json")["auth_key_digest"]
    # testcontrol looks at the key of a node that it knows; headscale does not, as long as nothing else has changed.
    house.server.fault("register/error", text="invalid authkey")
    with house.connection(generation=2, auth_key=f"file:{_wrong_key(house)}") as process:
        told = process.next("degraded", code="auth_key_refused")
        assert told.active
        assert "put back the old key" in told.text
        process.next_map()
    assert house.stored("registration.json")["auth_key_digest"] == taken


def test_a_registered_node_lives_on_without_its_auth_key_file(house: House) -> None:
    house.joined()
    with house.connection(generation=2, auth_key="file:/nonexistent/key") as process:
        process.next_map()


# Trust


def test_no_secret_is_in_its_log_arguments_or_environment(house: House) -> None:
    with house.connection() as process:
        process.next_map()
        pid = process.process.pid
        node = house.stored("node.json")
        registration = house.stored("registration.json")
        secrets = [
            house.server.auth_key,
            node["node_key"][8:],
            node["machine_key"][8:],
            registration["disco_key"][8:],
        ]
        words = process.log_text() + Path(f"/proc/{pid}/cmdline").read_text()
        assert not [secret for secret in secrets if secret in words]


def test_a_ping_is_answered_beside_the_session(house: House) -> None:
    with house.connection() as process:
        process.next_map()
        ping = house.server.call(lambda it: it.ping())
        wait_for(lambda: house.server.call(lambda it: it.pong(ping)), LIMIT, "the HEAD has come")
        echo = house.server.call(
            lambda it: it.ping(payload="POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        )
        answer = wait_for(lambda: house.server.call(lambda it: it.pong(echo)), LIMIT, "the echo has come")
        assert answer.endswith("abc")
        assert len(house.server.clients()) >= 1
