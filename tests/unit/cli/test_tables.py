"""Every table at every width of a terminal: the essential columns of a row are whole and on its own line."""

from __future__ import annotations

import io
import unicodedata
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest
from rich.console import Console

from netmap_actors.curve_keys import generate
from netmap_actors.wire.status import LastEnd
from netmap_supervisor.cli import main
from netmap_supervisor.cli.parameters.followed_daemon import LocalDaemon
from netmap_supervisor.devtools import dev_orders
from netmap_supervisor.view.live import LiveView
from tests.support.netmaps.shown_netmap import SteppedClock, actor, peer, report, snapshot, upserted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WIDTHS = range(40, 201)
LONG = "a-name-that-is-as-long-as-a-label-may-be-" + "x" * 22
WIDE = "日本語" * 21
TAGS = [f"tag:environment-production-{number}" for number in range(9)]
ROUTES = [f"10.{number}.0.0/16" for number in range(9)]


def cells(text: str) -> int:
    """Places of a terminal that a text takes (Unicode's UAX 11, and no place for a combining mark)."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def nobody_elses_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`shown(width, *words)`: the lines of a command on a terminal of this width."""

    def run(width: int, *words: str) -> list[str]:
        terminal = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", terminal)
            patch.setenv("COLUMNS", str(width))
            assert main(list(words)) == 0
        return terminal.getvalue().splitlines()

    return run


def fits(lines: list[str], width: int) -> None:
    """No line is broken by the terminal, where it would be taken for a row of its own."""
    for line in lines:
        assert cells(line) <= width, f"{cells(line)} at {width}: {line!r}"


PEERS = (
    peer(stable_id="n-up", name="web-1.example.ts.net", online=True, tags=TAGS, routes=ROUTES, os="linux"),
    peer(
        stable_id="n-down",
        name=f"{LONG}.example.ts.net",
        online=False,
        tags=TAGS,
        addresses=["100.64.0.2/32"],
    ),
    peer(
        stable_id="n-odd" + "y" * 30,
        name=f"{WIDE}.example.ts.net",
        online=None,
        addresses=[f"fd7a:{'1234:' * 6}1/128"],
    ),
)
STATES = ("online", "offline", "unknown")


def assert_states(lines: list[str], width: int) -> None:
    fits(lines, width)
    rows = {word: [line for line in lines if f" {word} " in f"{line} "] for word in STATES}
    assert {word: len(found) for word, found in rows.items()} == dict.fromkeys(STATES, 1), "\n".join(lines)
    assert rows["online"][0].split()[0] == "web-1"
    assert rows["offline"][0].startswith("a-nam")
    assert rows["unknown"][0].startswith("日本")
    assert "100.64.0.1" in rows["online"][0]


def test_offline_never_looks_like_online_in_the_live_view() -> None:
    for width in WIDTHS:
        view = LiveView(SteppedClock(), console=Console(file=io.StringIO(), width=width, height=40))
        try:
            view.netmap(snapshot(*PEERS))
            for one in PEERS:
                view.netmap(
                    upserted(one, {"tags": ["tag:gone"] * 4, "os": "b" * 60, "routes": ["1.2.3.0/24"]})
                )
            paper = Console(width=width, height=40, color_system=None, markup=False, highlight=False)
            with paper.capture() as captured:
                paper.print(view._table(1060.0, 20))
            assert_states(captured.get().splitlines()[1:], width)
        finally:
            view.close()


def test_a_narrow_live_view_stays_within_its_screen_and_wraps_what_went_wrong() -> None:
    ill = actor("control_connection", "error", pid=None)
    for width in (40, 60, 80, 110):
        console = Console(file=io.StringIO(), width=width, height=24)
        view = LiveView(SteppedClock(), console=console, hint="try something " * 9)
        try:
            view.netmap(
                snapshot(
                    *(peer(stable_id=f"n{number}", name=f"n{number}.example.ts.net") for number in range(60))
                )
            )
            others = [actor(name) for name in ("publisher", "liveness", "dev_control", "http_endpoint")]
            view.status(report("stale", "backing_off", last_end="error", actors=(*others, ill)))
            paper = Console(width=width, height=24, color_system=None, markup=False, highlight=False)
            with paper.capture() as captured:
                paper.print(view.render(1001.0))
            lines = captured.get().splitlines()
            assert len(lines) <= 24
            assert "control_connection error" in " ".join(" ".join(lines).split())
        finally:
            view.close()


class Held:
    """A subscriber that has a netmap."""

    def __init__(self, *_: object) -> None:
        self.store = SimpleNamespace(snapshot=lambda: snapshot(*PEERS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def wait_for_answer(self, _limit: float) -> bool:
        return True


def test_netmap_shows_who_is_online(shown: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalDaemon, "subscriber", Held)
    monkeypatch.setattr(LocalDaemon, "require_running", lambda _: None)
    for width in WIDTHS:
        assert_states(shown(width, "netmap")[1:], width)


def test_status_shows_each_actor_and_breaks_nothing_in_two(
    shown: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    end = "cannot register: the control server refuses the auth key: it has been used already; make a new one"
    actors = (
        actor("control_connection", "backoff", restarts=12345, last_exit="auth_refused", pid=4194303),
        actor("publisher", uptime_s=86400.0 * 300, rss_bytes=1 << 40),
        actor("dev_control", "inactive", last_exit="signal 9 " + "z" * 60),
    )
    key = "mkey:" + "0123456789abcdef" * 4
    base = report("stale", "backing_off", last_end="error", actors=actors)
    told = msgspec.structs.replace(
        base,
        control=msgspec.structs.replace(base.control, server_key=key),
        connection=msgspec.structs.replace(
            base.connection,
            last_end=LastEnd(
                reason="error", stage="register", detail=end, at="2026-11-28T10:00:00.000Z", generation=1
            ),
        ),
    )
    monkeypatch.setattr("netmap_supervisor.cli.state.status.ask_status", lambda _: told)
    monkeypatch.setattr("netmap_supervisor.cli.state.status.exit_code", lambda _: 0)
    for width in WIDTHS:
        lines = shown(width, "status")
        fits([line for line in lines if key not in line], width)
        rows = {line.split()[0]: line for line in lines[lines.index("") + 2 :]}
        assert "backoff" in rows["control_connection"], "\n".join(lines)
        assert "12345" in rows["control_connection"]
        assert ("active" in rows["publisher"], "inactive" in rows["dev_control"]) == (True, True)
        assert end in " ".join(" ".join(lines).split()), "the reason of the end is whole"
        if width >= 80:
            assert key in " ".join(lines)
            assert all("auth_refused" in row for name, row in rows.items() if name == "control_connection")


def test_keys_list_shows_who_is_admitted(shown: Callable[..., list[str]], tmp_path: Path) -> None:
    public = {name: generate().public for name in ("laptop", "n" * 60)}
    place = f"--state-dir={tmp_path}"
    for name, key in public.items():
        assert main(["keys", "allow", name, place, "--", key]) == 0
    for width in WIDTHS:
        lines = shown(width, "keys", "list", place)
        fits(lines, width)
        assert [line.split()[0][:6] for line in lines] == ["NAME", "laptop", "nnnnnn"]
        assert all(key[:8] in "\n".join(lines) for key in public.values())
        assert width < 60 or all(key in "\n".join(lines) for key in public.values())


def client(number: int, **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "number": number,
        "remote_address": f"[fd7a:{'1234:' * 6}1]:65535",
        "map_streams": [{"node": f"{LONG}.dev.example"}] * 3,
        "version": 130,
        "age": 86400.0,
        "maps": 12345,
        "lite_updates": 12345,
        "reads": 12345,
        "registers": 12345,
        "faults": [],
    }
    return given | fields


def test_dev_control_shows_its_clients_and_its_nodes(
    shown: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = {
        "name": f"{LONG}.dev.example.", "id": 2**53, "addresses": ["100.64.0.1/32"], "registered": True,
        "online": False, "tags": TAGS, "routes": ROUTES, "ephemeral": True, "expired": True, "authorized": False,
    }  # fmt: skip
    answers = {
        "clients": [client(7, faults=["liveness/silence", "liveness/slow-drip"]), client(123456)],
        "nodes": [node, node | {"name": "web-1.dev.example.", "online": True, "expired": False}],
        "faults": {
            "liveness/silence": "TCP stays open and acknowledges; nothing is sent",
            "session/map-then-close": "long " * 40,
        },
    }
    monkeypatch.setattr(dev_orders, "_ask", lambda _path, command, /, **_: answers[command])
    for width in WIDTHS:
        lines = shown(width, "dev-control", "clients", "--socket=x")
        fits(lines, width)
        assert [line.split()[0] for line in lines] == ["client", "connection:7", "connection:123456"]
        assert "liveness/silence" in lines[1]
        lines = shown(width, "dev-control", "nodes", "--socket=x")
        fits(lines, width)
        assert [" no " in f"{line} " for line in lines] == [False, True, False]
        assert [" yes " in f"{line} " for line in lines] == [False, False, True]
        assert "expired" in lines[1]


def test_lists_of_what_can_be_done_lose_no_word(shown: Callable[..., list[str]]) -> None:
    wide = " ".join(" ".join(shown(1000, "check-client", "--list")).split())
    assert len(wide) > 1000
    for width in WIDTHS:
        lines = shown(width, "check-client", "--list")
        fits(lines, width)
        assert " ".join(" ".join(lines).split()) == wide


def test_what_goes_into_a_pipe_is_neither_cut_nor_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(LocalDaemon, "subscriber", Held)
    monkeypatch.setattr(LocalDaemon, "require_running", lambda _: None)
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["netmap"]) == 0
    out = capsys.readouterr().out
    assert f"{LONG} " in out
    assert f" {' '.join(TAGS)} " in out
    assert f" {' '.join(ROUTES)} " in out


def test_long_names_that_differ_at_their_end_differ_in_every_table(
    shown: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label has up to 63 characters (RFC 1035), and machines that are made by a template differ in the last ones."""
    twins = [
        peer(stable_id=f"n{number}", name=f"{'worker-' * 8}europe{number}.example.ts.net")
        for number in (1, 2)
    ]
    monkeypatch.setattr(LocalDaemon, "subscriber", Held)
    monkeypatch.setattr(LocalDaemon, "require_running", lambda _: None)
    store = SimpleNamespace(snapshot=lambda: snapshot(*twins))
    monkeypatch.setattr(Held, "__init__", lambda self, *_: setattr(self, "store", store))
    for width in WIDTHS:
        names = [line.split()[0] for line in shown(width, "netmap")[-2:]]
        assert [name[-2:] for name in names] == ["e1", "e2"], f"{names} at {width}"
        view = LiveView(SteppedClock(), console=Console(file=io.StringIO(), width=width, height=40))
        try:
            view.netmap(snapshot(*twins))
            paper = Console(width=width, height=40, color_system=None, markup=False, highlight=False)
            with paper.capture() as captured:
                paper.print(view._table(1060.0, 20))
            names = [line.split()[0] for line in captured.get().splitlines()[-2:]]
            assert [name[-2:] for name in names] == ["e1", "e2"], f"{names} at {width} in the live view"
        finally:
            view.close()
