"""The HTTP endpoint for other machines: a real process with TLS and tokens, and clients that have them or do not."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import shutil
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from netmap_actors.access_tokens import TokenList, generate_token, hash_token
from tests.process.test_http_endpoint import read_event
from tests.support.host.free_ports import free_address
from tests.support.netmaps.publishing import full, node
from tests.support.processes.http_process import HttpProcess, running_http
from tests.support.processes.publisher_process import LIMIT, PublisherProcess, running_publisher
from tests.support.proxies.certificates import Made, issued
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = itertools.count(1)
SOON = 8.0
"""Seconds in which what was changed holds: the endpoint looks every two."""


class Scene(NamedTuple):
    """An endpoint with TLS and tokens."""

    endpoint: HttpProcess
    tokens: TokenList
    pem: Path
    read: str
    metrics: str


@pytest.fixture(scope="module")
def publisher() -> Iterator[PublisherProcess]:
    with running_publisher() as publisher:
        publisher.new_session(full(node(2), node(3)))
        yield publisher


@contextlib.contextmanager
def serving(publisher: PublisherProcess, directory: Path) -> Iterator[Scene]:
    pem = directory / "live" / "server.pem"
    renewed(pem, directory)
    tokens = TokenList(directory / "http_tokens" / "default", "default")
    read, metrics = generate_token(), generate_token()
    for name, scope, token in (("r", "read", read), ("m", "metrics", metrics)):
        tokens.create(name, scope, hash_token(token), "2026-11-29T20:00:00Z")
    settings = {
        "tls_cert": str(pem),
        "tls_key": str(pem),
        "token_required": True,
        "tokens": str(directory / "http_tokens" / "default"),
    }
    with running_http(publisher, free_address(), **settings) as endpoint:
        endpoint.trusting = trusting(directory)
        endpoint.token = read
        endpoint.fresh()
        yield Scene(endpoint, tokens, pem, read, metrics)


def renewed(pem: Path, directory: Path, **given: float) -> Made:
    """Put another certificate there as certbot does; `issuer.pem` of the directory is who issued it."""
    archive = directory / "archive" / f"{next(NUMBERS)}"
    for place in (archive, pem.parent):
        place.mkdir(parents=True, exist_ok=True)
    made = issued(archive, ("127.0.0.1",), **given)
    made.issuer_pem.replace(directory / "issuer.pem")
    # The same directory each time: what lies elsewhere is not to be read.
    kept = archive.with_suffix(".pem")
    made.pem.rename(kept)
    aside = pem.with_name("new")
    aside.symlink_to(f"../archive/{kept.name}")
    aside.rename(pem)
    return made


def trusting(directory: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(directory / "issuer.pem"))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@pytest.fixture(scope="module")
def scene(publisher: PublisherProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with serving(publisher, tmp_path_factory.mktemp("access")) as scene:
        yield scene


def status_for(scene: Scene, target: str, token: str) -> int:
    given = {"Authorization": f"Bearer {token}"} if token else {"Authorization": ""}
    return scene.endpoint.get(target, **given)[0]


def test_each_token_opens_what_its_scope_says(scene: Scene) -> None:
    for target in ("/metrics", "/sd", "/healthz"):
        assert (status_for(scene, target, scene.metrics), status_for(scene, target, scene.read)) == (200, 200)
    for target in ("/netmap", "/events", "/history", "/nothing"):
        assert status_for(scene, target, scene.metrics) == 403, target
    assert status_for(scene, "/netmap", scene.read) == 200
    assert status_for(scene, "/nothing", scene.read) == 404


def test_without_a_token_nothing_is_told_and_it_is_counted(scene: Scene) -> None:
    refused = scene.endpoint.counted("http_requests_unauthorized")
    client = scene.endpoint.connection()
    for target in ("/metrics", "/netmap", "/nothing"):
        client.request("GET", target)
        response = client.getresponse()
        assert response.status == 401
        assert response.getheader("www-authenticate") == 'Bearer realm="netmap-supervisor"'
        assert b"node2" not in response.read()
    client.close()
    status, headers, _ = scene.endpoint.get("/netmap", Authorization="Bearer nms_x")
    assert (status, 'error="invalid_token"' in headers["www-authenticate"]) == (401, True)
    status, headers, body = scene.endpoint.get(f"/netmap?access_token={scene.read}")
    assert (status, 'error="invalid_request"' in headers["www-authenticate"]) == (400, True)
    assert scene.read.encode() not in body
    assert scene.endpoint.counted("http_requests_unauthorized") == refused + 5
    assert scene.read not in json.dumps(scene.endpoint.log())


def test_any_name_may_lead_to_it_but_no_foreign_page(scene: Scene) -> None:
    assert scene.endpoint.get("/healthz", Host="obs.example")[0] == 200
    assert scene.endpoint.get("/healthz", Host="obs.example", Origin="https://obs.example")[0] == 200
    assert scene.endpoint.get("/healthz", Host="obs.example", Origin="https://evil.example")[0] == 403


def test_a_token_made_now_opens_at_once_and_a_revoked_one_ends_its_stream(
    publisher: PublisherProcess, scene: Scene
) -> None:
    token = generate_token()
    assert status_for(scene, "/netmap", token) == 401
    scene.tokens.create("late", "read", hash_token(token), "2026-11-29T20:00:00Z")
    assert status_for(scene, "/netmap", token) == 200
    following, other = scene.endpoint.connection(), scene.endpoint.connection()
    streams = []
    for client, held in ((following, token), (other, scene.read)):
        client.request("GET", "/events", headers={"Authorization": f"Bearer {held}"})
        streams.append(client.getresponse())
        assert read_event(streams[-1])["event"] == "snapshot"
    scene.tokens.revoke("late")
    assert status_for(scene, "/netmap", token) == 401
    following.sock.settimeout(SOON)
    last = read_event(streams[0])
    assert (last["event"], json.loads(last["data"])["error"]) == ("error", "the token was revoked")
    assert streams[0].read() == b""
    publisher.map_response({"Health": ["the other one hears of this"]})
    assert read_event(streams[1])["event"] == "health_changed"
    following.close()
    other.close()


def test_what_a_revoked_token_has_not_taken_yet_is_not_for_it_any_more(
    publisher: PublisherProcess, scene: Scene
) -> None:
    token = generate_token()
    scene.tokens.create("slow", "read", hash_token(token), "2026-11-29T20:00:00Z")
    slow, follower = scene.endpoint.connection(), scene.endpoint.connection()
    for client, held in ((slow, token), (follower, scene.read)):
        client.request("GET", "/events", headers={"Authorization": f"Bearer {held}"})
    stream = follower.getresponse()
    assert read_event(stream)["event"] == "snapshot"
    filler = "x" * 200_000
    for number in range(30):
        publisher.map_response({"DNSConfig": {"Domains": [f"{number}-{filler}"]}})
        assert read_event(stream)["event"] == "dns_changed"
    scene.tokens.revoke("slow")
    wait_for(lambda: scene.endpoint.get("/healthz")[0] == 200 and _gone(scene, slow), SOON, "cut off")
    heard = b""
    with contextlib.suppress(OSError):
        while piece := slow.sock.recv(1 << 20):
            heard += piece
    assert len(heard) < 25 * len(filler), "the rest of it stayed where it was"
    slow.close()
    follower.close()


def _gone(scene: Scene, client: http.client.HTTPConnection) -> bool:
    """Whether the endpoint has closed its side of this connection (ss(8) would say)."""
    port = client.sock.getsockname()[1]
    held = Path("/proc/net/tcp").read_text().splitlines()[1:]
    theirs = [row.split() for row in held if row.split()[2].endswith(f":{port:04X}")]
    return not any(row[3] == "01" for row in theirs)


def test_where_the_directory_of_the_tokens_is_made_anew_the_next_process_takes_over(
    publisher: PublisherProcess, tmp_path: Path
) -> None:
    token = generate_token()

    def opened(scene: Scene) -> bool:
        with contextlib.suppress(OSError):
            return status_for(scene, "/netmap", token) == 200
        return False

    with serving(publisher, tmp_path) as scene:
        shutil.rmtree(tmp_path / "http_tokens")
        assert status_for(scene, "/netmap", scene.read) == 401
        scene.tokens.create("new", "read", hash_token(token), "2026-11-29T20:00:00Z")
        # Without Landlock the process may read it at once.
        wait_for(lambda: scene.endpoint.process.poll() == 0 or opened(scene), SOON, "an end, or an answer")


def test_a_renewed_certificate_is_shown_without_a_restart_and_half_of_one_is_not(
    publisher: PublisherProcess, tmp_path: Path
) -> None:
    with serving(publisher, tmp_path) as scene:
        endpoint = scene.endpoint
        open_all_the_while = endpoint.connection()
        expires = endpoint.counters["http_certificate_expires"]
        whole = scene.pem.read_bytes()
        scene.pem.write_bytes(whole[:-100])

        def condition() -> tuple[str, str, bool]:
            return endpoint.conditions[-1] if endpoint.conditions else ("", "", False)

        wait_for(lambda: condition()[0] == "http_certificate", SOON, "a word about half a certificate")
        assert "the pair before stays in use" in condition()[1]
        assert endpoint.get("/healthz")[0] == 200
        renewed(scene.pem, tmp_path, ends=0.1)
        wait_for(lambda: endpoint.counters["http_certificate_expires"] < expires, SOON, "another certificate")
        assert "expires" in condition()[1]
        with pytest.raises(ssl.SSLCertVerificationError):
            endpoint.get("/healthz")
        endpoint.trusting = trusting(tmp_path)
        assert endpoint.get("/healthz")[0] == 200
        renewed(scene.pem, tmp_path, begins=-2.0, ends=-1.0)
        wait_for(lambda: "has expired" in condition()[1], SOON, "a word about an expired certificate")
        renewed(scene.pem, tmp_path)
        wait_for(lambda: condition()[0::2] == ("http_certificate", False), SOON, "nothing to complain of")
        open_all_the_while.request("GET", "/healthz", headers={"Authorization": f"Bearer {scene.read}"})
        assert open_all_the_while.getresponse().status == 200
        open_all_the_while.close()
    assert [line["event"] for line in endpoint.said].count("http_certificate_renewed") == 3


def test_without_a_pair_that_fits_nothing_is_served_until_there_is_one(
    publisher: PublisherProcess, tmp_path: Path
) -> None:
    pem = tmp_path / "live" / "server.pem"
    renewed(pem, tmp_path)
    pem.write_bytes(b"")
    with running_http(publisher, free_address(), tls_cert=str(pem), tls_key=str(pem)) as endpoint:
        assert [one[0] for one in endpoint.conditions] == ["http_certificate"]
        with pytest.raises(ConnectionRefusedError):
            endpoint.connection()
        renewed(pem, tmp_path)
        endpoint.trusting = trusting(tmp_path)

        def served() -> bool:
            with contextlib.suppress(OSError):
                return endpoint.get("/healthz")[0] == 200
            return False

        wait_for(served, SOON, "an answer over TLS; on loopback without a token")
        assert endpoint.conditions[-1] == ("http_certificate", "", False)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_who_speaks_no_tls_is_told_and_harms_nobody(scene: Scene) -> None:
    failed = scene.endpoint.counted("http_tls_failed")
    plain = http.client.HTTPConnection(scene.endpoint.listen, timeout=LIMIT)
    plain.request("GET", "/healthz")
    answer = plain.getresponse()
    assert (answer.status, b"https://" in answer.read()) == (400, True)
    plain.close()
    host, _, port = scene.endpoint.listen.rpartition(":")
    with (
        socket.create_connection((host, int(port)), LIMIT) as mute,
        socket.create_connection((host, int(port))),
    ):
        mute.sendall(b"\x16\x03\x01\x02")
        assert scene.endpoint.get("/healthz")[0] == 200, "two who come to nothing hold nobody up"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((host, int(port)), LIMIT) as sock, pytest.raises(ssl.SSLError):
        old.wrap_socket(sock)
    wait_for(lambda: scene.endpoint.counters["http_tls_failed"] >= failed + 2, LIMIT, "both counted")
