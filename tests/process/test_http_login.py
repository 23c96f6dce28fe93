"""The page behind tokens: a real process, confined, and browsers as curl and the standard library play them."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from netmap_actors.access_tokens import TokenList, generate_token, hash_token
from netmap_actors.http_endpoint.page_files import FOLDER
from tests.process.test_http_access import SOON, Scene, serving
from tests.process.test_http_endpoint import STATUS, read_event
from tests.support.availability import unavailable
from tests.support.host.free_ports import free_address
from tests.support.netmaps.publishing import full, node
from tests.support.processes.http_process import HttpProcess, running_http
from tests.support.processes.publisher_process import LIMIT, PublisherProcess, running_publisher

if TYPE_CHECKING:
    from collections.abc import Iterator

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def publisher() -> Iterator[PublisherProcess]:
    with running_publisher() as publisher:
        publisher.new_session(full(node(2)))
        yield publisher


@pytest.fixture(scope="module")
def scene(publisher: PublisherProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with serving(publisher, tmp_path_factory.mktemp("login")) as scene:
        scene.endpoint.token = ""
        scene.endpoint.told = {"status": STATUS, "counters": {}}
        yield scene


def origin_of(endpoint: HttpProcess) -> str:
    return f"{'http' if endpoint.trusting is None else 'https'}://{endpoint.listen}"


def post(
    endpoint: HttpProcess, path: str, body: str | bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """As a browser posts the form of the page, unless `headers` say otherwise; of fields of one name the first."""
    given = {"Origin": origin_of(endpoint), "Sec_Fetch_Site": "same-origin", "Content_Type": FORM} | headers
    fields = {name.replace("_", "-"): value for name, value in given.items() if value}
    client = endpoint.connection()
    try:
        client.request("POST", path, body, fields)
        response = client.getresponse()
        return response.status, {k.lower(): v for k, v in reversed(response.getheaders())}, response.read()
    finally:
        client.close()


def logged_in(endpoint: HttpProcess, token: str) -> str:
    """The cookie, as it is sent back."""
    status, headers, _ = post(endpoint, "/login", urlencode({"token": token}))
    assert (status, headers["location"]) == (303, "./")
    assert token not in headers["set-cookie"]
    return headers["set-cookie"].partition(";")[0]


def test_the_page_and_its_files_need_no_token_and_are_read_by_a_confined_process(scene: Scene) -> None:
    status, headers, body = scene.endpoint.get("/")
    assert (status, body) == (200, (FOLDER / "index.html").read_bytes())
    assert headers["cache-control"] == "no-cache"
    assert headers["x-content-type-options"] == "nosniff"
    status, headers, body = scene.endpoint.get("/page/main.js")
    assert (status, body) == (200, (FOLDER / "main.js").read_bytes())
    head = scene.endpoint.get("/page/main.js", "HEAD")
    assert (head[0], head[1]["content-length"], head[2]) == (200, str(len(body)), b"")
    again = scene.endpoint.get("/page/main.js", If_None_Match=headers["etag"])
    assert (again[0], again[2], "content-length" in again[1]) == (304, b"", False)
    assert scene.endpoint.get("/page/../actor.py")[0] == 404
    assert scene.endpoint.get("/status")[0] == 401


def test_a_session_opens_what_its_token_opens(scene: Scene) -> None:
    cookie = logged_in(scene.endpoint, scene.read)
    assert cookie.startswith("__Host-netmap-session=")
    for target in ("/netmap", "/status", "/metrics", "/openapi.json"):
        assert scene.endpoint.get(target, Cookie=cookie)[0] == 200, target
        assert scene.endpoint.get(target, Cookie=cookie, Authorization="Bearer nms_x")[0] == 401, target
    assert json.loads(scene.endpoint.get("/status", Cookie=cookie)[2]) == STATUS
    assert scene.endpoint.get("/netmap", Cookie=cookie, Authorization=f"Bearer {scene.metrics}")[0] == 403
    assert scene.endpoint.get("/netmap", Cookie=cookie, Origin="https://evil.example")[0] == 403
    assert scene.endpoint.get("/netmap", Cookie=cookie, Sec_Fetch_Site="same-site")[0] == 403
    assert scene.endpoint.get("/netmap", Cookie=cookie.removeprefix("__Host-"))[0] == 401
    status, headers, _ = post(scene.endpoint, "/logout", Cookie=cookie)
    assert (status, headers["location"]) == (303, "./")
    assert headers["set-cookie"].startswith("__Host-netmap-session=; Path=/; Max-Age=0;")


def test_who_may_not_log_in_is_told_why_and_counted(scene: Scene) -> None:
    refused = scene.endpoint.counted("http_requests_unauthorized")
    for token, status, why in (
        ("nms_x", 401, b"unknown or revoked"),
        (scene.metrics, 403, b"the token's scope is metrics"),
        ("", 400, b"one field `token`"),
    ):
        came, headers, body = post(scene.endpoint, "/login", urlencode({"token": token}), Accept="*/*")
        assert (came, why in body, headers["content-type"]) == (status, True, "text/plain; charset=utf-8")
        assert "set-cookie" not in headers
        came, headers, body = post(
            scene.endpoint, "/login", urlencode({"token": token}), Accept="text/html,*/*"
        )
        assert (came, headers["content-type"], headers["cache-control"]) == (
            status, "text/html; charset=utf-8", "no-store",
        )  # fmt: skip
        assert b'name="login-refused" content="cannot log in: ' in body
        assert not token or token.encode() not in body
    assert scene.endpoint.counted("http_requests_unauthorized") == refused + 6
    assert post(scene.endpoint, "/login?access_token=nms_x", "token=nms_x")[0] == 400


def test_no_other_page_logs_anybody_in_or_out(scene: Scene) -> None:
    form = urlencode({"token": scene.read})
    for path in ("/login", "/logout"):
        for headers in (
            {"Origin": ""},
            {"Origin": "null"},
            {"Origin": "https://evil.example"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Host": "evil.example"},
        ):
            status, fields, _ = post(scene.endpoint, path, form, **headers)
            assert (status, "set-cookie" in fields) == (403, False), headers


def test_the_forms_are_all_that_is_posted_and_asking_for_one_leads_to_the_page(scene: Scene) -> None:
    for method in ("GET", "HEAD"):
        status, headers, _ = scene.endpoint.get("/login", method)
        assert (status, headers["location"], "set-cookie" in headers) == (303, "./", False)
        assert scene.endpoint.get("/logout", method)[0] == 405
    for target in ("/", "/netmap", "/page/main.js", "/status"):
        assert post(scene.endpoint, target)[0] == 405


def test_a_revoked_token_ends_its_sessions_and_their_streams(scene: Scene) -> None:
    token = generate_token()
    scene.tokens.create("ada", "read", hash_token(token), "2026-11-29T20:00:00Z")
    cookie = logged_in(scene.endpoint, token)
    client = scene.endpoint.connection()
    client.request("GET", "/events", headers={"Cookie": cookie})
    stream = client.getresponse()
    assert stream.getheader("x-accel-buffering") == "no"
    assert read_event(stream)["event"] == "snapshot"
    scene.tokens.revoke("ada")
    assert scene.endpoint.get("/netmap", Cookie=cookie)[0] == 401
    client.sock.settimeout(SOON)
    assert json.loads(read_event(stream)["data"])["error"] == "the token was revoked"
    assert stream.read() == b""
    client.close()
    # Made anew under its name it is another one.
    scene.tokens.create("ada", "read", hash_token(generate_token()), "2026-11-29T20:00:00Z")
    assert scene.endpoint.get("/netmap", Cookie=cookie)[0] == 401


HEAD = "POST /login HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Type: " + FORM + "\r\n"


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (HEAD + "\r\n", [400]),
        (HEAD + "Content-Length: 0\r\n\r\n", [400]),
        (HEAD + "Content-Length: 70000\r\n\r\n" + "x" * 70000, [413]),
        (HEAD + "Content-Length: 5000\r\n\r\n" + "x" * 5000, [413]),
        (HEAD + "Content-Length: {size}\r\n\r\ntoken={token}", [303]),
        (HEAD + "Transfer-Encoding: chunked\r\n\r\n6\r\ntoken=\r\n2f\r\n{token}\r\n0\r\n\r\n", [303]),
        (HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", [400]),
        (HEAD + "Content-Length: 3\r\nContent-Length: 4\r\n\r\ntok", [400]),
        (HEAD + "Content-Length: -1\r\n\r\n", [400]),
        # Less is said than is sent: the rest is a request of its own, and none.
        (HEAD + "Content-Length: 6\r\n\r\ntoken={token}", [400]),
        (HEAD + "Content-Length: {size}\r\n\r\ntoken={token}GET /netmap HTTP/1.1\r\nHost: {host}\r\n\r\n", [303, 401]),
        (HEAD.replace(FORM, "multipart/form-data; boundary=x") + "Content-Length: 3\r\n\r\nx\r\n", [415]),
        ("HEAD /login HTTP/1.1\r\nHost: {host}\r\n\r\nGET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n", [303, 200]),
        ("GET /netmap HTTP/1.1\r\nHost: {host}\r\nCookie: " + "c=d; " * 9000 + "x\r\n\r\n", [401]),
        ("GET /netmap HTTP/1.1\r\nHost: {host}\r\nCookie: netmap-session=" + "9" * 70000 + "\r\n\r\n", [431]),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_whatever_is_sent_is_answered_by_what_it_is(plain: Scene, sent: str, statuses: list[int]) -> None:
    size = len(f"token={plain.read}")
    client = plain.endpoint.connection()
    text = (
        sent.replace("{host}", plain.endpoint.listen)
        .replace("{token}", plain.read)
        .replace("{size}", f"{size}")
    )
    client.sock.sendall(text.encode())
    came, data = [], b""
    while len(came) < len(statuses) and (chunk := client.sock.recv(65536)):
        data += chunk
        came = [int(status) for status in re.findall(rb"HTTP/1.1 (\d{3})", data)]
    client.close()
    assert came == statuses
    assert plain.endpoint.get("/livez")[0] == 200


@pytest.fixture(scope="module")
def plain(publisher: PublisherProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Without TLS, as behind a proxy."""
    place = tmp_path_factory.mktemp("plain")
    tokens = TokenList(place / "default", "default")
    read, metrics = generate_token(), generate_token()
    for scope, token in (("read", read), ("metrics", metrics)):
        tokens.create(scope, scope, hash_token(token), "2026-11-29T20:00:00Z")
    settings = {"token_required": True, "tokens": str(place / "default")}
    with running_http(publisher, free_address(), **settings) as endpoint:
        yield Scene(endpoint, tokens, place, read, metrics)
        assert not [line for line in endpoint.log() if line["level"] == "error"]
        assert read not in json.dumps(endpoint.log())


def test_a_process_that_takes_over_knows_the_sessions_of_the_one_before(
    plain: Scene, publisher: PublisherProcess
) -> None:
    cookie = logged_in(plain.endpoint, plain.read)
    settings = {"token_required": True, "tokens": str(plain.pem / "default")}
    with running_http(publisher, free_address(), **settings) as later:
        assert later.get("/netmap", Cookie=cookie)[0] == 200


def test_behind_a_proxy_with_tls_the_cookie_is_for_https_alone(plain: Scene) -> None:
    form = urlencode({"token": plain.read})
    for path, ends in (("/login", "Max-Age=604800"), ("/logout", "Max-Age=0")):
        _, headers, _ = post(plain.endpoint, path, form, Host="obs.example", Origin="https://obs.example")
        assert headers["set-cookie"].startswith("__Host-netmap-session=")
        assert ends in headers["set-cookie"]
    _, headers, _ = post(plain.endpoint, "/login", form, X_Forwarded_Proto="https")
    assert headers["set-cookie"].startswith("netmap-session=")
    assert "Secure" not in headers["set-cookie"]
    assert plain.endpoint.get("/netmap", Cookie=headers["set-cookie"].partition(";")[0])[0] == 200


def test_curl_logs_in_and_keeps_the_cookie(plain: Scene, tmp_path: Path) -> None:
    curl = shutil.which("curl") or unavailable("curl is not installed")
    jar, where = str(tmp_path / "jar"), origin_of(plain.endpoint)

    def run(*words: str) -> str:
        done = [curl, "-sS", "-m", f"{LIMIT:.0f}", "-b", jar, "-c", jar, "-w", "%{http_code}", *words]
        return subprocess.run(done, capture_output=True, text=True, check=True, timeout=LIMIT).stdout

    (tmp_path / "token").write_text(f"{plain.read}\n")
    assert run(f"{where}/netmap").endswith("401")
    assert (
        run("-H", f"Origin: {where}", "--data-urlencode", f"token@{tmp_path}/token", f"{where}/login")
        == "303"
    )
    assert run(f"{where}/netmap").endswith("200")
    assert run("-H", f"Origin: {where}", "-d", "", f"{where}/logout") == "303"
    assert run(f"{where}/netmap").endswith("401")


def test_where_nobody_needs_a_token_the_forms_lead_to_the_page(publisher: PublisherProcess) -> None:
    path = f"{publisher.runtime_dir}/page.sock"
    for listen in (free_address(), f"unix:{path}"):
        with running_http(publisher, listen) as endpoint:
            client = endpoint.connection()
            assert endpoint.get("/")[0] == 200
            for form in ("/login", "/logout"):
                headers = {"Origin": "http://localhost", "Host": "localhost", "Content-Type": FORM}
                client.request("POST", form, "token=x", headers)
                response: http.client.HTTPResponse = client.getresponse()
                assert (response.status, response.getheader("location")) == (303, "./")
                assert response.getheader("set-cookie") is None
                response.read()
            client.close()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_page_asks_on_loopback_by_each_name_of_it(publisher: PublisherProcess, name: str) -> None:
    with running_http(publisher, free_address()) as endpoint:
        host = f"{name}:{endpoint.listen.rpartition(':')[2]}"
        for headers in ({"Sec_Fetch_Site": "same-origin"}, {"Origin": f"http://{host}"}):
            assert endpoint.get("/netmap", Host=host, **headers)[0] == 200


def test_a_supervisor_that_does_not_answer_is_no_status(publisher: PublisherProcess) -> None:
    with running_http(publisher, free_address()) as endpoint:
        assert endpoint.get("/status") [0::2] == (
            503, b"cannot show the status: the daemon did not answer in time\n",
        )  # fmt: skip
        endpoint.told = {"status": STATUS, "counters": {}}
        assert json.loads(endpoint.get("/status")[2]) == STATUS
        assert endpoint.get("/status", "HEAD")[0::2] == (200, b"")
        assert endpoint.get("/status?x=1")[0] == 400
