"""A real headscale for a test: its configuration, its life, and its command line. Loopback only, nothing from outside.

It is not built here: HEADSCALE in the environment names a binary (`make headscale-test`).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.host.free_ports import free_port
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SUFFIX", "TAG", "Headscale", "binary", "running_headscale"]

SUFFIX = "tail.netmap.example"
"""dns.base_domain: what its members call the tailnet."""
TAG = "tag:netmap-observer"
CAPABILITY = 113
"""The least capability version that it takes (headscale: hscontrol/capver)."""
START_LIMIT = 30.0
COMMAND_LIMIT = 30.0
DERP_MAP = """\
regions:
  900:
    regionid: 900
    regioncode: nowhere
    regionname: Nowhere
    nodes:
      - name: 900a
        regionid: 900
        hostname: 127.0.0.1
        ipv4: 127.0.0.1
        stunport: -1
        derpport: 9
"""
"""An unreachable relay: without any, headscale fetches a list of them."""


def binary() -> Path | None:
    """The headscale that was named; None: there is none. Raises RuntimeError for one that cannot be run."""
    named = os.environ.get("HEADSCALE", "")
    if not named:
        return None
    found = shutil.which(named)
    if found is None:
        raise RuntimeError(f"cannot run HEADSCALE={named}: it is no program that may be executed")
    return Path(found).absolute()


def configuration(directory: Path, ports: tuple[int, int, int]) -> dict[str, Any]:
    """What headscale 0.26 and later take; keys that one of them does not know are ignored there."""
    web, metrics, grpc = ports
    return {
        "server_url": f"http://127.0.0.1:{web}",
        "listen_addr": f"127.0.0.1:{web}",
        "metrics_listen_addr": f"127.0.0.1:{metrics}",
        "grpc_listen_addr": f"127.0.0.1:{grpc}",
        "grpc_allow_insecure": False,
        "unix_socket": str(directory / "headscale.sock"),
        "unix_socket_permission": "0700",
        "noise": {"private_key_path": str(directory / "noise.key")},
        "prefixes": {"v4": "100.64.0.0/10", "v6": "fd7a:115c:a1e0::/48", "allocation": "sequential"},
        "database": {"type": "sqlite", "sqlite": {"path": str(directory / "db.sqlite")}},
        "dns": {
            "magic_dns": True,
            "base_domain": SUFFIX,
            "override_local_dns": False,
            "nameservers": {"global": []},
        },
        "policy": {"mode": "file", "path": str(directory / "policy.json")},
        "derp": {
            "server": {"enabled": False},
            "urls": [],
            "paths": [str(directory / "derp.yaml")],
            "auto_update_enabled": False,
            "update_frequency": "24h",
        },
        "logtail": {"enabled": False},
        "disable_check_updates": True,
        "log": {"level": "info", "format": "text"},
    }


POLICY = {
    "tagOwners": {TAG: ["observer@"], "tag:canary": ["observer@"]},
    "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}],
}


class Headscale:
    """One server with a directory of its own. Started and stopped as often as a test likes, with the same keys."""

    def __init__(self, program: Path, directory: Path) -> None:
        self._program = program
        self._config = directory / "config.yaml"
        self.log = directory / "headscale.log"
        ports = (free_port(), free_port(), free_port())
        self.url = f"http://127.0.0.1:{ports[0]}"
        self._port = ports[0]
        # JSON is YAML; the relays' numbers have to be numbers, which JSON's keys are not.
        self._config.write_text(json.dumps(configuration(directory, ports)))
        (directory / "derp.yaml").write_text(DERP_MAP)
        (directory / "policy.json").write_text(json.dumps(POLICY))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as out:
            self._process = process = subprocess.Popen(
                [self._program, "serve", "--config", self._config],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=_environment(self._config.parent),
            )

        def answers() -> bool:
            if process.poll() is not None:
                tail = self.log.read_text(errors="replace")[-1500:]
                raise RuntimeError(f"cannot start headscale: it ended with {process.returncode}: {tail}")
            return self._answers()

        wait_for(answers, START_LIMIT, "headscale answers /key")

    def stop(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(15.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """SIGSTOP: its kernel goes on acknowledging."""
        assert self._process is not None, "started"
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def tell(self, *words: str) -> str:
        """What a command of its command line prints. Raises RuntimeError with what it said."""
        done = subprocess.run(
            [self._program, *words, "--config", self._config],
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
            check=False,
            env=_environment(self._config.parent),
        )
        if done.returncode != 0:
            raise RuntimeError(f"headscale {' '.join(words)}: {(done.stderr + done.stdout)[-800:]}")
        return done.stdout

    def ask(self, *words: str) -> Any:
        """The same as JSON."""
        return json.loads(self.tell(*words, "--output", "json"))

    def user(self, name: str) -> str:
        """The ID of a new user."""
        self.tell("users", "create", name)
        [found] = [user for user in self.ask("users", "list") if user["name"] == name]
        return str(found["id"])

    def key(self, *words: str) -> str:
        """A new auth key."""
        made = self.ask("preauthkeys", "create", "--expiration", "1h", *words)
        return str(made["key"])

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Every node by the name it is given."""
        listed = self.ask("nodes", "list") or []
        return {str(node.get("given_name") or node.get("givenName")): node for node in listed}

    def node_id(self, name: str) -> str:
        return str(self.nodes()[name]["id"])

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", f"/key?v={CAPABILITY}")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextlib.contextmanager
def running_headscale(program: Path, directory: Path) -> Iterator[Headscale]:
    """One that answers; ended on leaving."""
    server = Headscale(program, directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _environment(home: Path) -> dict[str, str]:
    """The environment without HEADSCALE_…, which would win over the file."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HEADSCALE")}
    return kept | {"HOME": str(home), "NO_COLOR": "1"}
