"""A control server that runs, told what to do over its command socket and from the command line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import stat
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.clients.control_client import ControlClient, Node
from tests.support.processes.daemon import PROGRAM, clean_environment
from tests.support.processes.dev_server import DevServer, running_dev_server
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUIET = ("--nodes=3", "--churn=0", "--keep-alive=1s")


@pytest.fixture(scope="module")
def server() -> Iterator[DevServer]:
    with running_dev_server(*QUIET) as running:
        yield running


@pytest.fixture
def client(server: DevServer) -> Iterator[ControlClient]:
    made = ControlClient(server.url, Node(f"gopher-{secrets.token_hex(3)}"))
    made.register(server.auth_key)
    yield made
    made.close()


def order(server: DevServer, *words: str, status: int = 0) -> str:
    """What `dev-control WORDS…` prints; on stderr when it fails."""
    done = subprocess.run(
        [*PROGRAM, "dev-control", *words, f"--socket={server.socket}"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=clean_environment(server.socket.parent),
    )
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def connected(server: DevServer) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(server.socket))
    made.settimeout(10.0)
    return made


def answers(sock: socket.socket, *lines: bytes) -> list[dict]:
    sock.sendall(b"".join(line + b"\n" for line in lines))
    with sock.makefile("rb") as file:
        return [json.loads(file.readline()) for _ in lines]


def test_nobody_else_can_reach_it(server: DevServer) -> None:
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600


def test_clients_and_nodes_are_shown(server: DevServer, client: ControlClient) -> None:
    stream = client.map()
    client.message(stream, 0)
    shown = order(server, "clients")
    assert re.search(
        r"^connection:\d+ +127\.0\.0\.1:\d+ +gopher-\w+ +v\d+ .* 1 map, .* 1 register", shown, re.MULTILINE
    )
    (one,) = [found for found in json.loads(order(server, "clients", "--json")) if found["map_streams"]]
    assert one["map_streams"][0]["node"] == client.node.name
    assert re.search(
        rf"^{client.node.name} +\d+ +100\.\S+ +registered +yes ", order(server, "nodes"), re.MULTILINE
    )
    assert len(json.loads(order(server, "nodes", "--json"))) >= 4
    assert "register" in order(server, "seen", "register")
    kinds = [json.loads(line)["kind"] for line in order(server, "seen", "--json").splitlines()]
    assert {"accept", "upgrade", "register", "map"} <= set(kinds)


def test_a_fault_strikes_one_client_and_is_healed(server: DevServer, client: ControlClient) -> None:
    stream = client.map()
    client.message(stream, 0)
    assert re.search(r"^liveness/half-frame +half of a map frame", order(server, "fault"), re.MULTILINE)
    assert "liveness/silence: 1 connection struck" in order_err(
        server, "fault", "liveness/silence", "--client", client.node.name
    )
    assert json.loads(order(server, "clients", "--json"))[-1]["faults"] == ["liveness/silence"]
    assert "cannot heal 'nobody': there is no such client" in order(
        server, "heal", "--client=nobody", status=1
    )
    order(server, "fault", "liveness/silence", f"client={client.node.name}", "moment=map", "scope=later")
    order(server, "heal", "--client", client.node.name)
    order(server, "do", "add_node", "name=printer")
    client.wait(lambda: "printer" in json.dumps(stream.messages), 10.0)
    second = client.map()
    client.message(second, 0)  # nothing waits for it any more
    assert "healed" in order_err(server, "fault", "liveness/no-keep-alives", "--for", "0.2s")
    assert "there is no such fault; a client is named by" in order(server, "heal", "web-1", status=1)
    who = ["--client", client.node.name]
    assert "or liveness/silence does not harm it" in order(server, "heal", "liveness/silence", *who, status=1)
    order(server, "fault", "register/null")
    order(server, "fault", "session/rst-stream", "scope=later", "moment=map", "--for", "0.1s")
    assert client.answer("/machine/register", client.register_body("")).body == b"null", "it is another fault"
    order(server, "heal", "register/null")
    assert client.register()["MachineAuthorized"]


def order_err(server: DevServer, *words: str) -> str:
    """What it says on stderr while all is well."""
    done = subprocess.run(
        [*PROGRAM, "dev-control", *words, f"--socket={server.socket}"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=clean_environment(server.socket.parent),
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_tailnet_is_edited(server: DevServer) -> None:
    told = json.loads(order(server, "do", "set_tags", "node=laptop-0", 'tags=["tag:web"]'))
    assert told["tags"] == ["tag:web"]
    assert json.loads(order(server, "do", "set_online", "node=laptop-0", "online=false"))["online"] is False
    assert order(server, "do", "churn", "count=3") == "null\n"


def test_other_rules_reach_the_clients_at_once(
    server: DevServer, client: ControlClient, tmp_path: Path
) -> None:
    stream = client.map()
    client.message(stream, 0)
    before = len(stream.messages[0]["Peers"])
    shut = tmp_path / "shut.hujson"
    shut.write_text('{"grants": [], "ssh": []} // nobody')
    assert "this server makes nothing of ssh" in order_err(server, "policy", str(shut))
    client.told(stream, lambda message: len(message.get("PeersRemoved", ())) == before)
    order(server, "policy", "--none")
    client.told(stream, lambda message: len(message.get("PeersChanged", ())) == before)
    shut.write_text('{"acls": [5]}')
    assert "cannot use the policy: line 1, column 11: acls[0]: it is not an object" in order(
        server, "policy", str(shut), status=1
    )
    assert f"cannot read {tmp_path}/no" in order(server, "policy", f"{tmp_path}/no", status=1)
    assert "name a FILE, or say --none" in order(server, "policy", status=2)


def test_a_new_key_lets_in_and_a_login_is_completed(server: DevServer) -> None:
    key = order(server, "new-key", "--tag", "tag:web", "--ephemeral", "--once").strip()
    with closing(ControlClient(server.url, Node("tagged"))) as one:
        assert one.register(key)["MachineAuthorized"]
    tagged = next(
        node for node in json.loads(order(server, "nodes", "--json")) if node["name"].startswith("tagged.")
    )
    assert (tagged["tags"], tagged["ephemeral"]) == (["tag:web"], True)
    with closing(ControlClient(server.url, Node("asker"))) as asker:
        url = asker.register()["AuthURL"]
        assert order(server, "logins").split() == [url.rpartition("/")[2]]
        order(server, "approve", "--user", "bob")
        assert asker.register()["MachineAuthorized"]
    assert "there is none that waits" in order(server, "approve", status=1)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("fault", "explode"), "cannot commit 'explode': the faults are"),
        (("fault", "liveness/slow-drip", "colour=red"), "cannot commit liveness/slow-drip with colour"),
        (
            ("fault", "liveness/silence", "--client", "nobody"),
            "no client 'nobody' is connected; say scope=later for one",
        ),
        (("do", "explode"), "cannot do 'explode': the commands are"),
        (("do", "set_tags", "node=nobody", "tags=[]"), "cannot find a node 'nobody'"),
        (("do", "set_tags", "node=web-3"), "cannot do set_tags: set_tags needs tags"),
        (("do", "set_tags", "node=web-3", "tags=web"), "tags of set_tags: Expected `array`, got `str`"),
        (("do", "set_online", "node=web-3", "online=maybe"), "online of set_online: Expected `bool`"),
        (("do", "require", "key_lifetime=1e300"), "that is no time"),
    ],
)
def test_what_cannot_be_done_is_said(server: DevServer, words: tuple[str, ...], why: str) -> None:
    assert why in order(server, *words, status=1)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("fault", "liveness/silence", "nonsense"), "is not KEY=VALUE"),
        (("fault", "liveness/silence", "--for", "soon"), "--for"),
        (("heal", "liveness/silence", "web-1"), "unexpected extra argument"),
        (("clients", "web-1"), "unexpected extra argument"),
        (("nodes", "web-1"), "unexpected extra argument"),
        (("seen", "map", "read"), "unexpected extra argument"),
        (("logins", "all"), "unexpected extra argument"),
        (("approve", "one", "two"), "unexpected extra argument"),
        (("new-key", "--expires-in", "-1s"), "--expires-in"),
        (("do",), "Missing argument 'COMMAND'"),
        (("do", "rename", "nonsense"), "is not KEY=VALUE"),
        (("explode",), "No such command"),
        (("--nodes=5", "nodes"), "--nodes is for starting a server"),
    ],
)
def test_wrong_words_are_wrong_usage(server: DevServer, words: tuple[str, ...], why: str) -> None:
    assert why.lower() in order(server, *words, status=2).lower()


def test_what_clients_do_is_followed_until_an_interrupt(server: DevServer, tmp_path: Path) -> None:
    told = tmp_path / "told"

    def seen() -> list[str]:
        return [
            f"{event['remote']} {event['kind']}" for event in map(json.loads, told.read_text().splitlines())
        ]

    with told.open("wb") as file:
        following = subprocess.Popen(
            [*PROGRAM, "dev-control", "seen", "register", "--follow", "--json", f"--socket={server.socket}"],
            env=clean_environment(server.socket.parent),
            stdout=file,
        )
    try:
        for name in ("first", "second"):
            with closing(ControlClient(server.url, Node(name))) as newcomer:
                newcomer.register(server.auth_key)
                event = f"{newcomer.local_address} register"
                wait_for(lambda event=event: event in seen(), 10.0, "the registration is told")
        lines = told.read_text().splitlines()
        assert len(set(lines)) == len(lines), "something is told twice"
        following.send_signal(signal.SIGINT)
        assert following.wait(10.0) == 0
    finally:
        following.kill()
        following.wait()


@pytest.mark.parametrize(
    ("name", "why"), [("none", "No such file or directory"), ("x" * 120, "path too long")]
)
def test_without_a_server_there_is_a_word_about_how_to_have_one(tmp_path: Path, name: str, why: str) -> None:
    done = subprocess.run(
        [*PROGRAM, "dev-control", "nodes", f"--socket={tmp_path}/{name}"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert why in done.stderr
    assert "start one with `netmap-supervisor dev-control`" in done.stderr


def test_garbage_costs_its_sender_an_answer_and_nobody_else_anything(server: DevServer) -> None:
    with connected(server) as one, connected(server) as other:
        bad = answers(one, b"garbage", b"[]", b"{}", b'{"command":3}', b'{"command":"execute"}', b"\xff\xfe")
        assert all(set(answer) == {"error"} for answer in bad)
        assert answers(one, b'{"command":"logins"}') == [{"result": []}]
        # A line without an end is refused before it is kept.
        with contextlib.suppress(BrokenPipeError):
            other.sendall(b"x" * (2 << 20))
        with other.makefile("rb") as file:
            assert "more than 1048576 bytes" in json.loads(file.readline())["error"]
        assert answers(one, b'{"command":"logins"}') == [{"result": []}]


def test_who_never_reads_and_who_comes_in_crowds_hold_nobody_up(server: DevServer) -> None:
    deaf = connected(server)
    deaf.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while sent < 64 << 20:
            sent += deaf.send(b'{"command":"faults"}\n' * 1000)
    crowd = [connected(server) for _ in range(80)]
    for one in crowd:
        one.close()
    deaf.close()
    wait_for(lambda: "simulated" in order(server, "nodes"), 10.0, "an answer")


def test_a_socket_in_use_is_not_taken_and_one_left_behind_is() -> None:
    with running_dev_server(*QUIET) as first:
        path = first.socket
        assert path.exists()
        # Asked for by name it is refused; else the next server has one with its port in its name.
        done = subprocess.run(
            [*PROGRAM, "dev-control", f"--socket={path}"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 78
        assert "another server answers there" in done.stderr
        env = clean_environment(path.parent, {"NETMAP_DEV_CONTROL_SOCKET": str(path)})
        second = subprocess.Popen([*PROGRAM, "dev-control"], env=env, stdout=subprocess.PIPE, text=True)
        lines = dict(re.split(r"  +", second.stdout.readline().strip()) for _ in range(3))
        port = lines["url"].rpartition(":")[2]
        assert lines["commands"] == str(path.with_name(f"commands-{port}.sock"))
        second.terminate()
        assert second.wait(10.0) == 0
        second.stdout.close()
        assert not path.with_name(f"commands-{port}.sock").exists()
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        assert path.exists()
        third = subprocess.Popen([*PROGRAM, "dev-control"], env=env, stdout=subprocess.PIPE, text=True)
        lines = [third.stdout.readline().strip() for _ in range(3)]
        assert lines[2].endswith(str(path)), lines
        third.terminate()
        third.wait(10.0)
        third.stdout.close()
        assert not path.exists()


def test_a_server_that_cannot_have_its_usual_socket_says_so_and_serves(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = clean_environment(tmp_path, {"NETMAP_DEV_CONTROL_SOCKET": str(tmp_path / "file" / "s.sock")})
    process = subprocess.Popen(
        [*PROGRAM, "dev-control"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith("url")
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert "commands" not in out
    assert "no_command_socket" in err
