"""A real client, driven by a program of ours that prints what it believes: tests/interop/go/tsnet_client says how."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

from tests.support.processes.daemon import clean_environment
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LOGIN_LIMIT = 30.0
END_LIMIT = 20.0


class ReportingClient:
    """One running client: what it has printed of what it knows."""

    def __init__(self, program: Path, directory: Path, environment: Mapping[str, str]) -> None:
        self._printed, self._log = directory / "printed", directory / "log"
        with self._printed.open("wb") as out, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program], stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environment
            )

    def said(self, event: str) -> list[dict[str, Any]]:
        """All it has said of login, self or peers, the oldest first."""
        assert self._process.poll() is None, self._last_words()
        lines = self._printed.read_text().split("\n")[:-1]  # the last one is still being written
        return [found for found in map(json.loads, lines) if found["event"] == event]

    def own(self) -> dict[str, Any]:
        """Its own node; empty before its first map."""
        return next(reversed(self.said("self")), {})

    def peers(self) -> dict[str, dict[str, Any]]:
        """The peers by the first label of their names."""
        last: dict[str, Any] = next(reversed(self.said("peers")), {"peers": []})
        return {peer["name"].partition(".")[0]: peer for peer in last["peers"]}

    def wait_login_url(self, other_than: str = "") -> str:
        """The address it asks its user to visit."""
        return wait_for(
            lambda: next((it["url"] for it in self.said("login") if it["url"] != other_than), None),
            LOGIN_LIMIT,
            "it prints where to log in",
        )

    def stop(self) -> None:
        """SIGTERM, which has to end it well."""
        self._process.terminate()
        try:
            self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.returncode == 0, self._last_words()

    def _last_words(self) -> str:
        return self._log.read_text()[-2000:]


@contextlib.contextmanager
def running_client(
    program: Path, directory: Path, url: str, hostname: str, auth_key: str | None = None
) -> Iterator[ReportingClient]:
    """One that keeps what it stores in `directory`, also for its next start; stopped on leaving."""
    directory.mkdir(exist_ok=True)
    given = {"NETMAP_CHECK_URL": url, "NETMAP_CHECK_DIR": str(directory), "NETMAP_CHECK_HOSTNAME": hostname}
    if auth_key is not None:
        key_file = directory / "auth_key"
        key_file.write_text(auth_key)
        given["NETMAP_CHECK_AUTH_KEY_FILE"] = str(key_file)
    client = ReportingClient(program, directory, clean_environment(directory, given))
    try:
        yield client
    finally:
        client.stop()
