"""How `Subscriber.remote` connects: over CURVE, in clear to this machine, or not at all."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from netmap_actors.curve_keys import generate, write_secret
from netmap_actors.errors import ConfigurationError
from netmap_actors.runtime_paths import remote_endpoints
from netmap_actors.subscriber import Subscriber

if TYPE_CHECKING:
    from pathlib import Path

SERVER_KEY = generate().public
HERE = ("tcp://127.0.0.1:9740", "tcp://127.1.2.3:9740", "tcp://[::1]:9740", "tcp://localhost:9740")
ELSEWHERE = (
    "tcp://192.0.2.1:9740", "tcp://[2001:db8::1]:9740", "tcp://server.example:9740", "tcp://localhost.example:9740",
    "tcp://127.0.0.1.example:9740", "tcp://0.0.0.0:9740", "tcp://[::ffff:192.0.2.1]:9740",
    "tcp://[fe80::1%eth0]:9740",
)  # fmt: skip
KEY_FILES = {"none": None, "empty": "", "there": "mine.key_secret", "missing": "nobodys.key_secret"}
SERVER_KEYS = {"none": "", "null": None, "blank": " ", "wrong": "no key", "there": SERVER_KEY}


def right(key_file: str, server_key: str, listen: str) -> str:
    """What the combination has to lead to."""
    if (key_file, server_key) == ("there", "there"):
        return "curve"
    nothing = key_file == "none" and server_key in {"none", "null"}
    return "clear" if nothing and listen in HERE else "error"


def made(listen: str, **given: Any) -> str:
    """What it leads to."""
    try:
        subscriber = Subscriber.remote(listen, **given)
    except ConfigurationError as error:
        return "error" if str(error).startswith("cannot ") else str(error)
    with subscriber:
        (mechanism,) = {socket.getsockopt(zmq.MECHANISM) for socket in subscriber.sockets}
    return {zmq.CURVE: "curve", zmq.NULL: "clear"}[mechanism]


@pytest.mark.parametrize("listen", [*HERE, *ELSEWHERE])
def test_a_connection_is_what_the_keys_say_or_none_is_made(listen: str, tmp_path: Path) -> None:
    write_secret(tmp_path / "mine.key_secret", generate())
    found, expected = {}, {}
    for key_file, server_key in itertools.product(KEY_FILES, SERVER_KEYS):
        name = KEY_FILES[key_file]
        path = str(tmp_path / name) if name else name
        found[key_file, server_key] = made(listen, key_file=path, server_key=SERVER_KEYS[server_key])
        expected[key_file, server_key] = right(key_file, server_key, listen)
    assert found == expected


@pytest.mark.parametrize("listen", ELSEWHERE)
def test_endpoints_on_other_machines_need_keys_however_they_are_named(listen: str) -> None:
    with pytest.raises(ConfigurationError, match="in clear"):
        Subscriber(endpoint=remote_endpoints(listen))


@pytest.mark.parametrize("host", ["*", "", "b\u00fcro", "a b", "127.0.0.1/x", "[::1", "no/such"])
def test_what_is_no_endpoint_is_an_error_that_says_so_and_leaves_no_socket(host: str, tmp_path: Path) -> None:
    write_secret(tmp_path / "mine.key_secret", generate())
    keys = {"key_file": tmp_path / "mine.key_secret", "server_key": SERVER_KEY}
    with pytest.raises(ValueError, match=r"cannot use .* as an endpoint"):
        Subscriber.remote(f"tcp://{host}:9740", **keys)
    Subscriber.remote("tcp://localhost:9740", **keys).close()


def test_a_directory_whose_sockets_would_have_too_long_a_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot use .* as an endpoint: File name too long"):
        Subscriber(tmp_path / ("d" * 120))


def test_an_empty_variable_for_each_key_is_called_that() -> None:
    with pytest.raises(ConfigurationError, match="an empty key_file and no server_key"):
        Subscriber.remote("tcp://127.0.0.1:9740", key_file="", server_key="")
