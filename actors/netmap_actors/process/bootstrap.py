"""From `exec` to the actor's loop, and from the actor's end to an exit status.

Every way an actor can end becomes a status of the one table in `exit_reason`, exceptions included.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import stat
import sys
from typing import TYPE_CHECKING, NoReturn

import msgspec

from netmap_actors import child_lock
from netmap_actors.boot import BOOT_TYPES, Boot
from netmap_actors.confinement import confinement, seccomp, seccomp_calls
from netmap_actors.confinement.permissions import ROWS
from netmap_actors.confinement.seccomp_rows import rules
from netmap_actors.errors import ConfigurationError
from netmap_actors.exit_reason import ExitReason, from_exception, status_of
from netmap_actors.process import title
from netmap_actors.process.child_log import ChildLog
from netmap_actors.wire.codec import require_native_protobuf
from netmap_actors.wire.vocabulary import ActorName

if TYPE_CHECKING:
    from netmap_actors.process.actor_base import ActorBase

__all__ = ["ACTOR_CLASSES", "load", "main", "preload"]

ACTOR_CLASSES: dict[str, str] = {
    ActorName.CONNECTION: "netmap_actors.control_connection.actor:ControlConnection",
    ActorName.LIVENESS: "netmap_actors.liveness.actor:Liveness",
    ActorName.PUBLISHER: "netmap_actors.publisher.actor:Publisher",
    ActorName.DEV_CONTROL: "netmap_actors.dev_control.actor:DevControlActor",
    ActorName.HTTP_ENDPOINT: "netmap_actors.http_endpoint.actor:HttpEndpoint",
    ActorName.HISTORY: "netmap_actors.history_writer.actor:HistoryKeeper",
    ActorName.WEBHOOKS: "netmap_actors.webhooks.actor:WebhookSender",
}
"""Where the class of each actor lives; loaded only in the process that is that actor."""

_MAX_BOOT = 64 * 1024


def main(actor: str, boot_fd: int) -> NoReturn:
    """Be this actor until it ends, then leave with the status of its reason."""
    # A failure is logged even before the boot record is read.
    log = ChildLog(2, actor=actor, pid=os.getpid())
    try:
        confinement.forbid_dump()
        title.show(actor)
        # Its files are its user's alone, whatever the shell had set; no mode has to be changed later.
        os.umask(0o077)
        boot = _read_boot(boot_fd, actor)
        log = log.bind(generation=boot.generation)
        confinement.die_with_parent(boot.parent_pid)
        _take_locks(boot, log)
        require_native_protobuf()
        made = _make(actor, boot, log)
        made.when_up = lambda: _filter_system_calls(boot, boot_fd, log)
        reason = made.run()
    except confinement.ParentGone:
        reason = ExitReason.PARENT_GONE
    except BaseException as error:  # noqa: BLE001  # every end becomes a status
        reason = from_exception(error)
        log.error("actor_failed", reason=reason.value, error=type(error).__name__, detail=str(error)[:500])
    # Not sys.exit: a resolver thread that hangs must not hold the process, and the Supervisor waits for its end.
    os._exit(status_of(reason))


def load(actor: str) -> type[ActorBase]:
    """The class of an actor; loads all it needs. Raises ConfigurationError."""
    place = ACTOR_CLASSES.get(actor)
    if place is None:
        raise ConfigurationError(f"cannot be {actor!r}: the actors are {', '.join(ACTOR_CLASSES)}")
    module, _, name = place.partition(":")
    kind: type[ActorBase] = getattr(importlib.import_module(module), name)
    return kind


def preload() -> None:
    """Make what every process makes at its start and none changes; for a process that forks them, once."""
    for kind in BOOT_TYPES:
        msgspec.json.Decoder(kind)
    native = seccomp_calls.native()
    if native is not None:
        native.numbers  # noqa: B018


def _read_boot(fd: int, actor: str) -> Boot:
    # It stays open: a listener for refused system calls goes back the same way.
    with os.fdopen(fd, "rb", closefd=False) as pipe:
        data = pipe.read(_MAX_BOOT + 1)
    try:
        boot = msgspec.json.decode(data, type=Boot)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(
            f"cannot read what to do from descriptor {fd}: {error}; this command is started by netmap-supervisor run"
        ) from None
    if boot.actor != actor:
        raise ConfigurationError(f"cannot be {actor}: the boot record is for {boot.actor}")
    return boot


def _take_locks(boot: Boot, log: ChildLog) -> None:
    """Held until the end of the process; taken before anything that could disturb another daemon."""
    for path in boot.locks:
        try:
            child_lock.take(path)
        except OSError as error:
            log.warning("directory_not_locked", path=path, detail=error.strerror)


def _make(actor: str, boot: Boot, log: ChildLog) -> ActorBase:
    # pykka logs exceptions of actors with their arguments; ours are logged without.
    logging.getLogger("pykka").addHandler(logging.NullHandler())
    logging.getLogger("pykka").propagate = False
    kind = load(actor)
    row = ROWS[actor]
    kind.prepare(boot)
    confinement.limit_memory(boot.memory_limit)
    files = confinement.limit_files(row.max_files)
    if files < row.max_files:
        log.info("few_files_allowed", allowed=files, wanted=row.max_files)
    # What this kernel leaves open is logged by the Supervisor.
    boot = msgspec.structs.replace(boot, connect_ports=kind.connect_ports(boot))
    held = confinement.confine(row, row.permissions(boot))
    made = kind(boot)
    made.confinement = held
    made.loop.watch(boot.life_fd, lambda: made.finish(ExitReason.PARENT_GONE, "the life pipe is at its end"))
    # Ctrl-C reaches the whole foreground group; stopping is the Supervisor's to order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(
        signal.SIGTERM,
        lambda *_: made.loop.call_soon(lambda: made.finish(ExitReason.NORMAL, "SIGTERM")),
    )
    return made


def _filter_system_calls(boot: Boot, boot_fd: int, log: ChildLog) -> None:
    # Modules loaded later are not compiled into files: it may not write.
    sys.dont_write_bytecode = True
    try:
        listens = stat.S_ISSOCK(os.fstat(boot_fd).st_mode)
        how, why = seccomp.restrict(rules(boot, os.getpid()), boot_fd if listens else -1)
        if how is seccomp.Filtered.REFUSED:
            log.info("refused_system_calls_not_counted", detail=why)
        elif how is seccomp.Filtered.OFF:
            log.info("system_calls_not_filtered", detail=why)
    finally:
        os.close(boot_fd)
