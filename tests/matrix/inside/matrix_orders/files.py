"""Files, devices, terminals and locks."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import termios
from pathlib import Path

from matrix_orders import Absent, Facts, Refused, call, libc, order, sacrificed

_X86 = os.uname().machine == "x86_64"
_NAME_TO_HANDLE, _OPEN_BY_HANDLE = (303, 304) if _X86 else (264, 265)
_MEMFD, _EXECVEAT = (319, 322) if _X86 else (279, 281)
_MOUNT = 165 if _X86 else 40


def _read(path: str) -> None:
    with open(path, "rb", buffering=0) as file:
        file.read(1)


for _name in (
    "the node's keys", "the embedded server's keys", "the CURVE secret", "the configuration", "the auth key file",
    "a file in the home", "the log file",
):  # fmt: skip
    order(f"read {_name}")(lambda facts, name=_name: _read(facts.files[name]))
order("read /etc/shadow")(lambda facts: _read("/etc/shadow"))
order("list the state directory")(lambda facts: f"{len(os.listdir(facts.state_dir))} names")
order("list the home")(lambda facts: f"{len(os.listdir(facts.home))} names")
order("list /")(lambda facts: f"{len(os.listdir('/'))} names")
order("see that a file is there, by stat")(lambda facts: os.stat(facts.files["the node's keys"]) and None)


@order("read /etc/shadow through a link of its own")
def _link(facts: Facts) -> None:
    _through(facts, "/etc/shadow")


@order("read the node's keys through a link of its own")
def _link_to_keys(facts: Facts) -> None:
    _through(facts, facts.files["the node's keys"])


def _through(facts: Facts, target: str) -> None:
    link = Path(facts.run_dir) / f"link-{os.getpid()}"
    os.symlink(target, link)
    try:
        _read(str(link))
    finally:
        os.unlink(link)


@order("open a file by its handle")
def _handle(facts: Facts) -> None:
    """open_by_handle_at(2) asks no directory on the way."""
    buffer = ctypes.create_string_buffer(136)
    ctypes.cast(buffer, ctypes.POINTER(ctypes.c_uint))[0] = 128
    mount = ctypes.c_int()
    call(_NAME_TO_HANDLE, -100, facts.files["the node's keys"].encode(), buffer, ctypes.byref(mount), 0)
    # Any place of the same file system will do: the working directory lies beside it.
    os.close(call(_OPEN_BY_HANDLE, -100, buffer, os.O_RDONLY))


def _make(directory: str) -> None:
    path = Path(directory) / f"made-by-{os.getpid()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)


for _name in (
    "the runtime directory", "the run's own directory", "the subscribers' directory", "the state directory", "the home",
    "/tmp", "/dev/shm", "/etc", "/usr/lib",
):  # fmt: skip
    order(f"make a file in {_name}")(lambda facts, name=_name: _make(facts.directories.get(name, name)))


@order("make a device")
def _device(facts: Facts) -> None:
    path = Path(facts.place) / f"device-{os.getpid()}"
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 1))
    os.unlink(path)


for _name in ("the admin socket", "the publisher's socket", "the updates' socket"):

    @order(f"take {_name} away")
    def _move(facts: Facts, name: str = _name) -> None:
        """And put it back, where that goes."""
        path = facts.sockets[name]
        os.rename(path, f"{path}.{os.getpid()}")
        os.rename(f"{path}.{os.getpid()}", path)

    @order(f"another socket in the place of {_name}")
    def _replace(facts: Facts, name: str = _name) -> None:
        import socket

        path = f"{facts.sockets[name]}.x{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(path)
        os.link(facts.sockets[name], f"{path}.old")
        os.rename(path, facts.sockets[name])
        os.rename(f"{path}.old", facts.sockets[name])


@order("append to the log file")
def _log(facts: Facts) -> None:
    os.close(os.open(facts.files["the log file"], os.O_WRONLY | os.O_APPEND))


@order("truncate the configuration")
def _truncate(facts: Facts) -> None:
    os.truncate(facts.files["the configuration"], os.stat(facts.files["the configuration"]).st_size)


for _name in ("the node's keys", "the configuration"):

    @order(f"another mode for {_name}, by chmod")
    def _mode(facts: Facts, name: str = _name) -> None:
        os.chmod(facts.files[name], os.stat(facts.files[name]).st_mode & 0o7777)

    @order(f"other times for {_name}, by utime")
    def _times(facts: Facts, name: str = _name) -> None:
        os.utime(facts.files[name])


@order("another owner for the configuration, by chown")
def _owner(facts: Facts) -> None:
    found = os.stat(facts.files["the configuration"])
    os.chown(facts.files["the configuration"], found.st_uid, found.st_gid)


@order("an attribute on the configuration, by setxattr")
def _attribute(facts: Facts) -> None:
    try:
        os.setxattr(facts.files["the configuration"], "user.nms", b"x")
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise Absent("this file system has none") from None
        raise
    os.removexattr(facts.files["the configuration"], "user.nms")


@order("another root directory")
def _chroot(facts: Facts) -> str | None:
    return sacrificed(lambda: os.chroot("/"))


@order("mount a file system")
def _mount(facts: Facts) -> str | None:
    # In a namespace of its own if it can have one: nobody else shall see it. Else the wrong type is a harmless try.
    def work() -> str | None:
        if libc.unshare(0x00020000) == 0:
            call(_MOUNT, b"none", b"/", None, ctypes.c_ulong(1 << 18 | 1 << 14), None)
            call(_MOUNT, b"tmpfs", facts.place.encode(), b"tmpfs", ctypes.c_ulong(0), None)
            return None
        try:
            call(_MOUNT, b"none", facts.place.encode(), b"nms-no-such-type", ctypes.c_ulong(0), None)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
        return "only the type was wrong"

    return sacrificed(work)


# Devices and the kernel's own files

for _path in ("/dev/kvm", "/dev/mem", "/dev/ptmx", "/dev/tty", "/dev/fuse", "/dev/net/tun", "/dev/vsock",
              "/proc/kcore", "/proc/kmsg", "/dev/kmsg"):  # fmt: skip

    @order(f"open {_path}")
    def _open(facts: Facts, path: str = _path) -> None:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))


for _path in ("/proc/sysrq-trigger", "/proc/sys/kernel/hostname", "/proc/self/oom_score_adj",
              "/sys/kernel/mm/transparent_hugepage/enabled"):  # fmt: skip

    @order(f"open {_path} to write")
    def _write(facts: Facts, path: str = _path) -> None:
        os.close(os.open(path, os.O_WRONLY))


@order("write its own memory through /proc/self/mem")
def _own_memory(facts: Facts) -> None:
    os.close(os.open("/proc/self/mem", os.O_RDWR))


# The terminal of whoever watches


@order("type into the view's terminal")
def _type(facts: Facts) -> None:
    """TIOCSTI: the shell behind it would read that as typed by its user."""
    fd = 1 if facts.role in {"view", "supervisor"} else os.open(facts.terminal, os.O_RDWR | os.O_NOCTTY)
    try:
        for letter in "nms-typed\n":
            fcntl.ioctl(fd, termios.TIOCSTI, letter.encode())
    except OSError as error:
        if error.errno in {errno.EIO, errno.ENOTTY}:
            raise Refused(f"the kernel has no TIOCSTI for it: {error}") from None
        raise
    finally:
        if fd != 1:
            os.close(fd)


@order("write on the view's terminal")
def _draw(facts: Facts) -> None:
    fd = os.open(facts.terminal, os.O_WRONLY | os.O_NOCTTY)
    try:
        os.write(fd, b"")
    finally:
        os.close(fd)


# Locks


@order("release the directory locks")
def _unlock(facts: Facts) -> str:
    """Whatever descriptor it has of them. Whether another daemon could start is seen from outside."""
    done = 0
    for fd in range(3, 1024):
        try:
            found = os.fstat(fd)
        except OSError:
            continue
        if [found.st_dev, found.st_ino] in facts.locks:
            fcntl.flock(fd, fcntl.LOCK_UN)
            fcntl.lockf(fd, fcntl.LOCK_UN)
            # And the kind that belongs to the open file (F_OFD_SETLK).
            fcntl.fcntl(fd, 37, struct.pack("hhqqi", fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))
            done += 1
    if not done:
        raise Refused("it holds no descriptor of a lock")
    return f"{done} descriptors"


@order("take the directory locks for itself")
def _lock(facts: Facts) -> str:
    done = 0
    for path in facts.lock_paths:
        fd = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            done += 1
        except BlockingIOError:
            continue
        finally:
            os.close(fd)
    if not done:
        raise Refused("all are held")
    return f"{done} locks"


@order("run a program from memory")
def _from_memory(facts: Facts) -> str | None:
    """memfd_create(2), execveat(2): no file is needed."""
    fd = call(_MEMFD, b"nms", ctypes.c_uint(0))
    try:
        os.write(fd, b"#!/bin/true\n")
        os.fchmod(fd, 0o700)

        def work() -> None:
            nothing = (ctypes.c_char_p * 1)(None)
            words = (ctypes.c_char_p * 2)(b"nms", None)
            call(_EXECVEAT, fd, b"", words, nothing, 0x1000)

        return sacrificed(work)
    finally:
        os.close(fd)
