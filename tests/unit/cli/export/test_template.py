"""The process that renders: its directory, its limits, and what is said when it fails."""

from __future__ import annotations

import errno
import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.cli.export import template
from netmap_supervisor.cli.export.template import check_template, rendered

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
VALUES: dict[str, Any] = {"name": "web", "peers": [], "tags": [], "users": []}


def failure(path: Path, text: str, processor_time: int = 10) -> str:
    path.write_text(text)
    with pytest.raises(CommandFailed) as caught:
        rendered(path, VALUES, processor_time=processor_time)
    return str(caught.value)


def test_a_template_is_rendered_with_those_of_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "parts" / "main.j2"
    (path.parent / "below").mkdir(parents=True)
    path.write_text("{% include 'below/part' %} é {{ name }}\n")
    (path.parent / "below" / "part").write_text("part")
    assert rendered(path, VALUES) == "part é web\n"
    link = tmp_path / "link.j2"
    link.symlink_to(path)
    assert rendered(link, VALUES) == "part é web\n"


@pytest.mark.parametrize("name", ["../secret", "link", "/etc/hostname", "none"])
def test_no_file_outside_its_directory_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "link").symlink_to(tmp_path / "secret")
    path = tmp_path / "parts" / "main.j2"
    assert (
        failure(path, f"{{% include '{name}' %}}")
        == f"cannot render main.j2: there is no {name} in its directory"
    )


def test_a_template_that_runs_on_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "loop.j2"
    assert failure(path, ENDLESS, 1) == f"cannot render {path}: it takes more than 1 s of processor time"


def test_a_process_that_does_not_end_or_cannot_begin_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "main.j2"
    monkeypatch.setattr(template, "PATIENCE", 0.3)
    assert failure(path, ENDLESS) == f"cannot render {path}: it has not ended within 0.3 s"

    def no_fork() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", no_fork)
    assert failure(path, "x") == (
        f"cannot render {path}: no process can be started: Resource temporarily unavailable"
    )


@pytest.mark.parametrize("text", ["{{ 'x' * 99999999999 }}", "{{ 'x' | center(99999999999) }}"])
def test_a_template_that_takes_all_memory_is_ended(tmp_path: Path, text: str) -> None:
    path = tmp_path / "much.j2"
    assert failure(path, text) == f"cannot render {path}: it takes too much memory"


def test_what_is_no_template_is_said(tmp_path: Path) -> None:
    path = tmp_path / "main.j2"
    assert failure(path, "{{ no }}") == "cannot render main.j2: line 1: 'no' is undefined"
    path.write_bytes(b"\xff")
    with pytest.raises(CommandFailed, match=r"cannot render main\.j2: it is not UTF-8"):
        rendered(path, VALUES)
    with pytest.raises(CommandFailed, match=f"cannot render {tmp_path}/none: No such file"):
        check_template(tmp_path / "none")
    path.write_bytes(b"x" * (4 << 20) + b"x")
    with pytest.raises(CommandFailed, match=r"cannot render main\.j2: it is larger than 4 MiB"):
        rendered(path, VALUES)


def test_without_jinja2_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "x.j2").touch()
    with pytest.raises(CommandFailed) as caught:
        check_template(tmp_path / "x.j2")
    assert str(caught.value) == (
        "cannot render: Jinja2 is not installed; pip install 'netmap-supervisor[template]'"
    )


def test_only_the_process_that_renders_loads_jinja2_and_a_format_only_what_is_its_own() -> None:
    program = "import netmap_supervisor.cli.export.command, sys; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    loaded = set(shown.stdout.split())
    assert "netmap_supervisor.cli.export.formats" in loaded
    rooms = ("ansible", "hosts", "prometheus_sd", "template_sandbox", "template_values", "zone")
    assert not loaded & {"jinja2", *(f"netmap_actors.exports.{room}" for room in rooms)}
