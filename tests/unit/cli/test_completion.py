"""What a shell is offered for a half-typed command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.shell_completion import ShellComplete

from netmap_actors.wire.vocabulary import ActorName
from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.cli import commands, main
from netmap_supervisor.cli.access import tokens
from netmap_supervisor.cli.fault import command as fault
from netmap_supervisor.cli.parameters import peer_names
from tests.support.netmaps.shown_netmap import peer, snapshot

if TYPE_CHECKING:
    from pathlib import Path

HOOKS = '[[webhook]]\nname = "oncall"\nurl = "file:/u"\n[[webhook]]\nname = "chat"\nurl = "file:/u"\n'
NODES = [
    peer(name="web-1.example.ts.net.", stable_id="n1", tags=["tag:web", "tag:db"]),
    peer(name="nas.example.ts.net.", stable_id="n2", tags=["tag:$(reboot)"]),
]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peer_names, "_netmap", lambda _: snapshot(*NODES).netmap)
    monkeypatch.setattr(
        fault, "send_request", lambda *_, **__: {"result": {"liveness/silence": "", "http/429": ""}}
    )
    monkeypatch.setattr(
        tokens, "request", lambda *_: {"tokens": [{"name": "grafana"}, {"name": "prometheus"}]}
    )
    (tmp_path / "c.toml").write_text(HOOKS)
    monkeypatch.setenv("NETMAP_SUPERVISOR_CONFIG", str(tmp_path / "c.toml"))


def offered(words: str, begun: str) -> list[str]:
    shell = ShellComplete(commands, {}, "netmap-supervisor", "_NETMAP_SUPERVISOR_COMPLETE")
    return [one.value for one in shell.get_completions(words.split(), begun)]


@pytest.mark.parametrize(
    ("words", "begun", "expected"),
    [
        ("wait --for", "", ["fresh", "stale", "peer:"]),
        ("wait --for", "fr", ["fresh"]),
        ("wait --for", "peer:", ["peer:nas=online", "peer:nas=offline", "peer:web-1=online", "peer:web-1=offline"]),
        ("wait --for", "peer:web-1=a", ["peer:web-1=absent"]),
        ("wait --for fresh --for", "peer:nas=o", ["peer:nas=online", "peer:nas=offline"]),
        ("netmap --tag", "", ["db", "web"]),
        ("watch --tag", "tag:w", ["tag:web"]),
        ("export hosts --tag", "w", ["web"]),
        ("webhook test", "o", ["oncall"]),
        ("tokens revoke", "", ["grafana", "prometheus"]),
        ("fault server", "live", ["liveness/silence"]),
    ],
)  # fmt: skip
def test_a_shell_is_offered_what_there_is(there: None, words: str, begun: str, expected: list[str]) -> None:
    assert offered(words, begun) == expected


@pytest.mark.parametrize("words", ["webhook test", "tokens revoke", "fault server"])
def test_where_it_cannot_be_asked_nothing_is_offered(
    there: None, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise CommandFailed("none is running")

    monkeypatch.setattr(tokens, "request", fails)
    monkeypatch.setattr(fault, "send_request", fails)
    monkeypatch.setenv("NETMAP_SUPERVISOR_CONFIG", "/nowhere/c.toml")
    assert offered(words, "") == []


@pytest.mark.parametrize("words", ["netmap", "watch", "export hosts"])
@pytest.mark.parametrize("tag", ["", "tag:"])
def test_an_empty_tag_is_refused(words: str, tag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--tag", tag]) == 2
    assert "a tag such as web or tag:web is expected" in capsys.readouterr().err


def test_the_help_of_faults_names_every_actor() -> None:
    assert [name for name in ActorName if name not in (fault.command.help or "")] == []
