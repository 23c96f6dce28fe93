"""`config check` and `run` are of one opinion about a configuration: what one refuses the other does not take."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from netmap_supervisor.boot_records import state_slug
from tests.availability import unavailable
from tests.system.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

BAD = 78
URL = "https://control.test"
FAR = f'[control]\nurl = "{URL}"\n'
PATHS = '[paths]\nstate_dir = "state"\nruntime_dir = "run"\n'
NEAR = '[control]\nurl = "http://127.0.0.1:1"\n'
LATER = pytest.mark.xfail(strict=True, reason="the check does not look at what the daemon's processes refuse")


def nothing(directory: Path) -> None:
    """As it was made."""


def strangers_state(directory: Path) -> None:
    if os.geteuid() != 0:
        unavailable("giving a directory away needs root")
    os.chown(directory / "state", 12345, -1)


def open_sockets(directory: Path) -> None:
    (directory / "run").chmod(0o777)


def broken_node(directory: Path) -> None:
    made = directory / "state" / state_slug(URL)
    made.mkdir(mode=0o700)
    (made / "node.json").write_text("{}")


def empty_key(directory: Path) -> None:
    (directory / "key").write_text("\n")


def several_words(directory: Path) -> None:
    (directory / "key").write_text("two words\n")


def no_curve_key(directory: Path) -> None:
    made = directory / "state" / "curve"
    made.mkdir(mode=0o700)
    (made / "server.key").write_text("no key")


@pytest.mark.parametrize(
    ("config", "environment", "prepare", "bad"),
    [
        pytest.param(FAR, {}, nothing, False, id="a server far away"),
        pytest.param(
            "", {"ALL_PROXY": "gopher://p"}, nothing, False, id="the embedded server needs no proxy"
        ),
        pytest.param(NEAR, {"ALL_PROXY": "gopher://p"}, nothing, False, id="loopback needs no proxy"),
        pytest.param(
            FAR, {"ALL_PROXY": "socks5h://al:pw@127.0.0.1:1"}, nothing, False, id="socks", marks=LATER
        ),
        pytest.param(FAR, {"ALL_PROXY": "gopher://p", "NO_PROXY": "test"}, nothing, False, id="excepted"),
        pytest.param(FAR, {"ALL_PROXY": "gopher://p"}, nothing, True, id="no proxy", marks=LATER),
        pytest.param(FAR, {"https_proxy": "http://p:0"}, nothing, True, id="no port", marks=LATER),
        pytest.param(FAR + 'ca_file = "missing"\n', {}, nothing, True, id="no CA file"),
        pytest.param(FAR + 'auth_key = "env:NOT_SET"\n', {}, nothing, True, id="no variable", marks=LATER),
        pytest.param(FAR + 'auth_key = "file:key"\n', {}, nothing, True, id="no key file", marks=LATER),
        pytest.param(FAR + 'auth_key = "file:key"\n', {}, empty_key, True, id="empty key", marks=LATER),
        pytest.param(FAR + 'auth_key = "file:key"\n', {}, several_words, True, id="words", marks=LATER),
        pytest.param(FAR, {}, strangers_state, True, id="a stranger's directory", marks=LATER),
        pytest.param(FAR, {}, open_sockets, True, id="a directory for everybody", marks=LATER),
        pytest.param(FAR, {}, broken_node, True, id="a broken node file", marks=LATER),
        pytest.param(
            FAR + '[subscribers]\nlisten = "tcp://127.0.0.1:39741"\n',
            {},
            no_curve_key,
            True,
            id="a broken CURVE key",
            marks=LATER,
        ),
    ],
)
def test_what_run_refuses_the_check_refuses_and_nothing_else(
    config: str,
    environment: dict[str, str],
    prepare: Callable[[Path], None],
    bad: bool,
) -> None:
    one = Daemon(config=PATHS + config, env=environment)
    for made in (one.state_dir, one.runtime_dir):
        made.mkdir(mode=0o700)
    prepare(one.directory)
    before = {path: path.read_bytes() for path in one.directory.rglob("*") if path.is_file()}
    told = one.run_free("config", "check", f"--config={one.config_path}")
    after = {path: path.read_bytes() for path in one.directory.rglob("*") if path.is_file()}
    with one:
        if bad:
            assert one.wait(20.0) == BAD
        else:
            one.wait_event("up")
        assert told.returncode == (BAD if bad else 0), told.stderr
        assert "Traceback" not in told.stderr
        assert before == after, "a check makes nothing"
        if bad:
            # In the same words, whoever says it.
            last = one.events("stopped")[-1:]
            why = last[0]["detail"] if last else one.log_path.read_text().splitlines()[-1]
            assert why.splitlines()[-1].split(": ", 1)[-1].strip() in told.stderr
