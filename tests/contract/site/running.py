"""Runs the shell and Python blocks of a page, in their order, in one shell with directories of its own.

Those that want a machine of their own are run by root in namespaces, with the paths and addresses the page has.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.contract.site.blocks import Block, commands, goes_on, ports_of, with_ports
from tests.contract.test_house import ROOT
from tests.support.host.free_ports import free_port
from tests.support.processes.daemon import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run_page"]

NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
MACHINE = Path(__file__).with_name("machine.sh")
LIMIT = 110.0
"""Seconds for a page."""
PRELUDE = """\
set -euo pipefail -m
# What would set the directory up, which is ours already.
make() { command make -o .venv/.run-ready -o .venv/.dev-ready "$@"; }
export -f make  # for the other terminals
number=0 pids=() terminals=$PWD/terminals
end() {
  status=$?
  [ $status = 0 ] || tail -n 20 -v "$terminals"/* >&2
  for pid in "${pids[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  [ ${#pids[@]} = 0 ] || wait "${pids[@]}" || true  # they have files in the directory
  exit $status
}
trap end EXIT
# Start what goes on, and wait until it has said PATTERN, or has ended well.
terminal() {
  pattern=$1; shift
  number=$((number + 1)); shows=$terminals/$number
  bash -euc "$1" >"$shows" 2>&1 </dev/null & pids+=($!)
  for _ in {1..400}; do
    [ -n "$pattern" ] || return 0
    grep -q -- "$pattern" "$shows" && return
    if ! kill -0 "${pids[-1]}" 2>/dev/null; then wait "${pids[-1]}"; return; fi
    sleep 0.1
  done
  echo "this shows no '$pattern': $1" >&2; return 1
}
# Wait until the daemon has written down who is there.
remembered() {
  for _ in {1..50}; do netmap-supervisor history --json 2>/dev/null | grep -q stable_id && return; sleep 0.2; done
  echo "the history knows no node" >&2; return 1
}
# It comes true.
then_() {
  for _ in {1..200}; do eval "$1" && return; sleep 0.2; done
  echo "this stays untrue: $1" >&2; return 1
}
shown() {
  for _ in {1..200}; do cat "$terminals"/* | grep -qF -- "$1" && return; sleep 0.1; done
  echo "no terminal shows: $1" >&2; return 1
}
"""


def run_page(found: list[Block], directory: Path, *, machine: bool = False) -> None:
    """Fails with what was printed. `directory` must have a short name: sockets lie below it."""
    if not machine:
        found = with_ports(found, {port: free_port() for port in ports_of(found)})
        found = [one._replace(text=one.text.replace("/tmp/", f"{directory}/tmp/")) for one in found]
    for name in ("terminals", "tmp"):
        (directory / name).mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in {".git", "key"}:
            (directory / entry.name).symlink_to(entry)
    before = (PRELUDE, MACHINE.read_text()) if machine else (PRELUDE,)
    script = "".join(line + "\n" for line in (*before, *_script(found, directory)))
    places = {
        "NETMAP_SUPERVISOR_RUNTIME_DIR": str(directory / "r"),
        "NETMAP_SUPERVISOR_STATE_DIR": str(directory / "s"),
        "NETMAP_DEV_CONTROL_SOCKET": str(directory / "c.sock"),
        "XDG_CONFIG_HOME": str(directory / "xdg"),
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = clean_environment(directory, {"PATH": path} | ({} if machine else places))
    with subprocess.Popen(
        [*(NAMESPACES if machine else ()), "bash", "-c", script],
        cwd=directory,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            said, _ = shell.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            # What makes namespaces ignores the one; with the other it takes along whatever is in them.
            os.kill(shell.pid, signal.SIGKILL if machine else signal.SIGTERM)
            said, _ = shell.communicate(timeout=10)
            raise AssertionError(f"cannot run the page in {LIMIT:g} s:\n{said[-3000:]}") from None
    assert shell.returncode == 0, said[-6000:]


def _script(found: list[Block], directory: Path) -> Iterator[str]:
    has_daemon = False
    for block in found:
        for program in block.marks.get("a machine of its own", "").split():
            yield f"echo '--- {program}'; {program}"
        if "save" in block.marks:
            yield f"mkdir -p {shlex.quote(str(Path(block.marks['save']).parent))}"
            (directory / "tmp" / f"block-{block.line}").write_text(block.text)
            yield f"cp {directory}/tmp/block-{block.line} {shlex.quote(block.marks['save'])}"
        if "a daemon runs" in block.marks and not has_daemon:
            has_daemon = True
            yield _terminal(f"netmap-supervisor run {block.marks['a daemon runs']}")
            yield "remembered"
        if "shown" in block.marks:
            yield from (f"shown {shlex.quote(line)}" for line in block.text.splitlines())
        if block.is_run and "save" not in block.marks:
            yield from _commands(block, directory)
        if "then" in block.marks:
            yield f"then_ {shlex.quote(block.marks['then'])}"


def _commands(block: Block, directory: Path) -> Iterator[str]:
    yield f"echo '--- {block.where}'"
    if block.language == "python":
        (directory / "tmp" / f"block-{block.line}.py").write_text(block.text)
        yield _terminal(f"python -u {directory}/tmp/block-{block.line}.py")
        return
    typed = f" <<<{shlex.quote(block.marks['typed'])}" if "typed" in block.marks else ""
    for command in commands(block):
        if "in a terminal of its own" in block.marks or goes_on(command):
            yield _terminal(command)
        else:
            yield f"echo {shlex.quote('$ ' + command)}\n{{ {command}\n}}{typed}"


def _terminal(command: str) -> str:
    pattern = (
        "first_netmap\\|netmap of" if "run" in command.split()[:3] else "" if "--output" in command else "."
    )
    return f"terminal {shlex.quote(pattern)} {shlex.quote(command)}"
