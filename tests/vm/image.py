"""The disk a guest starts from: Debian 12 with its own kernel and systemd, made once and kept outside the tree.

It is kept under a name that is a digest of this file: whatever is changed here makes a new one. Not here: what a guest
does with it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.support.debian import PATH, ROOT, kept, make_root, run, wheels
from tests.vm.network import CONTROL, MANAGEMENT

__all__ = ["ROOT", "Image", "image", "problem", "wheels"]

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
    recipe = Path(__file__).read_bytes() + repr((CONTROL, MANAGEMENT)).encode()
    return Image(kept("vm", "image", recipe, _make_image))


def _make_image(directory: Path) -> None:
    root = directory / "root"
    make_root(root, PACKAGES, "--dpkgopt=force-confold", f"--essential-hook={BEFORE_PACKAGES}")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", directory / "ssh_key")
    _configure(root, (directory / "ssh_key.pub").read_text())
    for name in ("vmlinuz", "initrd.img"):
        shutil.copyfile(_boot_file(root, name), directory / name)
    run("mkfs.ext4", "-q", "-F", "-d", root, directory / "root.img", SIZE)
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
    run("chroot", root, "systemctl", "enable", "systemd-networkd", "ssh")
    # Daily jobs are no part of any scene.
    run(
        "chroot",
        root,
        "systemctl",
        "mask",
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dpkg-db-backup.timer",
    )
