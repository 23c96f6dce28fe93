from __future__ import annotations

import subprocess
import sys

SESSION = """
import sys
import msgspec
from netmap_actors.control_connection.actor import ControlConnection

if sys.argv[1] == "preloaded":
    ControlConnection.preload()
before, made = set(sys.modules), []
make = msgspec.json.Decoder
msgspec.json.Decoder = lambda *arguments, **options: made.append(arguments) or make(*arguments, **options)

from tests.support.servers.scripted_control import FIRST_MAP, ScriptedControl

control = ScriptedControl().start()
control.send_map(FIRST_MAP)
assert control.session.had_map
libraries = ("cryptography", "h2", "hpack", "hyperframe", "h11", "backports", "compression", "_cffi_backend")
print(sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in libraries), len(made))
"""


def run_session(*, preloaded: bool) -> str:
    command = [sys.executable, "-P", "-c", SESSION, "preloaded" if preloaded else "not"]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": "."}).stdout


def test_a_session_loads_no_library_and_builds_no_decoder_where_that_was_done_before_the_fork() -> None:
    assert run_session(preloaded=True) == "[] 0\n"
    assert run_session(preloaded=False) != "[] 0\n", "there is something to do beforehand"
