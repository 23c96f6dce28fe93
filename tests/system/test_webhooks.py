"""Webhooks of a whole daemon: receivers that verify, hang, refuse, are gone and come back, and kills of everything."""

from __future__ import annotations

import json
import os
import signal
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.history.answers import HistoryQuestion
from netmap_actors.history.questions import ask_daemon
from tests.support.host.free_ports import free_port
from tests.support.processes.daemon import Daemon, tree_of
from tests.support.proxies.connect_proxy import ConnectProxy
from tests.support.proxies.tls_front import self_signed, tls_in_front_of
from tests.support.servers.webhook_receiver import WebhookReceiver
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

KEY = "k3y-of-signatures"
SECRETS = ("s3cr3t", KEY)
CHURN = "[dev_control]\nnodes = 12\nchurn = 4.0\n"


def hook(directory: Path, name: str, url: str, **fields: Any) -> str:
    """The table of a webhook and its files."""
    for file, text in ((f"{name}.url", url), ("key", KEY)):
        path = directory / file
        path.write_text(f"{text}\n")
        path.chmod(0o600)
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
    files = f'url = "file:{directory}/{name}.url"\nsecret = "file:{directory}/key"\n'
    return f'[[webhook]]\nname = "{name}"\n{files}hold_down = "off"\n{lines}'


def status_of(daemon: Daemon, name: str) -> dict[str, Any] | None:
    status = daemon.status()
    found = [one for one in (status or {"webhooks": []})["webhooks"] if one["name"] == name]
    return found[0] if found else None


def ids(receiver: WebhookReceiver) -> list[str]:
    return [one["data"]["eventID"] for one in receiver.events() if one["type"] != "test"]


def numbers(receiver: WebhookReceiver) -> set[int]:
    """Of the occurrences it was told of."""
    return {int(one.split("-")[1]) for one in ids(receiver)}


def orders(receiver: WebhookReceiver) -> dict[str, list[int]]:
    """By node, in which order it first heard of its occurrences."""
    found: dict[str, list[int]] = defaultdict(list)
    for one in receiver.events():
        number = int(one["data"]["eventID"].split("-")[1]) if one["type"] != "test" else 0
        if number and number not in found[one["data"].get("nodeID", "")]:
            found[one["data"].get("nodeID", "")].append(number)
    return found


def due(daemon: Daemon, first: int) -> set[int]:
    """What the history has to tell of nodes that went, from the first id on, and that they came back then."""
    answer = ask_daemon(HistoryQuestion(after_id=first - 1, oldest=True, lanes=False), daemon.runtime_dir)
    assert not answer.more
    gone: set[str] = set()
    found: set[int] = set()
    for number, one in answer.occurrences:
        if one.kind == "node_offline" or (one.kind == "node_online" and one.subject in gone):
            found.add(number)
            (gone.add if one.kind == "node_offline" else gone.discard)(one.subject)
    return found


def secrets_seen(daemon: Daemon) -> list[str]:
    """Where a URL or a key can be read that should not be."""
    places = [daemon.log_path, daemon.out_path, *daemon.state_dir.rglob("*"), *daemon.runtime_dir.rglob("*")]
    texts = {str(path): path.read_bytes() for path in places if path.is_file()}
    for pid in tree_of(daemon.pid):
        for file in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{file}", "rb") as text:
                texts[f"{file} of {pid}"] = text.read()
    texts["status"] = daemon.command("status", "--json").stdout.encode()
    listed = daemon.command("webhook", "list", f"--config={daemon.config_path}")
    texts["webhook list"] = (listed.stdout + listed.stderr).encode()
    shown = daemon.run_free("config", "show", f"--config={daemon.config_path}")
    texts["config show"] = (shown.stdout + shown.stderr).encode()
    return [place for place, text in texts.items() if any(secret.encode() in text for secret in SECRETS)]


@pytest.mark.timeout(240)
def test_everything_is_told_over_kills_of_every_process_and_each_receiver_has_its_own_pace(
    tmp_path: Path,
) -> None:
    gone_port = free_port()
    with WebhookReceiver(KEY) as good, WebhookReceiver(KEY) as hanging, WebhookReceiver(KEY) as refusing:
        hanging.answer, refusing.answer, refusing.location = "hang", 302, good.url
        config = CHURN + "".join(
            (
                hook(tmp_path, "good", good.url, events_per_minute=60_000),
                hook(tmp_path, "hanging", hanging.url),
                hook(tmp_path, "refusing", refusing.url),
                hook(tmp_path, "gone", f"http://127.0.0.1:{gone_port}/s3cr3t", events_per_minute=60_000),
                hook(tmp_path, "nowhere", "no s3cr3t URL"),
            )
        )
        with Daemon(config=config, history=True) as daemon:
            daemon.wait_fresh()
            daemon.wait_event("actor_ready", 30.0, actor="webhooks")
            wait_for(lambda: len(good.events()) > 3, 60.0, "the first events")
            first = min(numbers(good))
            for actor in ("webhooks", "history", "publisher"):
                before = len(good.events())
                pid = daemon.signal_actor(actor)
                daemon.wait_event("actor_exited", 20.0, actor=actor, pid=pid)
                wait_for(lambda: len(good.events()) > before + 3, 90.0, f"events after {actor}")  # noqa: B023
            assert hanging.asked, "it was tried"
            assert refusing.asked
            assert not hanging.events()
            assert daemon.wait_event("webhook_failed", 60.0, webhook="gone")["detail"] == (
                "cannot connect: Connection refused"
            )
            refused = daemon.wait_event("webhook_failed", 60.0, webhook="refusing")["detail"]
            assert refused.startswith("status 302")
            assert daemon.wait_event("webhook_failed", 60.0, webhook="hanging")["detail"] == "timeout"
            nowhere = daemon.wait_event("webhook_failed", 20.0, webhook="nowhere")["detail"]
            assert "it has to be one word, alone" in nowhere

            tried = daemon.command("webhook", "test", "good", "--json", f"--config={daemon.config_path}")
            assert tried.returncode == 0, tried.stderr
            assert json.loads(tried.stdout)["status"] == 200
            assert [one["type"] for one in good.events()].count("test") == 1
            tried = daemon.command("webhook", "test", "gone", f"--config={daemon.config_path}")
            assert (tried.returncode, tried.stdout) == (
                1,
                "gone was not reached: cannot connect: Connection refused\n",
            )
            tried = daemon.command("webhook", "test", "other", f"--config={daemon.config_path}")
            assert (tried.returncode, "webhooks are good, hanging" in tried.stderr) == (1, True)
            assert secrets_seen(daemon) == []

            # The Supervisor dies, and what happens meanwhile is told by the next one.
            daemon.kill()
            refusing.answer = 200
            with WebhookReceiver(KEY, gone_port) as gone:
                daemon.start()
                daemon.wait_fresh()
                before = len(good.events())
                wait_for(lambda: len(good.events()) > before + 5, 90.0, "events of the next run")
                expected = due(daemon, first)
                assert expected
                wait_for(lambda: expected <= numbers(good), 60.0, "everything is told to the good one")
                wait_for(lambda: expected <= numbers(gone), 90.0, "and to the one that was gone")
                told = wait_for(lambda: status_of(daemon, "gone"), 20.0, "its status")
                assert told["given_up"] == told["lost"] == 0
                for receiver in (good, gone):
                    assert receiver.unsigned == 0
                    by_number = defaultdict(set)
                    for one in ids(receiver):
                        by_number[int(one.split("-")[1])].add(one)
                    assert all(len(same) == 1 for same in by_number.values()), "a repetition has the same id"
                    assert all(order == sorted(order) for order in orders(receiver).values())
                assert secrets_seen(daemon) == []
                assert daemon.events("actor_failed", actor="webhooks") == []


@pytest.mark.timeout(240)
def test_over_tls_with_a_ca_of_its_own_through_a_proxy_and_with_files_that_are_replaced(
    tmp_path: Path,
) -> None:
    pem = self_signed(tmp_path)
    with (
        WebhookReceiver(KEY) as receiver,
        WebhookReceiver(KEY) as other,
        tls_in_front_of(receiver.port, pem) as port,
        ConnectProxy(port) as proxy,
    ):
        url = f"https://localhost:{port}/s3cr3t"
        config = f'{CHURN}[control]\nca_file = "{pem}"\nproxy = "http://127.0.0.1:{proxy.port}"\n'
        with Daemon(config=config + hook(tmp_path, "secured", url), history=True) as daemon:
            daemon.wait_fresh()
            wait_for(receiver.events, 60.0, "events over TLS")
            assert receiver.unsigned == 0
            assert f"localhost:{port}" in " ".join(map(str, proxy.targets))
            process = daemon.actor("webhooks")
            assert (process["refused_calls"], process["confinement"]["capabilities"]) == ({}, 0)

            # An operator replaces the file, as editors do; the port is another one, too.
            proxy.upstream = other.port
            new = tmp_path / "new"
            new.write_text(other.url)
            new.replace(tmp_path / "secured.url")
            wait_for(other.events, 90.0, "events at the other place")
            assert daemon.events("actor_exited", actor="webhooks", reason="crashed") == []

            # And the settings: another webhook is told from now on, and this one goes on.
            with WebhookReceiver(KEY) as third:
                daemon.config_path.write_text(
                    CHURN + hook(tmp_path, "secured", other.url) + hook(tmp_path, "third", third.url)
                )
                done = daemon.command("reload")
                assert "webhooks: holds now" in done.stdout, done.stdout + done.stderr
                wait_for(third.events, 60.0, "events at the third")
            state = daemon.state_dir / "webhooks" / "default"
            assert sorted(path.name for path in state.glob("[!.]*")) == ["secured.json", "third.json"]

            # A standing that is broken is set aside, and said.
            webhooks = daemon.actor("webhooks")["pid"]
            os.kill(webhooks, signal.SIGSTOP)
            (state / "third.json").write_text("{")
            os.kill(webhooks, signal.SIGKILL)
            daemon.wait_event("webhook_standing_broken", 30.0, webhook="third")
            assert (state / "third.json.broken").read_text() == "{"
            assert secrets_seen(daemon) == []

            # One that is taken out is forgotten: it would be told of the meantime when it comes back.
            daemon.config_path.write_text(CHURN + hook(tmp_path, "secured", other.url))
            daemon.command("reload")
            daemon.wait_event("webhook_forgotten", 30.0, webhook="third")


@pytest.mark.timeout(120)
def test_a_template_is_rendered_in_a_confined_process_and_one_that_costs_too_much_is_named(
    tmp_path: Path,
) -> None:
    (tmp_path / "good.j2").write_text("{{ events | tojson }}")
    (tmp_path / "costly.j2").write_text("{{ 'a' * 999999999 }}")
    with WebhookReceiver(KEY) as good, WebhookReceiver(KEY) as never:
        config = CHURN + "".join(
            hook(tmp_path, name, receiver.url, body="template", template=f"{tmp_path}/{name}.j2")
            for name, receiver in (("good", good), ("costly", never))
        )
        with Daemon(config=config, history=True) as daemon:
            daemon.wait_fresh()
            failed = daemon.wait_event("webhook_failed", 60.0, webhook="costly")["detail"]
            assert failed == "cannot render costly.j2: it takes too much memory"
            wait_for(lambda: good.asked, 60.0, "what a template made")
            tried = daemon.command("webhook", "test", "good", f"--config={daemon.config_path}")
            assert tried.returncode == 0, tried.stdout + tried.stderr
            assert "takes too much memory" in status_of(daemon, "costly")["failure"]
            assert daemon.actor("webhooks")["refused_calls"] == {}
            assert daemon.events("actor_exited", actor="webhooks") == []
            assert never.asked == 0
