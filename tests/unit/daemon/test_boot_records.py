from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from netmap_actors.boot import (
    Boot,
    ConnectionSettings,
    DevControlSettings,
    PublisherSettings,
    WebhooksSettings,
    decode_settings,
)
from netmap_actors.webhooks.spec import WebhookSpec
from netmap_supervisor.config.layers import load
from netmap_supervisor.config.settings import RunSettings
from netmap_supervisor.connection.messages import ConnectionStart
from netmap_supervisor.daemon import run
from netmap_supervisor.daemon.boot_records import BootRecords, endpoints_of, state_slug
from netmap_supervisor.daemon.keyring import Keyring
from netmap_supervisor.supervision.messages import Spawn
from netmap_supervisor.system.held_environment import HeldEnvironment, environment_for
from netmap_supervisor.system.os_process import MAX_BOOT

ENVIRONMENT = {
    "PATH": "/bin",
    "LANG": "C.UTF-8",
    "LD_PRELOAD": "/clock.so",
    "https_proxy": "http://al:secret@proxy:3128",
    "THE_KEY": "tskey-auth-secret",
    "AWS_SECRET": "x",
    "NETMAP_SUPERVISOR_AUTH_KEY": "file:/k",
}


def records(settings: RunSettings, **changes) -> BootRecords:
    fields = {
        "settings": settings,
        "run": "00" * 8,
        "parent_pid": 1,
        "endpoints": endpoints_of(Path("/r/r-1"), Path("/r")),
        "control_url": settings.control_url,
        "auth_key": settings.auth_key,
        "secrets_of": lambda auth_key: {},
        "connection_dir": Path("/s/x"),
        "keyring": Keyring(),
    }
    return BootRecords(**(fields | changes))


def settings(**changes) -> RunSettings:
    return RunSettings(
        **({"control_url": "https://c.example", "state_dir": "/s", "runtime_dir": "/r"} | changes)
    )


def boot_of(made: BootRecords, spawn: Spawn) -> Boot:
    data = made.record(spawn, 3)
    assert len(data) < MAX_BOOT
    return msgspec.json.decode(data, type=Boot)


def connection(made: BootRecords, **start) -> ConnectionSettings:
    return decode_settings(
        boot_of(made, Spawn("control_connection", 3, ConnectionStart(**start))), ConnectionSettings
    )


ACTORS = ("control_connection", "publisher", "liveness", "dev_control", "http_endpoint", "webhooks")


@pytest.mark.parametrize("actor", [*ACTORS, "view"])
def test_no_child_has_a_secret_in_its_environment(actor) -> None:
    kept = environment_for(actor, ENVIRONMENT)
    assert set(kept) - {"RES_OPTIONS"} == {"PATH", "LANG", "LD_PRELOAD"}


def test_the_resolver_of_the_connection_is_patient_for_seconds_only() -> None:
    assert environment_for("control_connection", ENVIRONMENT)["RES_OPTIONS"] == "timeout:2 attempts:2"
    own = {**ENVIRONMENT, "RES_OPTIONS": "timeout:9"}
    assert environment_for("control_connection", own)["RES_OPTIONS"] == "timeout:9"
    assert environment_for("webhooks", own)["RES_OPTIONS"] == "timeout:9"


def test_the_view_sees_what_the_terminal_is_besides() -> None:
    terminal = {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80"}
    assert environment_for("view", ENVIRONMENT | terminal) == (
        environment_for("publisher", ENVIRONMENT) | terminal
    )


def test_only_who_connects_is_told_what_came_as_a_secret() -> None:
    environment = HeldEnvironment(dict(ENVIRONMENT))
    environment.hold("env:THE_KEY")
    made = records(
        settings(auth_key="env:THE_KEY", http_listen="127.0.0.1:1"), secrets_of=environment.secrets
    )
    for actor in ACTORS:
        data = made.record(Spawn(actor, 1, ConnectionStart()), 3)
        assert (b"tskey-auth-secret" in data) == (actor == "control_connection")
        assert (b"al:secret" in data) == (actor in {"control_connection", "webhooks"})
    told = connection(made)
    assert told.secrets.values == {name: ENVIRONMENT[name] for name in ("THE_KEY", "https_proxy")}
    assert "secret" not in repr(boot_of(made, Spawn("control_connection", 3, ConnectionStart())))
    assert "tskey" not in repr(told)


def test_a_connection_is_told_what_became_of_those_before_it() -> None:
    told = connection(records(settings()), register_first=True, had_session=True)
    assert (told.register_first, told.had_session, told.state_dir) == (True, True, "/s/x")
    assert not connection(records(settings())).register_first


def test_the_http_endpoint_alone_can_prove_sessions_and_each_of_its_processes_as_the_one_before() -> None:
    made = records(settings())
    first, next_ = (boot_of(made, Spawn("http_endpoint", number)).secrets for number in (1, 2))
    assert first.sessions == next_.sessions
    assert len({first.sessions, first.supervisor, next_.supervisor}) == 3
    assert first.sessions not in repr(first)
    assert boot_of(records(settings()), Spawn("http_endpoint", 1)).secrets.sessions != first.sessions, "a run"
    for actor in ("publisher", "liveness", "history", "webhooks"):
        assert boot_of(made, Spawn(actor, 1)).secrets.sessions == ""


def test_the_generation_is_the_incarnation() -> None:
    boot = boot_of(records(settings()), Spawn("control_connection", 7, ConnectionStart()))
    assert (boot.actor, boot.generation, boot.life_fd) == ("control_connection", 7, 3)


def test_each_is_told_the_sockets_it_was_handed() -> None:
    made = records(settings(), listeners_of=lambda actor: {f"ipc://{actor}": 8})
    for actor in ("publisher", "liveness"):
        assert boot_of(made, Spawn(actor, 1)).listeners == {f"ipc://{actor}": 8}


def test_renewed_settings_hold_for_the_next_process_and_the_url_stays() -> None:
    made = records(settings(auth_key="file:/old"))
    made.renew(settings(auth_key="file:/new", hostname="n", control_url="https://other.example"))
    told = connection(made)
    assert (told.auth_key, told.hostname, told.control_url) == ("file:/new", "n", "https://c.example")


def test_the_embedded_server_keeps_its_own_key_whatever_is_reloaded() -> None:
    own = settings(control_url="embedded")
    made = records(
        own,
        control_url="http://127.0.0.1:5",
        auth_key="file:/s/e/auth_key",
        server_dir=Path("/s/e"),
        listen_fd=9,
    )
    made.renew(settings(control_url="embedded", auth_key="file:/else"))
    told = connection(made)
    assert (told.control_url, told.auth_key, told.embedded) == (
        "http://127.0.0.1:5",
        "file:/s/e/auth_key",
        True,
    )
    server = decode_settings(boot_of(made, Spawn("dev_control", 1)), DevControlSettings)
    assert (server.state_dir, server.listen_fd, server.nodes) == ("/s/e", 9, own.dev_nodes)


def test_the_publisher_shares_the_silence_limit() -> None:
    boot = boot_of(records(settings(silence_timeout=7.0, socket_group="g")), Spawn("publisher", 1))
    told = decode_settings(boot, PublisherSettings)
    assert (told.silence_timeout, told.socket_group) == (7.0, "g")


def test_every_control_url_has_its_own_readable_directory() -> None:
    urls = [
        "https://controlplane.tailscale.com",
        "https://c.example:8443",
        "http://c.example:8443",
        "http://[::1]:80",
        "https://" + "x" * 60 + ".example" * 20,
    ]
    slugs = [state_slug(url) for url in urls]
    assert len(set(slugs)) == len(urls)
    assert slugs[1].startswith("c.example-8443-")
    for slug in slugs:
        assert len(slug) <= 100
        assert "/" not in slug
        assert not slug.startswith(".")


def test_webhooks_are_told_which_files_they_have_and_of_the_environment_the_proxies_alone(tmp_path) -> None:
    file = tmp_path / "config.toml"
    table = '[[webhook]]\nname = "hook{}"\nurl = "file:/u{}"\nsecret = "file:/k"\nnames = [{}]\n'
    names = ", ".join(f'"{"n" * 125}{number}"' for number in range(3))
    file.write_text("".join(table.format(number, number, names) for number in range(16)))
    hooks = load({}, {"HOME": "/h"}, config_file=str(file)).webhooks
    asked: list[str] = []

    def secrets_of(auth_key: str) -> dict[str, str]:
        asked.append(auth_key)
        return {"HTTPS_PROXY": "http://p" + "x" * 30_000}

    made = records(settings(webhooks=hooks), secrets_of=secrets_of)
    told = decode_settings(boot_of(made, Spawn("webhooks", 1)), WebhooksSettings)
    assert asked == [""], "no auth key"
    assert msgspec.json.decode(told.webhooks, type=list[WebhookSpec]) == list(hooks)
    assert set(told.files) == {"/k", *(f"/u{number}" for number in range(16))}
    assert told.directory == "/s/webhooks/default"


def test_a_start_without_webhooks_forgets_those_there_were(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "webhooks" / "default" / "oncall.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    with_one = settings(state_dir=str(tmp_path), webhooks=(WebhookSpec(name="other", url="file:/u"),))
    run._forget_webhooks(with_one)
    assert kept.exists(), "that is for their process, which knows what it was told to be"
    run._forget_webhooks(settings(state_dir=str(tmp_path), log_format="json"))
    assert not kept.exists()
    said = json.loads(capfd.readouterr().err)
    assert (said["event"], said["webhook"]) == ("webhook_forgotten", "oncall")
