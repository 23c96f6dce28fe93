"""The page through Caddy, nginx and HAProxy as docs/howto/http.md sets them up: logins, sessions, events at once."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from netmap_actors.access_tokens import TokenList, generate_token, hash_token
from tests.process.test_http_endpoint import read_event
from tests.support.availability import unavailable
from tests.support.host.free_ports import free_address
from tests.support.netmaps.publishing import full, node
from tests.support.processes.http_process import running_http
from tests.support.processes.publisher_process import LIMIT, PublisherProcess, running_publisher
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Proxy = Callable[[str, str, Path], contextlib.AbstractContextManager[str]]

PAGE = (
    (Path(__file__).parents[2] / "docs" / "howto" / "http.md")
    .read_text()
    .partition("**Behind a reverse proxy**")[2]
)
SNIPPETS = [
    re.split(r"^# .*\n", block, flags=re.MULTILINE)[1:]
    for block in re.findall(r"^```\n(# Caddyfile\n.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
]
"""Of [Caddy, nginx, HAProxy]: where tokens are asked for, below a path, and on a socket where none are."""
AT_ROOT, BELOW_A_PATH, ON_A_SOCKET = range(3)


@pytest.fixture(scope="module")
def publisher() -> Iterator[PublisherProcess]:
    with running_publisher() as publisher:
        publisher.new_session(full(node(2)))
        yield publisher


@contextlib.contextmanager
def nginx(snippet: str, upstream: str, place: Path) -> Iterator[str]:
    program = shutil.which("nginx") or unavailable("nginx is not installed")
    at = free_address()
    location = re.sub(r"http://(?:192\.0\.2\.1:9641|unix:[^;]*:)(?=/?;)", f"http://{upstream}", snippet)
    assert upstream in location
    paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (place / "nginx.conf").write_text(
        # Where a test is root, the workers would be nobody, to whom the socket is closed.
        f"{'user root; ' if os.getuid() == 0 else ''}daemon off; pid {place}/pid; error_log stderr; events {{}}\n"
        "http { access_log off;\n"
        + "".join(f"{name}_temp_path {place}/{name};\n" for name in paths)
        + f"server {{ listen {at};\n{location} }} }}\n"
    )
    yield from _running([program, "-e", "stderr", "-p", str(place), "-c", str(place / "nginx.conf")], at)


@contextlib.contextmanager
def haproxy(snippet: str, upstream: str, place: Path) -> Iterator[str]:
    program = shutil.which("haproxy") or unavailable("HAProxy is not installed")
    at = free_address()
    backend = re.sub(r"(?:192\.0\.2\.1:9641|unix@\S+)$", upstream, snippet, flags=re.MULTILINE)
    assert upstream in backend
    (place / "haproxy.cfg").write_text(
        "defaults\n  mode http\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n"
        f"frontend page\n  bind {at}\n  default_backend netmap\n{backend}"
    )
    yield from _running([program, "-q", "-db", "-f", str(place / "haproxy.cfg")], at)


@contextlib.contextmanager
def caddy(snippet: str, upstream: str, place: Path) -> Iterator[str]:
    program = shutil.which("caddy") or unavailable("Caddy is not installed")
    at = free_address()
    site = snippet.replace("netmap.example.com", f"http://{at}").replace("192.0.2.1:9641", upstream)
    site = re.sub(r"unix/\S+", upstream, re.sub(r"^ *basic_auth.*$", "", site, flags=re.MULTILINE))
    assert upstream in site
    (place / "Caddyfile").write_text(f"{{\nadmin off\nauto_https off\n}}\n{site}")
    run = [program, "run", "--adapter", "caddyfile", "--config", str(place / "Caddyfile")]
    yield from _running(["env", f"HOME={place}", *run], at)


def _running(words: list[str], at: str) -> Iterator[str]:
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def up() -> bool:
        assert process.poll() is None, words
        with contextlib.suppress(OSError):
            return any(asked(at, "GET", f"{path}/livez")[0] == 200 for path in ("", "/tailnet"))
        return False

    try:
        wait_for(up, LIMIT, f"{words[0]} in front of the endpoint")
        yield at
    finally:
        process.terminate()
        process.wait(LIMIT)


def asked(
    at: str, method: str, path: str, body: str = "", **headers: str
) -> tuple[int, http.client.HTTPMessage]:
    client = http.client.HTTPConnection(at, timeout=LIMIT)
    try:
        client.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = client.getresponse()
        response.read()
        return response.status, response.headers
    finally:
        client.close()


def events_come_at_once(
    at: str, publisher: PublisherProcess, word: str, path: str = "", **headers: str
) -> None:
    """Also for who would take them compressed, as browsers would."""
    client = http.client.HTTPConnection(at, timeout=LIMIT)
    client.request("GET", f"{path}/events", headers=headers | {"Accept-Encoding": "gzip, deflate, br, zstd"})
    stream = client.getresponse()
    assert stream.getheader("content-encoding") is None
    assert read_event(stream)["event"] == "snapshot"
    publisher.map_response({"Health": [word]})
    assert read_event(stream)["event"] == "health_changed"
    client.close()


PROXIES = list(enumerate([caddy, nginx, haproxy]))


@pytest.mark.parametrize(("block", "path"), [(AT_ROOT, ""), (BELOW_A_PATH, "/tailnet")])
@pytest.mark.parametrize(("number", "proxy"), PROXIES)
def test_a_login_through_a_proxy_is_of_the_page_the_browser_asked_for(
    publisher: PublisherProcess, tmp_path: Path, number: int, proxy: Proxy, block: int, path: str
) -> None:
    token = generate_token()
    TokenList(tmp_path / "tokens", "default").create("a", "read", hash_token(token), "2026-11-29T20:00:00Z")
    settings = {"token_required": True, "tokens": str(tmp_path / "tokens")}
    with (
        running_http(publisher, free_address(), **settings) as endpoint,
        proxy(SNIPPETS[block][number], endpoint.listen, tmp_path) as at,
    ):
        if path:
            status, headers = asked(at, "GET", path)
            assert (status // 100, urlsplit(headers["location"]).path) == (3, f"{path}/")
        for target in ("/", "/page/main.js", "/page/nodes/nodes.js"):
            assert asked(at, "GET", f"{path}{target}")[0] == 200
        assert asked(at, "GET", f"{path}/netmap")[0] == 401
        assert asked(at, "GET", f"{path}/netmap", Authorization=f"Bearer {token}")[0] == 200
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        body, login = urlencode({"token": token}), f"{path}/login"
        assert asked(at, "POST", login, body, Origin="http://evil.example", **form)[0] == 403
        for scheme, name in (("http", "netmap-session"), ("https", "__Host-netmap-session")):
            status, headers = asked(at, "POST", login, body, Origin=f"{scheme}://{at}", **form)
            assert (status, urljoin(login, headers["location"])) == (303, f"{path}/")
            cookie = headers["set-cookie"].partition(";")[0]
            assert cookie.startswith(f"{name}=")
            assert asked(at, "GET", f"{path}/netmap", Cookie=cookie)[0] == 200
        events_come_at_once(at, publisher, f"to {number} {path}", path, Cookie=cookie)


@pytest.mark.parametrize(("number", "proxy"), PROXIES)
def test_a_proxy_on_the_machine_serves_the_page_from_the_socket(
    publisher: PublisherProcess, tmp_path: Path, number: int, proxy: Proxy
) -> None:
    path = Path(publisher.runtime_dir) / "proxied.sock"
    upstream = {caddy: f"unix/{path}", nginx: f"unix:{path}:", haproxy: f"unix@{path}"}[proxy]
    with (
        running_http(publisher, f"unix:{path}"),
        proxy(SNIPPETS[ON_A_SOCKET][number], upstream, tmp_path) as at,
    ):
        for target in ("/", "/page/main.js", "/netmap"):
            assert asked(at, "GET", target, Sec_Fetch_Site="same-origin")[0] == 200
        assert asked(at, "GET", "/netmap", Sec_Fetch_Site="cross-site")[0] == 403
        tag = asked(at, "GET", "/")[1]["etag"]
        assert asked(at, "GET", "/", If_None_Match=tag)[0] == 304
        events_come_at_once(at, publisher, f"socket {number}")
