"""The control_connection process behind a proxy: the tunnel, TLS through it and to it, and every refusal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from netmap_actors.boot import ConnectionSettings, EnvironmentSecrets
from netmap_actors.dev_control.standalone import make_options, running_server
from netmap_actors.exit_reason import ExitReason, status_of
from tests.support.processes.connection_process import running_connection
from tests.support.proxies.connect_proxy import ConnectProxy
from tests.support.proxies.socks_proxy import SocksProxy
from tests.support.proxies.tls_front import self_signed, tls_in_front_of
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.dev_control.standalone import RunningServer
    from tests.support.processes.connection_process import ConnectionProcess

HOST = "control.test"
PASSWORD = "hunter2-of-the-proxy"


class Behind:
    """A control server that only a proxy can find: no resolver knows its name."""

    def __init__(self, server: RunningServer, proxy: ConnectProxy, directory: Path, pem: Path) -> None:
        self.server = server
        self.proxy = proxy
        self.directory = directory
        self.pem = pem

    @contextmanager
    def connection(self, url: str = f"https://{HOST}", **changes: object) -> Iterator[ConnectionProcess]:
        key = self.directory / "auth-key"
        key.write_text(self.server.auth_key + "\n")
        settings = ConnectionSettings(
            control_url=url,
            state_dir=str(self.directory / "state"),
            auth_key=f"file:{key}",
            hostname="client",
            ca_file=str(self.pem),
            **changes,  # type: ignore[arg-type]
        )
        with running_connection(settings) as process:
            yield process


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    pem = self_signed(tmp_path, HOST)
    with (
        running_server(nodes=3, options=make_options(keep_alive=50.0)) as server,
        tls_in_front_of(server.port, pem) as port,
        ConnectProxy(port) as proxy,
    ):
        yield Behind(server, proxy, tmp_path, pem)


def with_password(proxy: ConnectProxy) -> str:
    return f"http://al:{PASSWORD}@127.0.0.1:{proxy.port}"


def test_key_map_and_pings_go_through_the_proxy_and_no_name_is_looked_up(behind: Behind) -> None:
    secrets = EnvironmentSecrets({"HTTPS_PROXY": with_password(behind.proxy)})
    with behind.connection(secrets=secrets) as process:
        process.next_map()
        info = process.next("connection_info", server_key=str(behind.server.server_key))
        assert info.proxy == behind.proxy.url
        assert info.remote_address == f"127.0.0.1:{behind.proxy.port}"
        # One for the session, one for /key.
        assert behind.proxy.targets == [f"{HOST}:443"] * 2
        behind.server.call(lambda it: it.ping(url=f"https://{HOST}/machine/ping-response?id=7"))
        wait_for(lambda: len(behind.proxy.requests) == 3, 10.0, "the answer to a ping through the proxy")
        assert PASSWORD not in process.log_text()
    authorizations = {headers["proxy-authorization"] for _, headers in behind.proxy.requests}
    assert len(authorizations) == 1
    assert authorizations.pop().startswith("Basic ")


def test_the_way_to_an_https_proxy_is_tls_with_tls_inside(behind: Behind, tmp_path: Path) -> None:
    pem = self_signed(tmp_path, "localhost")
    both = tmp_path / "both.pem"
    both.write_bytes(pem.read_bytes() + behind.pem.read_bytes())
    behind.pem = both
    with (
        tls_in_front_of(behind.proxy.port, pem) as port,
        behind.connection(proxy=f"https://localhost:{port}") as process,
    ):
        process.next_map()
        assert behind.proxy.targets == [f"{HOST}:443"] * 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", "answered 407 and wants a user name"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 7\r\n\r\nno such", "answered 502: no such"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "spoke before the server"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "cannot "),
        (b"\x15\x03\x01", "cannot reach"),
        (b"", "closed before its answer"),
    ],
)
def test_what_a_proxy_refuses_is_said_with_its_name(behind: Behind, answer: bytes, said: str) -> None:
    behind.proxy.answer = answer
    secrets = EnvironmentSecrets({"HTTPS_PROXY": with_password(behind.proxy)})
    with behind.connection(secrets=secrets) as process:
        ended = process.next("session_ended")
        assert (ended.reason, ended.stage) == ("error", "handshake")
        assert said in ended.detail
        assert behind.proxy.url in ended.detail
        assert process.exit_status() == status_of(ExitReason.ERROR)
        assert PASSWORD not in ended.detail + process.log_text()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("users", [None, {"al": PASSWORD}])
def test_key_and_map_go_through_socks_which_looks_the_name_up(
    behind: Behind, scheme: str, users: dict[str, str] | None
) -> None:
    with SocksProxy(behind.proxy.upstream, users) as proxy:
        who = f"al:{PASSWORD}@" if users else ""
        secrets = EnvironmentSecrets({"ALL_PROXY": f"{scheme}://{who}127.0.0.1:{proxy.port}"})
        with behind.connection(secrets=secrets) as process:
            process.next_map()
            info = process.next("connection_info", server_key=str(behind.server.server_key))
            assert info.proxy == f"{scheme}://127.0.0.1:{proxy.port}"
            assert info.remote_address == f"127.0.0.1:{proxy.port}"
            # One for the session, one for /key.
            assert proxy.targets == [(HOST, 443)] * 2
            assert PASSWORD not in process.log_text()


@pytest.mark.parametrize(
    ("who", "users", "code", "said"),
    [
        ("", {"al": "other"}, 0, "wants a user name and a password"),
        (f"al:{PASSWORD}@", {"al": "other"}, 0, "does not take this user name"),
        ("", None, 2, "its rules do not allow it"),
        ("", None, 5, "connection refused"),
    ],
)
def test_what_a_socks_proxy_refuses_is_said_with_its_name(
    behind: Behind,
    who: str,
    users: dict[str, str] | None,
    code: int,
    said: str,
) -> None:
    with SocksProxy(behind.proxy.upstream, users, code) as proxy:
        secrets = EnvironmentSecrets({"ALL_PROXY": f"socks5://{who}127.0.0.1:{proxy.port}"})
        with behind.connection(secrets=secrets) as process:
            ended = process.next("session_ended")
            assert (ended.reason, ended.stage) == ("error", "handshake")
            assert said in ended.detail
            assert f"(through the proxy socks5://127.0.0.1:{proxy.port})" in ended.detail
            assert PASSWORD not in process.log_text() + ended.detail


def test_a_proxy_that_cannot_be_reached_is_the_one_that_is_named(behind: Behind) -> None:
    gone = f"http://127.0.0.1:{behind.proxy.port}"
    behind.proxy.__exit__(None, None, None)
    with behind.connection(proxy=gone) as process:
        detail = process.next("session_ended").detail
        assert "Connection refused" in detail
        assert f"(through the proxy {gone})" in detail


def test_a_proxy_is_no_reason_to_believe_plain_http(behind: Behind) -> None:
    behind.proxy.upstream = behind.server.port
    with behind.connection(f"http://{HOST}", proxy=behind.proxy.url) as process:
        detail = process.next("session_ended", reason="configuration").detail
        assert "plain http through a proxy can be forged" in detail
        assert process.exit_status() == status_of(ExitReason.CONFIGURATION)
    with behind.connection(f"http://{HOST}", proxy=behind.proxy.url, insecure_key_fetch=True) as process:
        process.next_map()
        assert behind.proxy.targets[-1] == f"{HOST}:80"


def test_a_wrong_certificate_behind_the_proxy_is_refused(behind: Behind, tmp_path: Path) -> None:
    behind.pem = self_signed(tmp_path, "other.test")
    with behind.connection(proxy=behind.proxy.url) as process:
        assert f"cannot trust {HOST}" in process.next("session_ended").detail


def test_a_variable_that_names_no_proxy_ends_the_start(behind: Behind) -> None:
    secrets = EnvironmentSecrets({"HTTPS_PROXY": f"socks4://al:{PASSWORD}@127.0.0.1:1080"})
    with behind.connection(secrets=secrets) as process:
        ended = process.next("session_ended", reason="configuration")
        assert "cannot use the proxy socks4://127.0.0.1:1080 of HTTPS_PROXY" in ended.detail
        assert process.exit_status() == status_of(ExitReason.CONFIGURATION)
        assert PASSWORD not in process.log_text()
