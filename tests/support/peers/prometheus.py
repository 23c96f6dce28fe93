"""A real Prometheus for a test, on loopback of its own network, with its data in a directory of the test."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.support.availability import unavailable
from tests.support.host.free_ports import free_address
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Prometheus", "running_prometheus"]

START_LIMIT = 30.0


class Prometheus:
    """What one Prometheus knows."""

    def __init__(self, address: str, prefix: Sequence[str] = ()) -> None:
        self._address = address
        self._prefix = prefix

    def ready(self) -> bool:
        """Whether it answers queries."""
        if self._prefix:
            return self._curl("/-/ready").returncode == 0
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5.0) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples that an expression has now: each with `metric` (labels) and `value` (time, text)."""
        result = self._ask("query", query=expression)["result"]
        assert isinstance(result, list), expression
        return result

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, with `name`, `health` and what it lacks as `lastError`."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, each with `labels`, `health` and `lastError`."""
        found: list[dict[str, Any]] = self._ask("targets", state="active")["activeTargets"]
        return found

    def _curl(self, place: str) -> subprocess.CompletedProcess[str]:
        """From where it is."""
        words = ("curl", "-sS", "--fail-with-body", "-m", "10", f"http://{self._address}{place}")
        return subprocess.run([*self._prefix, *words], capture_output=True, text=True, check=False)

    def _ask(self, what: str, **words: str) -> dict[str, Any]:
        """Raises AssertionError with what Prometheus says is wrong."""
        place = f"/api/v1/{what}?{urllib.parse.urlencode(words)}"
        if self._prefix:
            done = self._curl(place)
            assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
            told: dict[str, Any] = json.loads(done.stdout)["data"]
            return told
        url = f"http://{self._address}{place}"
        try:
            with urllib.request.urlopen(url, timeout=10.0) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
                return data
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from None


@contextlib.contextmanager
def running_prometheus(directory: Path, config: str, prefix: Sequence[str] = ()) -> Iterator[Prometheus]:
    """`config`: the text of prometheus.yml; relative paths in it start at `directory`. `prefix`: of its command."""
    program = shutil.which("prometheus")
    if program is None:
        unavailable("scraping needs prometheus")
    (directory / "prometheus.yml").write_text(config)
    address = free_address()
    words = (
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address={address}",
        "--log.level=warn",
    )
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [*prefix, program, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        asked = Prometheus(address, prefix)

        def ready() -> bool:
            assert process.poll() is None, (directory / "prometheus.log").read_text()
            return asked.ready()

        wait_for(ready, START_LIMIT, "a Prometheus that is ready")
        yield asked
    finally:
        process.terminate()
        process.wait(30.0)
