"""`config check` and `run` are of one opinion about a configuration: what one refuses the other does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netmap_supervisor.daemon.boot_records import state_slug
from tests.support.processes.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

BAD = 78
URL = "https://control.test"
FAR = f'[control]\nurl = "{URL}"\n'
PATHS = '[paths]\nstate_dir = "state"\nruntime_dir = "run"\n'
NEAR = '[control]\nurl = "http://127.0.0.1:1"\n'


def nothing(directory: Path) -> None:
    """As it was made."""


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
    (made / "server.key_secret").write_text("no key")


@pytest.mark.parametrize(
    ("config", "environment", "prepare", "bad"),
    [
        pytest.param(FAR, {}, nothing, False, id="a server far away"),
        pytest.param(
            "", {"ALL_PROXY": "gopher://p"}, nothing, False, id="the embedded server needs no proxy"
        ),
        pytest.param(NEAR, {"ALL_PROXY": "gopher://p"}, nothing, False, id="loopback needs no proxy"),
        pytest.param(FAR, {"ALL_PROXY": "socks5h://al:pw@127.0.0.1:1"}, nothing, False, id="socks"),
        pytest.param(FAR, {"ALL_PROXY": "gopher://p", "NO_PROXY": "test"}, nothing, False, id="excepted"),
        pytest.param(FAR, {"ALL_PROXY": "gopher://p"}, nothing, True, id="no proxy"),
        pytest.param(FAR, {"https_proxy": "http://p:0"}, nothing, True, id="no port"),
        pytest.param(FAR, {"NO_PROXY": "x" * 40_000}, nothing, True, id="more than a process is told"),
        pytest.param(FAR + 'ca_file = "missing"\n', {}, nothing, True, id="no CA file"),
        pytest.param(FAR + 'auth_key = "env:NOT_SET"\n', {}, nothing, True, id="no variable"),
        pytest.param(FAR + 'auth_key = "file:key"\n', {}, nothing, True, id="no key file"),
        pytest.param(FAR + 'auth_key = "file:key"\n', {}, empty_key, True, id="empty key"),
        pytest.param(FAR + 'auth_key = "file:key"\n', {}, several_words, True, id="words"),
        pytest.param(FAR, {}, open_sockets, True, id="a directory for everybody"),
        pytest.param(FAR, {}, broken_node, True, id="a broken node file"),
        pytest.param(
            FAR + '[subscribers]\nlisten = "tcp://127.0.0.1:39741"\n',
            {},
            no_curve_key,
            False,
            id="a broken CURVE key",
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
