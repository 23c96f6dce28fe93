"""Every request the control connection makes, refused in every way a server or a middlebox refuses; TLS that ends."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from netmap_actors.boot import ConnectionSettings
from netmap_actors.dev_control.standalone import make_options, running_server
from netmap_actors.exit_reason import ExitReason, status_of
from tests.support.processes.connection_process import running_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.dev_control.standalone import RunningServer

STAGES = {"key": "handshake", "upgrade": "handshake", "register": "register", "map": "map"}


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(nodes=3, options=make_options(keep_alive=50.0)) as running:
        yield running


def settings(server: RunningServer, directory: Path, url: str = "") -> ConnectionSettings:
    key = directory / "auth-key"
    key.write_text(server.auth_key)
    return ConnectionSettings(
        control_url=url or server.url,
        state_dir=str(directory / "state"),
        auth_key=f"file:{key}",
        hostname="client",
    )


@pytest.mark.parametrize("moment", list(STAGES))
@pytest.mark.parametrize(
    ("status", "retry_after", "wait"),
    [
        (401, "", 0),
        (403, "", 0),
        (404, "", 0),
        (429, "7", 7),
        (429, "soon", None),
        (500, "", 0),
        (503, "9", 9),
    ],
)
def test_f33_a_refused_request_ends_the_attempt_and_says_which_status(
    server: RunningServer, tmp_path: Path, moment: str, status: int, retry_after: str, wait: float | None
) -> None:
    server.fault(
        "refusal/status", moment=moment, status=status, retry_after=retry_after, body="<html>no</html>"
    )
    with running_connection(settings(server, tmp_path)) as process:
        ended = process.next("session_ended")
        assert not ended.had_map
        assert ended.stage == STAGES[moment]
        assert str(status) in ended.detail
        # These of a map request mean that the node is not known there; nothing else is more than a failed attempt.
        expected = "removed" if moment == "map" and status in {401, 403, 404} else "error"
        assert ended.reason == expected, ended.detail
        if wait is not None:
            assert ended.retry_after == wait
        else:
            assert 0 < ended.retry_after <= 30, "a wait that cannot be read is a short one"
        assert process.exit_status() == status_of(ExitReason[expected.upper()])


def test_a_null_answer_to_register_is_a_failed_attempt(server: RunningServer, tmp_path: Path) -> None:
    server.fault("register/null")
    with running_connection(settings(server, tmp_path)) as process:
        ended = process.next("session_ended")
        assert (ended.reason, ended.stage) == ("error", "register")


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """The https URL of somebody who reads once, says this, and closes."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError):
                    for answer in answers:
                        client.recv(4096)
                        client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"https://localhost:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        # RFC 8446, section 6: level 2 is fatal; 40 handshake_failure, 80 internal_error, 112 unrecognized_name.
        (b"\x15\x03\x03\x00\x02\x02\x28", "handshake failure"),
        (b"\x15\x03\x03\x00\x02\x02\x50", "internal error"),
        (b"\x15\x03\x03\x00\x02\x02\x70", "unrecognized name"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is it an http:// server?"),
        (b"", "closed inside the handshake"),
    ],
)
def test_a_tls_alert_ends_the_attempt_in_words(
    server: RunningServer, tmp_path: Path, answer: bytes, said: str
) -> None:
    with answering(answer) as url, running_connection(settings(server, tmp_path, url)) as process:
        ended = process.next("session_ended")
        assert (ended.reason, ended.stage) == ("error", "handshake")
        assert said in ended.detail.replace("_", " ").lower()
        assert process.exit_status() == status_of(ExitReason.ERROR)
