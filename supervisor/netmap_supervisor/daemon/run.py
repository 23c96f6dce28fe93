"""The daemon's life in this process: its directories, and one Supervisor after another while they are taken away.

Not here: what a Supervisor does (`supervisor`).
"""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.bus.loop import Loop
from netmap_actors.bus.socket_files import remove_abandoned
from netmap_actors.clock import SystemClock
from netmap_actors.confinement import confinement
from netmap_actors.confinement.permissions import RunPlaces
from netmap_actors.confinement.run_bounds import RunBounds
from netmap_actors.confinement.unused_memory import SETTLED, give_back
from netmap_actors.errors import NetmapError
from netmap_actors.wire.codec import require_native_protobuf
from netmap_supervisor.config.webhooks import used_files
from netmap_supervisor.daemon.boot_records import memory_of_child, public_sockets, webhooks_dir
from netmap_supervisor.daemon.tree import in_nursery
from netmap_supervisor.system.held_environment import HeldEnvironment, wipe
from netmap_supervisor.system.kernel_calls import check_machine
from netmap_supervisor.system.log import Log
from netmap_supervisor.system.signals import hold_signals
from netmap_supervisor.system.single_instance import Claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_supervisor.config.settings import RunSettings
    from netmap_supervisor.daemon.observer import Observer
    from netmap_supervisor.system.nursery_process import FirstNursery, NurseryProcess

__all__ = ["RunFailed", "run"]

OWN_MEMORY = 2 << 30
"""Bytes of address space the Supervisor may have: it holds messages about the netmap, never the netmap."""


class RunFailed(NetmapError):
    """The daemon ended because only a person can mend what is wrong: "cannot X: why; what to do"."""

    def __init__(self, why: str, exit_code: int) -> None:
        super().__init__(why)
        self.exit_code = exit_code


def run(
    settings: RunSettings,
    observer: Observer | None = None,
    read_settings: Callable[[], RunSettings] | None = None,
    environment: HeldEnvironment | None = None,
    first_nursery: FirstNursery | None = None,
) -> int:
    """Be the daemon until it is stopped; the exit status. Raises ConfigurationError, AlreadyRunning or RunFailed.

    To be called in the process's main thread. `read_settings()` gives the settings again, for SIGHUP and
    `reload`; it raises NetmapError when they are not usable. `first_nursery`: one that loads already, if there is one.
    """
    check_machine()
    # Whatever umask we were started with: we can enter the directories we make.
    os.umask(os.umask(0) & 0o077)
    # Before anything secret is read.
    confinement.forbid_dump()
    require_native_protobuf()
    _own_descriptors()
    environment = HeldEnvironment(os.environ, wipe) if environment is None else environment
    environment.hold(settings.auth_key)
    if first_nursery is not None and (settings.nursery == "off" or environment.holds_secrets):
        first_nursery.close()
    loop, claim = _claim(settings)
    bounds = _bounds(settings, environment)
    try:
        # Once the directories are made, and before there is another thread.
        held = bounds.give_up(signals_kept=first_nursery is not None and first_nursery.signals_kept)
        confinement.adopt_orphans()
        # Its own start is over, and before the first process is started: all of them inherit it, the view, too.
        unfiltered = bounds.filter_calls()
    except BaseException:
        claim.release()
        raise
    nursery = None if first_nursery is None else _taken(first_nursery, settings, bounds)
    # While it loads the children's rooms we load our own.
    from netmap_supervisor.daemon.supervisor import Supervisor  # noqa: PLC0415

    _forget_webhooks(settings)
    loop.at(loop.now() + SETTLED, give_back)
    while True:
        try:
            actor = Supervisor(settings, claim, loop, observer, read_settings, environment, held, nursery)
            nursery = None
            actor.filtered(unfiltered)
            code = actor.run()
            if actor.why and actor.settings.log_format != "json":
                raise RunFailed(actor.why, code)
            if not actor.runtime_dir_lost:
                return code
            hold_signals()
        finally:
            # The processes may remove nothing themselves once they are up.
            remove_abandoned(public_sockets(settings))
            claim.release()
        loop.close()
        faulthandler.cancel_dump_traceback_later()
        settings = actor.settings
        loop, claim = _claim_anew(settings)


def _taken(first: FirstNursery, settings: RunSettings, bounds: RunBounds) -> NurseryProcess | None:
    """The nursery that loads already, told what to load."""
    nursery = first.take()
    if nursery is not None:
        rooms = in_nursery(settings)
        # The connection has the longest way: it is forked while the others' rooms are not loaded yet.
        now, later = rooms.actors[:1], rooms.actors[1:]
        nursery.tell(msgspec.structs.replace(rooms, actors=now, later=later, bounds=bounds.encode()))
    return nursery


def _claim_anew(settings: RunSettings) -> tuple[Loop, Claim]:
    """After the runtime directory was removed. Raises NetmapError."""
    try:
        return _claim(settings)
    except NetmapError as error:
        # Not a matter of the settings: the service manager makes the directory before the next start.
        why = f"cannot go on: the runtime directory {settings.runtime_dir} was removed, and now: {error}"
        log = Log(SystemClock(), form=settings.log_format, level=settings.log_level)
        log.event("error", "stopped", {"exit_code": 1, "detail": why})
        log.close()
        raise NetmapError(why) from None


def _claim(settings: RunSettings) -> tuple[Loop, Claim]:
    loop = Loop(SystemClock())

    def pass_time(seconds: float) -> None:
        until = loop.now() + seconds
        loop.at(until, lambda: None)
        loop.run(lambda: loop.now() >= until)

    return loop, Claim(Path(settings.state_dir), Path(settings.runtime_dir), pass_time)


def _forget_webhooks(settings: RunSettings) -> None:
    """Where there is one their process does so."""
    directory = webhooks_dir(settings)
    if settings.webhooks or not directory.is_dir():
        return
    # Loaded here: most runs have had no webhook.
    from netmap_actors.webhooks.standing_file import forget_all_but  # noqa: PLC0415

    log = Log(SystemClock(), form=settings.log_format, level=settings.log_level)
    for name in forget_all_but((), directory):
        log.event("info", "webhook_forgotten", {"webhook": name})
    log.close()


def _bounds(settings: RunSettings, environment: HeldEnvironment) -> RunBounds:
    kind, _, path = settings.auth_key.partition(":")
    of_webhooks = (one for hook in settings.webhooks for _, one in used_files(hook))
    http = (settings.http_tls_cert, settings.http_tls_key)
    named = (path if kind == "file" else "", settings.ca_file, *http, *of_webhooks)
    places = RunPlaces(
        state_dir=Path(settings.state_dir),
        runtime_dir=Path(settings.runtime_dir),
        listen=settings.listen,
        http_listen=settings.http_listen,
        socket_group=settings.socket_group,
        named=tuple(Path(one) for one in named if one),
        notify_socket=environment.get("NOTIFY_SOCKET", ""),
    )
    return RunBounds(places=places, memory=OWN_MEMORY, memory_of_child=memory_of_child(settings))


def _own_descriptors() -> None:
    """Inherited descriptors, or closed standard ones, are not for our children."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    for path in list(Path("/proc/self/fd").iterdir()):
        number = int(path.name)
        if number > 2 and path.exists():
            os.set_inheritable(number, False)
