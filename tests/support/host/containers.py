"""podman and docker-compose, with everything they start in namespaces that end with the test.

There is no network inside, no cgroup is made, and what the engine keeps lies in memory. What images are made from is
Debian with Python, and wheels; both are made once and kept outside the tree.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.debian import PATH, SUITE, kept, make_root, wheels
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from typing import Self

__all__ = ["BASE", "Engine", "base_store", "problem"]

PROGRAMS = {
    "podman": "podman",
    "crun": "crun",
    "docker-compose": "docker-compose",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
}
"""What has to be on this machine, and Debian's package that has it."""
BASE = "localhost/debian-python"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
OPTIONS = (
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    # pip in it knows one place.
    '--customize-hook=printf "[global]\\nno-index = true\\nfind_links = /wheels\\n" >"$1/etc/pip.conf"',
)
# crun takes no mixed hierarchy of cgroups. What engines keep about all containers of a machine is in /run.
HOLD = """\
umount /sys/fs/cgroup/unified 2>/dev/null
mount -t tmpfs none /run && mkdir /run/tmp && echo ready && exec sleep infinity
"""
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
STORE = "/run/storage"
CONFIGURATION = """\
[containers]
cgroups = "disabled"
netns = "none"
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
"""
MOST = 30_000
"""Of files and processes, at most: the defaults may be above what this machine lets root have."""
LIMIT = 300.0


def problem() -> str | None:
    """Why no container can be run on this machine, and what to do; None: it can."""
    if os.geteuid() != 0:
        return "containers need root"
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program, path=PATH) is None}
    if missing:
        return f"containers need programs that are missing here: apt-get install {' '.join(sorted(missing))}"
    tried = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False, timeout=LIMIT)
    return f"containers need namespaces: {tried.stderr.strip()}" if tried.returncode != 0 else None


def driver() -> str:
    """How layers are kept; `vfs`, without overlayfs, copies each."""
    return "overlay" if "\toverlay\n" in Path("/proc/filesystems").read_text() else "vfs"


def allowed(limit: int) -> int:
    """What a container may have of it."""
    hard = resource.getrlimit(limit)[1]
    return MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)


class Engine:
    """Namespaces, and an engine in them. `close` ends every process; with them goes what was kept, images included."""

    def __init__(self, directory: Path, *, base: Path | None = None, store: str = STORE) -> None:
        """An engine that writes to an empty directory, and to `store`, which as it is ends with the namespaces.

        `base` is a store with more images, which is only read. Raises RuntimeError.
        """
        files, processes = allowed(resource.RLIMIT_NOFILE), allowed(resource.RLIMIT_NPROC)
        configuration = directory / "containers.conf"
        configuration.write_text(CONFIGURATION.format(files=files, processes=processes))
        self._socket = directory / "api.sock"
        self.environment = {
            "CONTAINERS_CONF": str(configuration),
            "DOCKER_HOST": f"unix://{self._socket}",
            "HOME": str(directory),
            "PATH": PATH,
            "TMPDIR": "/run/tmp",
        }
        self._podman = (
            *("podman", "--root", store, "--runroot", "/run/containers", "--storage-driver", driver()),
            *(("--storage-opt", f"additionalimagestore={base}") if base is not None else ()),
        )
        self._holder = subprocess.Popen(
            [*NAMESPACES, "sh", "-c", HOLD],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self._holder.kill()
            self._holder.wait()
            raise RuntimeError("unshare made no namespaces")
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text()
        self.first = int(children)
        """Process 1 of the namespaces, as the machine has it."""
        self._end = os.pidfd_open(self.first)
        self._enter = ("nsenter", f"--target={self.first}", "--mount", "--net", "--pid", "--")

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        # It takes its child along, and that all others of its namespace, before it has ended itself.
        select.select([self._end], [], [], LIMIT)
        os.close(self._end)
        assert self._holder.stdout is not None
        self._holder.stdout.close()

    def seen_outside(self, path: str) -> Path:
        """A path of the namespaces, for a process that is not in them."""
        return Path(f"/proc/{self.first}/root{path}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, *command: str) -> str:
        """A command in the namespaces: its standard output. Raises RuntimeError, with both, unless it ends with 0."""
        return self._done(*command).stdout

    def _done(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self._enter, *command],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.returncode}: {done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done

    def podman(self, *words: str) -> str:
        return self.run(*self._podman, *words)

    def logs(self, container: str) -> str:
        """What it printed, standard output first."""
        done = self._done(*self._podman, "logs", container)
        return done.stdout + done.stderr

    def inspect(self, what: str) -> dict[str, object]:
        """What the engine says of an image or a container."""
        (found,) = json.loads(self.podman("inspect", what))
        return dict(found)

    def build(self, tag: str, root: Path, file: Path, **arguments: str) -> None:
        """An image. In the namespaces there is no network; the wheels are at /wheels."""
        self.podman(
            *("build", "--quiet", "--format", "docker", "--pull=never", "--tag", tag, "--file", str(file)),
            # The only isolation that makes no cgroup; it wants what it has for a network, which is none.
            *("--isolation", "chroot", "--network", "host", "--volume", f"{wheels()}:/wheels:ro"),
            *(word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")),
            str(root),
        )

    def compose(self, directory: Path, *words: str) -> str:
        """docker-compose on the compose.yaml of that directory, changed by its test.yaml."""
        if not self._socket.exists():
            subprocess.Popen(
                [
                    *self._enter,
                    *self._podman,
                    "system",
                    "service",
                    "--time=0",
                    self.environment["DOCKER_HOST"],
                ],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            wait_for(self._socket.exists, 30.0, "the engine's socket")
        files = (word for name in ("compose", "test") for word in ("--file", f"{directory}/{name}.yaml"))
        return self.run("docker-compose", "--ansi=never", *files, *words)


def base_store() -> Path:
    """A store with the image BASE: a small Debian with Python. Raises RuntimeError."""
    recipe = repr((SUITE, PACKAGES, OPTIONS, driver(), BASE)).encode()
    return kept("containers", "base", recipe, _make_base) / "storage"


def _make_base(directory: Path) -> None:
    archive, place = directory / "root.tar", directory / "engine"
    make_root(archive, PACKAGES, *OPTIONS)
    place.mkdir()
    with Engine(place, store=str(directory / "storage")) as engine:
        engine.podman("import", "--quiet", str(archive), BASE)
    archive.unlink()
    shutil.rmtree(place)
