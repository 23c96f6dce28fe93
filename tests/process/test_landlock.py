"""What a confined process can still open, and which files each actor asks for."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from netmap_actors.boot import Boot, Endpoints, HttpSettings, PublisherSettings
from netmap_actors.http_endpoint import HttpEndpoint
from netmap_actors.liveness import Liveness
from netmap_actors.process import landlock
from netmap_actors.publisher import Publisher
from tests.process import pairs

PROGRAM = """
    import json, sys, threading
    from pathlib import Path
    from netmap_actors.process import confinement, landlock

    secret, readable, writable = map(Path, sys.argv[1:])
    confinement.forbid_new_privileges()
    told = {"confined": landlock.confine(landlock.Reach((readable,), (writable,)))}

    def attempt(name, work):
        try:
            work()
            told[name] = "done"
        except PermissionError:
            told[name] = "refused"

    attempt("read secret", (secret / "key").read_text)
    attempt("list secret", lambda: list(secret.iterdir()))
    attempt("write secret", lambda: (secret / "new").write_text("x"))
    attempt("read readable", (readable / "key").read_text)
    attempt("write readable", lambda: (readable / "new").write_text("x"))
    attempt("write writable", lambda: (writable / "new").write_text("x"))
    attempt("link out", lambda: (writable / "link").symlink_to(secret / "key"))
    attempt("read through the link", lambda: (writable / "link").read_text())
    attempt("load a module", lambda: __import__("colorsys"))
    attempt("ask the kernel", Path("/proc/self/statm").read_text)
    thread = threading.Thread(target=lambda: attempt("in a thread", (secret / "key").read_text))
    thread.start()
    thread.join()
    print(json.dumps(told))
"""


def test_what_was_not_asked_for_is_out_of_reach(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("secret", "readable", "writable")]
    for place in places:
        place.mkdir()
        (place / "key").write_text("x")
    command = [sys.executable, "-P", "-c", textwrap.dedent(PROGRAM), *map(str, places)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    refused = {
        "read secret",
        "list secret",
        "write secret",
        "write readable",
        "read through the link",
        "in a thread",
    }
    # A kernel without Landlock refuses nothing, and the process says so.
    expected = refused if told.pop("confined") else set()
    assert {name for name, outcome in told.items() if outcome == "refused"} == expected


STATE, RUNTIME = Path("/var/lib/nms"), Path("/run/nms")


def boot(actor: str, settings: msgspec.Struct | None = None) -> Boot:
    inside = {name: f"ipc://{RUNTIME}/r-1/{name}.sock" for name in ("supervisor", "liveness", "publisher")}
    public = {name: f"ipc://{RUNTIME}/pub/{name}.sock" for name in ("updates", "requests")}
    encoded = msgspec.Raw(msgspec.json.encode(settings)) if settings is not None else msgspec.Raw(b"{}")
    return Boot(
        run="0" * 16,
        actor=actor,
        incarnation=1,
        parent_pid=1,
        life_fd=0,
        endpoints=Endpoints(**inside, **public),
        secrets=pairs.secrets_of(actor),
        settings=encoded,
    )


@pytest.mark.parametrize(
    "reach",
    [
        Liveness.reach(boot("liveness")),
        Publisher.reach(boot("publisher", PublisherSettings())),
        HttpEndpoint.reach(boot("http_endpoint", HttpSettings(listen="127.0.0.1:9641"))),
        HttpEndpoint.reach(boot("http_endpoint", HttpSettings(listen=f"unix:{RUNTIME}/http.sock"))),
    ],
)
def test_who_does_not_need_the_state_directory_does_not_ask_for_it(reach: landlock.Reach) -> None:
    for path in (*reach.readable, *reach.writable):
        assert path.is_relative_to(RUNTIME)


def test_a_publisher_for_other_machines_may_read_their_keys_and_nothing_beside_them(tmp_path: Path) -> None:
    settings = PublisherSettings(listen="tcp://127.0.0.1:9740", curve_dir=str(tmp_path / "curve"))
    assert Publisher.reach(boot("publisher", settings)).readable == (tmp_path / "curve",)
    assert (tmp_path / "curve" / "server.key_secret").exists(), "made while it may still write there"
