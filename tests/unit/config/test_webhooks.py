"""The tables [[webhook]] of the file: what one says, what is refused and where, and how they are shown again."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from netmap_actors.webhooks.spec import EVENTS, BodyForm, WebhookSpec
from netmap_supervisor.cli import commands
from netmap_supervisor.cli.config.check import doubts
from netmap_supervisor.config import documents, webhooks
from netmap_supervisor.config.layers import BadConfiguration, load

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
[[webhook]]
name = "oncall"
url = "file:oncall.url"
secret = "credential:oncall_key"
events = ["node_offline", "node_online"]
tags = ["tag:web"]
names = ["db-*"]
hold_down = "5m"
body = "tailscale"
retry_for = "2d"
events_per_minute = 30
events_per_body = 5
plaintext = true

[[webhook]]
name = "chat"
url = "file:/etc/chat.url"
body = "slack"
"""


def loaded(tmp_path: Path, text: str, **environment: str) -> tuple[WebhookSpec, ...]:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load({}, {"HOME": "/h", **environment}, config_file=str(file)).webhooks


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(BadConfiguration) as refused:
        loaded(tmp_path, text)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in refused.value.problems]


def test_a_table_is_a_webhook_and_what_it_leaves_out_has_its_default(tmp_path: Path) -> None:
    oncall, chat = loaded(tmp_path, WHOLE, CREDENTIALS_DIRECTORY="/run/credentials/unit")
    assert oncall == WebhookSpec(
        name="oncall",
        url=f"file:{tmp_path}/oncall.url",
        secret="file:/run/credentials/unit/oncall_key",
        events=("node_offline", "node_online"),
        tags=("tag:web",),
        names=("db-*",),
        hold_down=300.0,
        body=BodyForm.TAILSCALE,
        retry_for=2 * 86_400.0,
        events_per_minute=30,
        events_per_body=5,
        plaintext=True,
    )
    assert chat == WebhookSpec(name="chat", url="file:/etc/chat.url", body=BodyForm.SLACK)


def test_a_credential_outside_of_a_unit_is_told_of_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[[webhook]]\nname = "a"\nurl = "credential:hook"\n')
    found = load({}, {"HOME": "/h"}, config_file=str(file))
    assert found.webhooks[0].url == "credential:hook"
    assert any("webhook a.url is a credential of the unit" in warning for warning in found.warnings)


def test_a_file_that_all_may_read_or_nobody_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("https://example.com/s3cr3t")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "config.toml").write_text(
        '[[webhook]]\nname = "a"\nurl = "file:open"\nsecret = "file:missing"\n'
    )
    warnings = "\n".join(load({}, {"HOME": "/h"}, config_file=str(tmp_path / "config.toml")).warnings)
    assert "open of webhook a.url can be read by everybody; chmod 600 it" in warnings
    assert "missing of webhook a.secret cannot be read: there is no such file" in warnings


@pytest.mark.parametrize("there", [True, False])
def test_a_template_that_nothing_can_make_a_body_of_is_told_of(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.j2").write_text("x")
    (tmp_path / "config.toml").write_text(
        '[[webhook]]\nname = "a"\nurl = "file:u"\nbody = "template"\ntemplate = "t.j2"\n'
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if there else None)
    warnings = "\n".join(load({}, {"HOME": "/h"}, config_file=str(tmp_path / "config.toml")).warnings)
    assert ("Jinja2 is not installed" in warnings) is not there


def test_who_tests_a_webhook_without_any_learns_where_one_belongs(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    named = ["webhook", "test", "a", "--runtime-dir=/nonexistent/run"]

    def refused(*more: str) -> str:
        nowhere = {"HOME": str(tmp_path), "NETMAP_SUPERVISOR_CONFIG": None}
        return str(CliRunner(env=nowhere).invoke(commands, [*named, *more]).exception)

    file = f"{tmp_path}/config.toml"
    assert refused(f"--config={file}") == f"cannot test 'a': no daemon runs, and {file} has no [[webhook]]"
    assert refused().endswith("no daemon runs, and there is no configuration file; name one with --config")


ONE = '[[webhook]]\nname = "a"\nurl = "file:/u"\n'


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ('[[webhook]]\nurl = "file:/u"\n', "webhook[1]", "it has no name"),
        (ONE + '[[webhook]]\nname = "b"\n', "webhook[2]", "it has no url"),
        (ONE + ONE, "webhook[2].name", "there is another webhook of the name 'a'"),
        (ONE + 'colour = "red"\n', "webhook[1]", "there is no webhook.colour; it has name, url"),
        (ONE + 'events = ["node_oflline"]\n', "webhook[1].events", "'node_oflline' is none of node_online"),
        (ONE + 'tags = ["web"]\n', "webhook[1].tags", "'web' is not a tag"),
        (ONE + "names = 3\n", "webhook[1].names", "an array of texts"),
        (ONE + 'hold_down = "3 days"\n', "webhook[1].hold_down", "is not a duration"),
        (ONE + 'body = "teams"\n', "webhook[1].body", "'teams' is none of tailscale, slack"),
        (ONE + 'body = "template"\n', "webhook[1]", "template must be given"),
        (ONE.replace('"a"', '"A b"'), "webhook[1]", "its name must be"),
        ('[webhook]\nname = "a"\n', "webhook", "it has to be an array of tables: [[webhook]]"),
        (ONE.replace('"a"', '"x{}"') * 17, "webhook", "there are 17, and 16 are the most"),
        (
            ONE + f"names = {json.dumps(['n' * 4000 + str(i) for i in range(4)])}\n",
            "webhook",
            "12288 are the",
        ),
        (ONE + "[history]\nkeep = false\n", "", "cannot tell webhooks anything without a history"),
        ('[[webhok]]\nname = "a"\n', "", "there is no [webhok]; did you mean [[webhook]]?"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, where: str, why: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1, found
    assert found[0].startswith(f"config.toml: {where}" if where else "config.toml")
    assert why in found[0]


@pytest.mark.parametrize("slip", ["", "file:", "file: ", "credential:"])
@pytest.mark.parametrize("key", ["url", "secret"])
def test_a_secret_itself_is_refused_and_not_repeated(tmp_path: Path, key: str, slip: str) -> None:
    given = f"{slip}https://hooks.example.com/services/T0/s3cr3t"
    text = f'[[webhook]]\nname = "a"\n{key} = "{given}"\n' + ('url = "file:/u"\n' if key == "secret" else "")
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert f"webhook[1].{key}: it has to say where it is read from" in found[0]
    assert "example" not in found[0]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://hooks.example.com/s3cr3t", ""),
        ("http://hooks.example.com/s3cr3t", "it is http to another machine"),
        ("hooks.example.com/s3cr3t", "it does not begin with https:// or http://"),
        ("two words", "it has to be one word, alone"),
        ("", "it is empty"),
    ],
)
def test_config_check_looks_at_the_url_and_does_not_show_it(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "u").write_text(url)
    (tmp_path / "u").chmod(0o600)
    (tmp_path / "config.toml").write_text('[[webhook]]\nname = "a"\nurl = "file:u"\n')
    found = load({}, {"HOME": str(tmp_path)}, config_file=str(tmp_path / "config.toml"))
    told = "\n".join(doubts(found.run_settings(log_format="json")))
    assert said in told
    assert bool(told) == bool(said)
    assert "example" not in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{{ events[0].message }} {% if events[0].detail.none.such %}x{% endif %}", ""),
        (b"{% if %}", "cannot render t.j2: line 1: Expected an expression"),
        (b"\n{{ x | no_such_filter }}", "cannot render t.j2: line 2: No filter named 'no_such_filter'"),
        (b"\xff", "t.j2: it is not text in UTF-8"),
        (b"x" * (256 << 10) + b"x", "t.j2: it has over 262144 bytes"),
        (b"{{ 'a' * 9999999999 }}", ""),
    ],
    ids=["fine", "syntax", "filter", "encoding", "size", "costly"],
)
def test_config_check_compiles_templates(tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "t.j2").write_bytes(text)
    (tmp_path / "u").write_text("https://hooks.example.com/s3cr3t")
    (tmp_path / "u").chmod(0o600)
    table = '[[webhook]]\nname = "a"\nurl = "file:u"\nbody = "template"\ntemplate = "t.j2"\n'
    (tmp_path / "config.toml").write_text(table)
    found = load({}, {"HOME": str(tmp_path)}, config_file=str(tmp_path / "config.toml"))
    told = [*found.warnings, *doubts(found.run_settings(log_format="json"))]
    assert (len(told) == 1) == bool(said), told
    assert said in "".join(told)
    assert not said or told[0].startswith("webhook a.template: cannot ")


def test_it_has_neither_flag_nor_variable(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(ONE)
    found = load(
        {}, {"HOME": "/h", "NETMAP_SUPERVISOR_WEBHOOK": "x"}, config_file=str(tmp_path / "config.toml")
    )
    assert [one.name for one in found.webhooks] == ["a"]
    assert any("NETMAP_SUPERVISOR_WEBHOOK" in warning for warning in found.warnings)


def test_what_is_shown_can_be_read_again(tmp_path: Path) -> None:
    before = loaded(tmp_path, WHOLE)
    runner = CliRunner()
    shown = runner.invoke(commands, ["config", "show", "--origin", f"--config={tmp_path}/config.toml"])
    assert shown.exit_code == 0, shown.output
    text = "\n".join(
        line for line in shown.stdout.splitlines() if not line.startswith(("ca_file", "hostname"))
    )
    (tmp_path / "again").mkdir()
    assert loaded(tmp_path / "again", text[text.index("[[webhook]]") :]) == before
    as_json = runner.invoke(commands, ["config", "show", "--json", f"--config={tmp_path}/config.toml"])
    assert [one["name"] for one in json.loads(as_json.stdout)["webhook"]] == ["oncall", "chat"]


def test_the_documents_name_every_key(tmp_path: Path) -> None:
    keys = set(webhooks.rows())
    assert keys == set(WebhookSpec.__struct_fields__)
    properties = documents.schema()["properties"]["webhook"]["items"]["properties"]
    assert set(properties) == keys
    assert set(properties["events"]["items"]["enum"]) == set(EVENTS)
    example = documents.example().partition("# [[webhook]]\n")[2]
    lines = [line.removeprefix("#   ") for line in example.splitlines() if line.startswith("#   ")]
    table = "\n".join(line for line in lines if not line.startswith("#"))
    assert set(tomllib.loads(table)) == keys
    (tmp_path / "config.toml").write_text(f"[[webhook]]\n{table}\n".replace('template = ""\n', ""))
    written = load({}, {"HOME": "/h"}, config_file=str(tmp_path / "config.toml")).webhooks[0]
    assert msgspec.structs.replace(written, secret="") == WebhookSpec(name="oncall", url=written.url)
