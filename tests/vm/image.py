"""The disk a guest starts from: Debian 12 with its own kernel and systemd, made once and kept outside the tree.

It is kept under a name that is a digest of this file: whatever is changed here makes a new one. The mirror is the one
apt uses on this machine. Not here: what a guest does with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.vm.network import CONTROL, MANAGEMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ROOT", "Image", "image", "kept_in", "problem", "wheels"]

ROOT = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
PYTHON = "3.11"
"""That suite's."""
PACKAGES = (
    *("systemd-sysv", "dbus", "udev", "libnss-systemd", "libpam-systemd", "procps", "kmod"),
    *("linux-image-cloud-amd64", "initramfs-tools"),
    *("openssh-server", "ca-certificates", "iproute2", "python3", "python3-venv"),
)
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "socat": "socat",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "ip": "iproute2",
    "nft": "nftables",
    "git": "git",
    "setpriv": "util-linux",
    "apt-get": "apt",
}
"""What has to be on this machine, and Debian's package that has it."""
SIZE = "3G"
"""Of the disk; a file with holes."""
BUILD_LIMIT = 1200.0
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

# With a list of modules the first memory disk stays at some MiB, which an emulated processor unpacks in a second.
BEFORE_PACKAGES = """
mkdir -p "$1/etc/initramfs-tools/conf.d"
echo MODULES=list >"$1/etc/initramfs-tools/conf.d/few"
printf 'virtio_pci\\nvirtio_blk\\next4\\n' >"$1/etc/initramfs-tools/modules"
"""
FSTAB = "/dev/vda / ext4 defaults 0 1\n"
NETWORK = """\
[Match]
MACAddress={mac}

[Network]
Address={guest}/24
{gateway}LinkLocalAddressing=no
IPv6AcceptRA=no
"""
JOURNAL = """\
[Journal]
Storage=persistent
SyncIntervalSec=1s
RateLimitIntervalSec=0
"""


def problem() -> str | None:
    """Why no guest can be run on this machine, and what to do; None: it can."""
    if os.geteuid() != 0:
        return "a guest's disk and network need root"
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program, path=PATH) is None}
    if missing:
        return f"a guest needs programs that are missing here: apt-get install {' '.join(sorted(missing))}"
    if not Path("/dev/net/tun").exists():
        return "a guest's network needs /dev/net/tun"
    return None


def kept_in() -> Path:
    """The directory of what is made once."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "netmap-supervisor" / "vm"


@dataclass(frozen=True)
class Image:
    """Files of one directory: what QEMU boots, and the key of root's ssh."""

    directory: Path

    @property
    def disk(self) -> Path:
        """A raw ext4 file system; guests write to a layer of their own above it."""
        return self.directory / "root.img"

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.directory / "initrd.img"

    @property
    def key(self) -> Path:
        """Private key that opens root's account over ssh."""
        return self.directory / "ssh_key"


def image() -> Image:
    """The image, made now if there is none of this recipe. Raises RuntimeError when it cannot be made."""
    recipe = hashlib.sha256(Path(__file__).read_bytes() + repr((CONTROL, MANAGEMENT)).encode())
    return Image(_kept(f"image-{recipe.hexdigest()[:16]}", _make_image))


def wheels() -> Path:
    """A directory with every wheel that an installation in the guest needs: the versions of constraints.txt."""
    pins = (ROOT / "constraints.txt").read_bytes()
    recipe = hashlib.sha256(pins + "\n".join(_requirements()).encode() + PYTHON.encode())
    return _kept(f"wheels-{recipe.hexdigest()[:16]}", _make_wheels)


def _requirements() -> list[str]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    # A marker would be judged by the Python that runs this, and all of them hold for the guest's.
    named = (*document["project"]["dependencies"], *document["build-system"]["requires"])
    return [requirement.partition(";")[0].strip() for requirement in named]


def _kept(name: str, make: object) -> Path:
    """The directory of that name; made in another one, so that half a directory never has the name."""
    assert callable(make)
    kept_in().mkdir(parents=True, exist_ok=True)
    directory = kept_in() / name
    with _alone():
        if not directory.exists():
            kind = name.partition("-")[0]
            with tempfile.TemporaryDirectory(prefix=f".{kind}-", dir=kept_in()) as scratch:
                made = Path(scratch) / "made"
                made.mkdir()
                make(made)
                made.rename(directory)
            # One of each kind is enough: an older recipe's is made again if it is wanted again.
            for other in kept_in().glob(f"{kind}-*"):
                if other != directory:
                    shutil.rmtree(other)
    return directory


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with (kept_in() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path, **options: object) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_LIMIT,
        env=os.environ | {"PATH": PATH, "LC_ALL": "C"},
        **options,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"cannot make the guest's disk: {command[0]}: {(done.stderr or done.stdout)[-2000:]}"
        )
    return done.stdout


def _mirror() -> str:
    """The first one that apt uses here for Debian itself."""
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    codename = release.get("VERSION_CODENAME", "").strip('"')
    listed = _run(
        "apt-get", "indextargets", "--format", "$(SITE)", f"Codename: {codename}", "Created-By: Packages"
    )
    if not listed.strip():
        raise RuntimeError(f"cannot make the guest's disk: apt names no mirror for {codename!r}")
    return listed.split()[0]


def _make_image(directory: Path) -> None:
    root = directory / "root"
    _run(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        # A mirror that is kept at one day has a Release file that is out of date, and as well signed.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        "--dpkgopt=force-confold",
        f"--essential-hook={BEFORE_PACKAGES}",
        f"--include={','.join(PACKAGES)}",
        SUITE,
        root,
        _mirror(),
    )
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", directory / "ssh_key")
    _configure(root, (directory / "ssh_key.pub").read_text())
    for name in ("vmlinuz", "initrd.img"):
        shutil.copyfile(_boot_file(root, name), directory / name)
    _run("mkfs.ext4", "-q", "-F", "-d", root, directory / "root.img", SIZE)
    shutil.rmtree(root)


def _boot_file(root: Path, name: str) -> Path:
    (found,) = (root / "boot").glob(f"{name}-*")
    return found


def _configure(root: Path, public_key: str) -> None:
    (root / "etc/fstab").write_text(FSTAB)
    (root / "etc/hostname").write_text("guest\n")
    (root / "etc/machine-id").write_text("")
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    (ssh / "authorized_keys").write_text(public_key)
    networks = root / "etc/systemd/network"
    for name, net in (("control", CONTROL), ("management", MANAGEMENT)):
        gateway = f"Gateway={net.host}\n" if net is CONTROL else ""
        text = NETWORK.format(mac=net.mac, guest=net.guest, gateway=gateway)
        (networks / f"{name}.network").write_text(text)
    journal = root / "etc/systemd/journald.conf.d"
    journal.mkdir(parents=True)
    (journal / "keep.conf").write_text(JOURNAL)
    _run("chroot", root, "systemctl", "enable", "systemd-networkd", "ssh")
    # Daily jobs are no part of any scene.
    _run(
        "chroot",
        root,
        "systemctl",
        "mask",
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dpkg-db-backup.timer",
    )


def _make_wheels(directory: Path) -> None:
    platforms = [f"--platform={tag}_x86_64" for tag in _platforms()]
    environment = {name: value for name, value in os.environ.items() if name != "PIP_NO_INDEX"}
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-input",
            ),
            *("--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}", *platforms),
            *("--constraint", ROOT / "constraints.txt", "--dest", directory, *_requirements()),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_LIMIT,
        env=environment,
    )
    if done.returncode != 0:
        raise RuntimeError(f"cannot fetch the wheels for the guest: {done.stderr[-2000:]}")


def _platforms() -> Iterator[str]:
    """manylinux as glibc 2.36 takes it."""
    yield "manylinux2014"
    yield from (f"manylinux_2_{minor}" for minor in range(36, 16, -1))
