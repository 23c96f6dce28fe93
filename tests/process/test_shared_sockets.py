"""Sockets for a group, in a user namespace as systemd's PrivateUsers= makes it: the service's own user and group."""

from __future__ import annotations

import grp
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.availability import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE_USER = 4242
LIMIT = 20.0
SCRIPT = """
import ctypes, os, socket, sys
from pathlib import Path
from netmap_actors.process.shared_sockets import prepare, share

directory, user, group, named = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
libc = ctypes.CDLL(None, use_errno=True)
os.setgroups([])
os.setresgid(group, group, group)
os.setresuid(user, user, user)
libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: after setuid(2) our files below /proc are root's
if libc.unshare(0x10000000):  # CLONE_NEWUSER
    sys.exit(f"no user namespace: {os.strerror(ctypes.get_errno())}")
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
os.umask(0o077)
prepare(directory, named)
listener = socket.socket(socket.AF_UNIX)
listener.bind(str(directory / "s"))
share(named, str(directory / "s"))
"""


def in_a_namespace(directory: Path, group: grp.struct_group, named: str) -> subprocess.CompletedProcess[str]:
    """Make and share a socket as a service of this group would, with `named` in its settings."""
    words = (str(directory / "pub"), str(SERVICE_USER), str(group.gr_gid), named)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    if "no user namespace" in done.stderr:
        unavailable(done.stderr.strip())
    return done


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    if os.geteuid() != 0:
        unavailable("to be a service's user needs root")
    # Others have no way into pytest's own directories.
    with tempfile.TemporaryDirectory(prefix="nm-", dir="/tmp") as directory:
        os.chown(directory, SERVICE_USER, SERVICE_USER)
        yield Path(directory)


def two_groups() -> tuple[grp.struct_group, grp.struct_group]:
    first, second = [group for group in grp.getgrall() if group.gr_gid != 0][:2]
    return first, second


@pytest.mark.netns
def test_the_services_own_group_is_let_in(runtime_dir: Path) -> None:
    own, _ = two_groups()
    os.chown(runtime_dir, SERVICE_USER, own.gr_gid)
    done = in_a_namespace(runtime_dir, own, own.gr_name)
    assert done.returncode == 0, done.stderr
    found = {
        path.name: (path.stat().st_gid, oct(path.stat().st_mode & 0o777)) for path in runtime_dir.rglob("*")
    }
    assert found == {"pub": (own.gr_gid, "0o750"), "s": (own.gr_gid, "0o660")}
    assert oct(runtime_dir.stat().st_mode & 0o777) == "0o710"


@pytest.mark.netns
def test_another_group_is_refused_with_what_to_write_into_the_unit(runtime_dir: Path) -> None:
    own, other = two_groups()
    done = in_a_namespace(runtime_dir, own, other.gr_name)
    assert done.returncode != 0
    assert f"Group={other.gr_name}" in done.stderr
    assert "PrivateUsers=" in done.stderr
