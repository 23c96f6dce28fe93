from __future__ import annotations

import os
import stat

import pytest

from netmap_actors.curve_keys import (
    AllowList,
    check_public,
    generate,
    load_server_pair,
    read_secret,
    write_secret,
)
from netmap_actors.errors import ConfigurationError
from netmap_actors.subscriber import Subscriber


def test_a_pair_survives_its_file_and_the_file_is_private(tmp_path) -> None:
    pair = generate()
    write_secret(tmp_path / "laptop.key_secret", pair)
    assert read_secret(tmp_path / "laptop.key_secret") == pair
    assert stat.S_IMODE((tmp_path / "laptop.key_secret").stat().st_mode) == 0o600


def test_a_key_file_is_never_overwritten(tmp_path) -> None:
    path = tmp_path / "laptop.key_secret"
    write_secret(path, generate())
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="it is there, and a key is not overwritten; name another"):
        write_secret(path, generate())
    assert path.read_bytes() == before


def test_the_servers_pair_is_made_once(tmp_path) -> None:
    assert load_server_pair(tmp_path / "curve") == load_server_pair(tmp_path / "curve")


def test_no_secret_is_in_a_repr() -> None:
    pair = generate()
    assert pair.secret not in repr(pair)


@pytest.mark.parametrize("text", ["", "short", "x" * 41, "ä" * 40, "a b" * 13 + "c"])
def test_what_is_no_key_is_refused(text) -> None:
    with pytest.raises(ConfigurationError, match="40 characters of Z85"):
        check_public(text)


BEYOND = ["%" * 40, "#" * 40, "$" + "0" * 39, "0" * 35 + "%nSc1"]
"""Z85 characters of no 32 bytes: five exceed 2**32 - 1 (ZeroMQ RFC 32)."""


@pytest.mark.parametrize("text", BEYOND)
def test_what_stands_for_no_bytes_is_no_key(text: str, tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="40 characters of Z85"):
        AllowList(tmp_path).allow("laptop", text)
    good = generate()
    for public, secret in ((text, good.secret), (good.public, text)):
        (tmp_path / "server.key_secret").write_text(f"{public}\n{secret}\n")
        with pytest.raises(ConfigurationError, match="cannot use"):
            load_server_pair(tmp_path)
    write_secret(tmp_path / "mine.key_secret", good)
    with pytest.raises(ConfigurationError, match="cannot use this CURVE key"):
        Subscriber.remote("tcp://127.0.0.1:9740", key_file=tmp_path / "mine.key_secret", server_key=text)
    check_public("0" * 35 + "%nSc0")


def test_two_halves_that_do_not_belong_together_are_refused(tmp_path) -> None:
    path = tmp_path / "mixed"
    path.write_text(f"{generate().public}\n{generate().secret}\n")
    with pytest.raises(ConfigurationError, match="does not belong"):
        read_secret(path)


def test_allowing_and_revoking_is_seen_by_a_list_that_is_open_already(tmp_path) -> None:
    opened, editor = AllowList(tmp_path), AllowList(tmp_path)
    key = generate().public
    assert opened.find(key) is None
    editor.allow("laptop", key)
    assert opened.find(key) is not None
    assert [client.name for client in opened.clients()] == ["laptop"]
    editor.revoke("laptop")
    assert opened.find(key) is None


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65])
def test_a_name_cannot_leave_its_directory(tmp_path, name) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a client"):
        AllowList(tmp_path).allow(name, generate().public)


def test_a_name_or_a_key_that_is_there_is_not_taken_twice(tmp_path) -> None:
    allowed, key = AllowList(tmp_path), generate().public
    allowed.allow("laptop", key)
    with pytest.raises(ConfigurationError, match="it is laptop's"):
        allowed.allow("other", key)
    with pytest.raises(ConfigurationError, match="the name is taken"):
        allowed.allow("laptop", generate().public)


def test_revoking_a_stranger_says_who_there_is(tmp_path) -> None:
    allowed = AllowList(tmp_path)
    allowed.allow("laptop", generate().public)
    with pytest.raises(ConfigurationError, match=r"not among the allowed clients \(laptop\)"):
        allowed.revoke("phone")


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(
            ConfigurationError, match=r"cannot write .*server\.key_secret: No space left on device"
        ):
            load_server_pair(tmp_path)
        with pytest.raises(
            ConfigurationError, match=r"cannot write .*laptop\.key: No space left on device; make room"
        ):
            AllowList(tmp_path).allow("laptop", generate().public)
    assert [path.name for path in tmp_path.rglob("*")] == ["allowed"]
    assert load_server_pair(tmp_path) == load_server_pair(tmp_path), "there is room again"


def test_a_key_file_that_is_a_pipe_holds_nobody_up(tmp_path) -> None:
    os.mkfifo(tmp_path / "server.key_secret")
    with pytest.raises(
        ConfigurationError, match=r"server\.key_secret: it is no regular file; put the file back"
    ):
        load_server_pair(tmp_path)
