"""`netmap-supervisor dev-control --tls-listen` as a process."""

from __future__ import annotations

import socket
import stat
import subprocess
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.http.tls_files import AUTHORITY_FILE
from tests.support.clients.control_client import ControlClient, Node
from tests.support.processes.daemon import PROGRAM
from tests.support.processes.dev_server import DevServer, running_dev_server
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

TLS = ("--nodes=3", "--churn=0", "--tls-listen=127.0.0.1:0")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DevServer]:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with running_dev_server(*TLS, f"--tls-ca={tmp_path}/ca.pem", "--host=localhost") as running:
        yield running


def said(server: DevServer) -> str:
    assert server.log is not None
    return server.log.with_name("out.txt").read_text()


def test_it_says_where_it_is_reached_and_what_to_trust(server: DevServer, tmp_path: Path) -> None:
    client = ControlClient(server.url, Node())
    client.register(server.auth_key)
    assert len(client.message(client.map(), 0)["Peers"]) == 3
    client.close()
    rows = dict(line.split(maxsplit=1) for line in said(server).replace("no TLS", "no-TLS").splitlines()[:4])
    assert rows["url"] == server.url
    assert server.url.startswith("https://localhost:")
    assert rows["no-TLS"].startswith("http://localhost:")
    assert rows["CA"] == f"{tmp_path}/ca.pem"
    assert "PRIVATE" not in said(server) + (tmp_path / "ca.pem").read_text()


def test_plain_http_on_its_port_is_told_in_the_log(server: DevServer) -> None:
    port = urllib.parse.urlsplit(server.url).port
    with socket.create_connection(("127.0.0.1", port), 5.0) as sock:
        sock.sendall(b"GET /key?v=130 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.0 400")
    assert server.log is not None
    log = server.log
    wait_for(
        lambda: '"tls_failed"' in log.read_text() and "plain HTTP on the port for TLS" in log.read_text(),
        5.0,
        "the log's line",
    )


def test_its_ca_is_kept_in_the_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    trusted = []
    for _ in range(2):
        with running_dev_server(*TLS, f"--state-dir={state}") as server:
            assert f"CA        {state}/ca.pem" in said(server)
            trusted.append((state / "ca.pem").read_bytes())
    assert trusted[0] == trusted[1]
    assert stat.S_IMODE((state / AUTHORITY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("options", "status", "why"),
    [
        (["--tls-cert=a.pem", "--tls-listen=127.0.0.1:0"], 2, "--tls-cert and --tls-key are needed both"),
        (["--tls-ca=ca.pem"], 2, "--tls-listen says where"),
        (["--tls-listen=127.0.0.1"], 2, "HOST:PORT is expected"),
        (["--host=a b"], 2, "a host name or an address"),
        (["--tls-listen=127.0.0.1:0", "--tls-cert=no.pem", "--tls-key=no.pem"], 78, "cannot read no.pem"),
        (["--tls-listen=127.0.0.1:0", "--tls-ca=/no/such/ca.pem"], 78, "cannot write the CA's certificate"),
        (["--tls-listen=192.0.2.1:443"], 78, "choose another place (--tls-listen)"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    tmp_path: Path, options: list[str], status: int, why: str
) -> None:
    done = subprocess.run(
        [*PROGRAM, "dev-control", *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=30,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert why in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
