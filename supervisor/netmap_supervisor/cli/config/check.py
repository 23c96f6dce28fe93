"""What the daemon's processes refuse about their settings, found with their own functions; creates nothing.

Not here: what reading the settings refuses (`config.layers`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.boot import ConnectionSettings
from netmap_actors.confinement.bounded_child import BoundedChild, NotMade
from netmap_actors.control_connection.auth_key import read_auth_key
from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.control_connection.node_state import NodeState
from netmap_actors.curve_keys import SERVER_KEY, read_secret
from netmap_actors.errors import ConfigurationError
from netmap_actors.transport.proxy import choose_proxy
from netmap_actors.webhooks.sender import RENDER_BOUNDS
from netmap_actors.webhooks.sources import read_key, read_template, read_url
from netmap_actors.wire.codec import require_native_protobuf
from netmap_supervisor.config.webhooks import used_files
from netmap_supervisor.daemon.boot_records import state_slug
from netmap_supervisor.system.held_environment import HeldEnvironment
from netmap_supervisor.system.kernel_calls import check_machine
from netmap_supervisor.system.single_instance import check_private, check_socket_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from netmap_actors.webhooks.spec import WebhookSpec
    from netmap_supervisor.config.settings import RunSettings

__all__ = ["doubts", "refusals"]


def refusals(settings: RunSettings, environment: Mapping[str, str]) -> Iterator[str]:
    """Why `run` would end with exit status 78 soon after its start: "cannot X: why"."""
    state_dir, runtime_dir = Path(settings.state_dir), Path(settings.runtime_dir)
    checks: list[Callable[[], object]] = [
        check_machine,
        require_native_protobuf,
        lambda: HeldEnvironment(dict(environment)).hold(settings.auth_key),
        lambda: check_socket_path(runtime_dir),
        lambda: _check_directory(runtime_dir),
        lambda: _check_directory(state_dir),
    ]
    if not settings.embedded:
        checks += [
            lambda: choose_proxy(ControlUrl.parse(settings.control_url), settings.proxy, environment),
            lambda: _check_node(settings, environment, state_dir / state_slug(settings.control_url)),
        ]
    for check in checks:
        try:
            check()
        except ConfigurationError as error:
            yield str(error)


def doubts(settings: RunSettings) -> Iterator[str]:
    """Warnings: what does not keep `run` from starting, or only root's.

    Without the server key only subscribers on other machines are kept out. Directories of another user are what root
    finds of a service that runs as that user.
    """
    curve_key = settings.curve_dir / SERVER_KEY
    if settings.listen and not settings.listen_plaintext and curve_key.exists():
        try:
            read_secret(curve_key)
        except ConfigurationError as error:
            yield str(error)
    for hook in settings.webhooks:
        # What cannot be read is said already, with the settings.
        if all(os.access(path, os.R_OK) for _, path in used_files(hook)) and hook.url.startswith("file:"):
            try:
                read_url(hook)
                read_key(hook)
            except ConfigurationError as error:
                yield str(error)
        if hook.template and os.access(hook.template, os.R_OK) and importlib.util.find_spec("jinja2"):
            try:
                _check_template(hook)
            except NotMade as error:
                yield f"webhook {hook.name}.template: {error}; it is told nothing until it can"
    if os.geteuid() != 0:
        return
    for directory in dict.fromkeys((settings.runtime_dir, settings.state_dir)):
        with contextlib.suppress(OSError):
            if owner := Path(directory).stat().st_uid:
                yield f"{directory} belongs to user {owner}: a daemon that root starts would refuse it"


def _check_template(hook: WebhookSpec) -> None:
    """Compile it, not more: what it needs of an event only an event tells. Raises NotMade."""
    name = Path(hook.template).name

    def work() -> bytes:
        from netmap_actors.exports.template_sandbox import render  # noqa: PLC0415

        return render(name, functools.partial(read_template, hook), None).encode()

    BoundedChild(f"render {name}", work, RENDER_BOUNDS).wait()


def _check_directory(directory: Path) -> None:
    """For root the directory may be another user's: it is checked for a service (systemd's DynamicUser=)."""
    try:
        check_private(directory)
    except ConfigurationError:
        if os.geteuid() != 0 or not directory.exists() or directory.stat().st_uid == 0:
            raise


def _check_node(settings: RunSettings, environment: Mapping[str, str], directory: Path) -> None:
    """Read the files of a registered node, or else the auth key, which a new one needs."""
    registered = False
    if directory.is_dir():
        node = NodeState(
            ConnectionSettings(
                control_url=settings.control_url, state_dir=str(directory), hostname=settings.hostname
            )
        )
        registered = node.registration.registered_node_key is not None
    if not registered:
        read_auth_key(settings.auth_key, environment)
