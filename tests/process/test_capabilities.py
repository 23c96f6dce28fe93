"""Root's privileges, and those a service manager gives to a user: who keeps which, over an exec."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap

from tests.support.availability import unavailable

KINDS = ("CapInh", "CapPrm", "CapEff", "CapAmb")
NET_BIND_SERVICE = 1 << 10
PROGRAM = """
    import json, os, subprocess, sys
    from pathlib import Path
    from netmap_actors.confinement import capabilities

    def held():
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return {kind: int(status[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb")}

    names, first = sys.argv[1].split(","), len(sys.argv) == 2
    capabilities.keep_only(names, for_children=first)
    told = [held()]
    if first:
        command = [sys.executable, "-P", "-c", os.environ["PROGRAM"], sys.argv[1], "child"]
        told += json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    print(json.dumps(told))
"""


def told(names: str, *prefix: str) -> list[dict[str, int]]:
    """What a process and a child of it hold once each has kept these."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        unavailable("giving capabilities away needs root and setpriv")
    program = textwrap.dedent(PROGRAM)
    command = [*prefix, sys.executable, "-P", "-c", program, names]
    done = subprocess.run(
        command,
        env={**os.environ, "PROGRAM": program},
        capture_output=True,
        check=True,
        text=True,
        timeout=30,
    )
    return json.loads(done.stdout)


def test_a_child_of_root_gets_what_its_parent_kept_and_no_more() -> None:
    parent, child = told("net_bind_service,setpcap")
    both = NET_BIND_SERVICE | 1 << 8
    assert parent == child == {"CapInh": 0, "CapPrm": both, "CapEff": both, "CapAmb": 0}


def test_what_a_service_manager_gave_to_a_user_reaches_the_child_that_needs_it_and_ends_there() -> None:
    """As with `User=` and `AmbientCapabilities=`: without root's rule at exec, only ambient ones pass."""
    user = ("setpriv", "--securebits=+noroot", "--inh-caps=-all,+net_bind_service,+sys_admin")
    parent, child = told("net_bind_service", *user, "--ambient-caps=-all,+net_bind_service,+sys_admin")
    one = NET_BIND_SERVICE
    assert parent == {"CapInh": one, "CapPrm": one, "CapEff": one, "CapAmb": one}
    assert child == {"CapInh": 0, "CapPrm": one, "CapEff": one, "CapAmb": 0}
