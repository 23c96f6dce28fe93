"""The certificate of the HTTP endpoint while its files change: a pair that does not fit leaves the one before."""

from __future__ import annotations

import os
import shutil
import ssl
from pathlib import Path

import pytest

from netmap_actors.confinement.system_files import replaced
from netmap_actors.http_endpoint import server_certificate
from netmap_actors.http_endpoint.server_certificate import ServerCertificate, concern
from netmap_actors.protocol.certificate.validity import Validity
from tests.support.proxies.certificates import issued

DAY = 86400.0


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, bytes]]:
    """(certificate, key) in PEM, of three."""
    found = []
    for days in (1.0, 2.0, 3.0):
        text = issued(tmp_path_factory.mktemp("made"), ("localhost",), ends=days).pem.read_bytes()
        place = text.index(b"-----BEGIN CERTIFICATE")
        found.append((text[place:], text[:place]))
    return found


def test_half_a_renewal_leaves_the_pair_in_use_and_the_rest_brings_the_new_one(
    pairs: list[tuple[bytes, bytes]], tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    held = ServerCertificate(str(cert), str(key))
    assert not held.look()
    assert held.context is None
    assert "No such file" in held.problem
    cert.write_bytes(pairs[0][0])
    key.write_bytes(pairs[0][1])
    assert held.look()
    assert (held.problem, held.look()) == ("", False)
    first, ends = held.context, held.validity
    for half, why in (
        (pairs[1][0], "the key is not that of the certificate"),
        (pairs[1][0][:100], "no whole certificate"),
        (b"", "no whole certificate"),
        (pairs[1][0].replace(b"M", b"!", 40), ""),
    ):
        cert.write_bytes(half)
        assert not held.look()
        assert why in held.problem
        assert held.problem.startswith(f"cannot use {cert} with the key {key}: ")
        assert (held.context, held.validity) == (first, ends)
    cert.write_bytes(pairs[1][0])
    key.unlink()
    assert not held.look()
    key.write_bytes(pairs[1][1])
    assert held.look()
    assert held.problem == ""
    assert held.context is not first
    assert held.validity is not None
    assert ends is not None
    assert held.validity.ends - ends.ends == pytest.approx(DAY, abs=60)


def test_a_pair_that_did_not_fit_is_tried_again_though_nothing_shows_that_it_changed(
    pairs: list[tuple[bytes, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written twice within a tick of the kernel's clock has the same times."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(pairs[0][0])
    key.write_bytes(pairs[1][1])
    monkeypatch.setattr(server_certificate, "_stamp", lambda _: (0, 0, 0, 0, 0))
    held = ServerCertificate(str(cert), str(key))
    assert not held.look()
    key.write_bytes(pairs[0][1])
    assert held.look()
    assert not held.look()


def test_certbots_links_are_followed_and_lie_where_it_may_read(
    pairs: list[tuple[bytes, bytes]], tmp_path: Path
) -> None:
    live, archive = tmp_path / "live" / "name", tmp_path / "archive" / "name"
    for directory in (live, archive):
        directory.mkdir(parents=True)

    def renew(number: int) -> None:
        for name, text in zip(("fullchain", "privkey"), pairs[number], strict=True):
            (archive / f"{name}{number}.pem").write_bytes(text)
            aside = live / "new"
            aside.symlink_to(f"../../archive/name/{name}{number}.pem")
            aside.rename(live / f"{name}.pem")

    renew(0)
    held = ServerCertificate(str(live / "fullchain.pem"), str(live / "privkey.pem"))
    assert held.look()
    assert set(replaced(live / "fullchain.pem")) == {live, archive}
    renew(1)
    assert held.look()
    assert not held.look()


def test_the_links_of_a_kubernetes_secret_are_followed_and_lie_where_it_may_read(
    pairs: list[tuple[bytes, bytes]], tmp_path: Path
) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()

    def renew(number: int) -> None:
        data = mount / f"..{number}"
        data.mkdir()
        for name, text in zip(("tls.crt", "tls.key"), pairs[number], strict=True):
            (data / name).write_bytes(text)
        (mount / "..new").symlink_to(data.name)
        (mount / "..new").rename(mount / "..data")

    for name in ("tls.crt", "tls.key"):
        (mount / name).symlink_to(f"..data/{name}")
    renew(0)
    held = ServerCertificate(str(mount / "tls.crt"), str(mount / "tls.key"))
    assert held.look()
    allowed = replaced(mount / "tls.crt")
    renew(1)
    shutil.rmtree(mount / "..0")
    assert held.look()
    assert any((mount / "tls.crt").resolve().is_relative_to(place) for place in allowed)


def test_a_directory_that_is_a_link_may_lead_elsewhere_and_one_of_the_root_is_never_opened(
    tmp_path: Path,
) -> None:
    (tmp_path / "releases" / "1").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/1")
    found = set(replaced(tmp_path / "current" / "cert.pem"))
    assert found == {tmp_path / "releases" / "1", tmp_path / "releases"}
    assert replaced(Path("/etc/cert.pem")) == replaced(Path("/cert.pem")) == ()
    (tmp_path / "round").symlink_to("round")
    assert replaced(tmp_path / "round" / "cert.pem")


@pytest.mark.parametrize("what", ["pipe", "directory", "encrypted"])
def test_what_cannot_be_a_key_is_said_and_does_not_block(
    what: str, pairs: list[tuple[bytes, bytes]], tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(pairs[0][0])
    if what == "pipe":
        os.mkfifo(key)
    elif what == "directory":
        key.mkdir()
    else:
        from cryptography.hazmat.primitives import serialization

        loaded = serialization.load_pem_private_key(pairs[0][1], None)
        secret = serialization.BestAvailableEncryption(b"x")
        key.write_bytes(
            loaded.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, secret
            )
        )
    held = ServerCertificate(str(cert), str(key))
    assert not held.look()
    assert held.context is None
    assert ("encrypted" if what == "encrypted" else "no regular file") in held.problem


def test_a_file_that_was_closed_since_may_be_read_by_the_next_process(
    pairs: list[tuple[bytes, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = tmp_path / "pem"
    pem.write_bytes(b"".join(pairs[0]))
    began, beginning = (ServerCertificate(str(pem), str(pem)) for _ in range(2))
    assert began.look()
    pem.write_bytes(b"".join(pairs[1]) + b"\n")

    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    for one in (began, beginning):
        assert not one.look()
        assert "Permission denied" in one.problem
    assert began.problem.endswith("; if its directory was made anew, restart the daemon")
    assert "restart" not in beginning.problem, "that is no cure for a key that is somebody else's"


def test_older_tls_is_not_spoken(pairs: list[tuple[bytes, bytes]], tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_bytes(pairs[0][0])
    (tmp_path / "key.pem").write_bytes(pairs[0][1])
    held = ServerCertificate(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    held.look()
    assert held.context is not None
    assert held.context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("begins", "ends", "now", "said"),
    [
        (0.0, 90.0, 70.0, ""),
        (0.0, 90.0, 77.0, "expires on 1970-04-01 00:00 UTC"),
        (0.0, 90.0, 90.0, "has expired on 1970-04-01 00:00 UTC"),
        (10.0, 90.0, 9.0, "not valid before 1970-01-11 00:00 UTC"),
        (0.0, 1.0, 0.8, ""),
        (0.0, 1.0, 0.9, "expires"),
        (0.0, 3650.0, 3635.0, ""),
        (0.0, 3650.0, 3637.0, "expires"),
    ],
)
def test_its_time_is_worth_a_word_when_a_renewal_is_late(
    begins: float, ends: float, now: float, said: str
) -> None:
    text = concern(Validity(begins * DAY, ends * DAY), now * DAY)
    assert said in text
    assert bool(text) is bool(said)
