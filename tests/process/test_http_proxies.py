"""The page through nginx and Caddy, set up as docs/howto/http.md says: logins, sessions and events as they happen."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

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
SNIPPETS = re.findall(r"^```\n(# Caddyfile\n.*?)^(# nginx.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[:2]
"""(Caddy's, nginx's), where tokens are asked for, and on a socket where none are."""


@pytest.fixture(scope="module")
def publisher() -> Iterator[PublisherProcess]:
    with running_publisher() as publisher:
        publisher.new_session(full(node(2)))
        yield publisher


@contextlib.contextmanager
def nginx(snippet: str, upstream: str, place: Path) -> Iterator[str]:
    program = shutil.which("nginx") or unavailable("nginx is not installed")
    at = free_address()
    location = re.sub(r"http://(?:192\.0\.2\.1:9641|unix:[^;]*);", f"http://{upstream};", snippet)
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
            return asked(at, "GET", "/livez")[0] == 200
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


def events_come_at_once(at: str, publisher: PublisherProcess, word: str, **headers: str) -> None:
    client = http.client.HTTPConnection(at, timeout=LIMIT)
    client.request("GET", "/events", headers=headers)
    stream = client.getresponse()
    assert read_event(stream)["event"] == "snapshot"
    publisher.map_response({"Health": [word]})
    assert read_event(stream)["event"] == "health_changed"
    client.close()


@pytest.mark.parametrize(("number", "proxy"), list(enumerate([caddy, nginx])))
def test_a_login_through_a_proxy_is_of_the_page_the_browser_asked_for(
    publisher: PublisherProcess, tmp_path: Path, number: int, proxy: Proxy
) -> None:
    token = generate_token()
    TokenList(tmp_path / "tokens", "default").create("a", "read", hash_token(token), "2026-11-29T20:00:00Z")
    settings = {"token_required": True, "tokens": str(tmp_path / "tokens")}
    with (
        running_http(publisher, free_address(), **settings) as endpoint,
        proxy(SNIPPETS[0][number], endpoint.listen, tmp_path) as at,
    ):
        assert asked(at, "GET", "/")[0] == 200
        assert asked(at, "GET", "/netmap")[0] == 401
        assert asked(at, "GET", "/netmap", Authorization=f"Bearer {token}")[0] == 200
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        body = urlencode({"token": token})
        assert asked(at, "POST", "/login", body, Origin="http://evil.example", **form)[0] == 403
        for scheme, name in (("http", "netmap-session"), ("https", "__Host-netmap-session")):
            status, headers = asked(at, "POST", "/login", body, Origin=f"{scheme}://{at}", **form)
            assert (status, headers["location"]) == (303, "/")
            cookie = headers["set-cookie"].partition(";")[0]
            assert cookie.startswith(f"{name}=")
            assert asked(at, "GET", "/netmap", Cookie=cookie)[0] == 200
        events_come_at_once(at, publisher, f"to {number}", Cookie=cookie)


@pytest.mark.parametrize(("number", "proxy"), list(enumerate([caddy, nginx])))
def test_a_proxy_on_the_machine_serves_the_page_from_the_socket(
    publisher: PublisherProcess, tmp_path: Path, number: int, proxy: Proxy
) -> None:
    path = Path(publisher.runtime_dir) / "proxied.sock"
    upstream = f"unix/{path}" if proxy is caddy else f"unix:{path}:"
    with (
        running_http(publisher, f"unix:{path}"),
        proxy(SNIPPETS[1][number], upstream, tmp_path) as at,
    ):
        for target in ("/", "/page/main.js", "/netmap"):
            assert asked(at, "GET", target, Sec_Fetch_Site="same-origin")[0] == 200
        assert asked(at, "GET", "/netmap", Sec_Fetch_Site="cross-site")[0] == 403
        tag = asked(at, "GET", "/")[1]["etag"]
        assert asked(at, "GET", "/", If_None_Match=tag)[0] == 304
        events_come_at_once(at, publisher, f"socket {number}")
