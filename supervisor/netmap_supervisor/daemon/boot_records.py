"""What each child gets at its start: its Boot with the settings of its actor, and its environment."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.boot import (
    SILENCE_TIMEOUT,
    Boot,
    ConnectionSettings,
    DevControlSettings,
    Endpoints,
    EnvironmentSecrets,
    HistorySettings,
    HttpSettings,
    LivenessSettings,
    PublisherSettings,
    WebhooksSettings,
)
from netmap_actors.bus.sockets import ipc
from netmap_actors.runtime_paths import history_path, recording_path, requests_path, updates_path
from netmap_actors.web_url import WebUrl
from netmap_actors.wire.vocabulary import TAILNET, ActorName
from netmap_supervisor.config.reach import is_for_others
from netmap_supervisor.config.webhooks import used_files
from netmap_supervisor.connection.messages import ConnectionStart

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_supervisor.config.settings import RunSettings
    from netmap_supervisor.daemon.keyring import Keyring
    from netmap_supervisor.supervision.messages import Spawn

__all__ = [
    "BootRecords",
    "endpoints_of",
    "listened_on",
    "memory_of_child",
    "public_sockets",
    "state_slug",
    "webhooks_dir",
]

LEAST_MEMORY = 4 << 30
"""Bytes of address space a child may have, threads and libraries included."""
MEMORY_PER_MAP = 16
"""Times the largest MapResponse: text, decoded form, the netmap it replaces, its snapshot and what waits to be sent."""


def memory_of_child(settings: RunSettings) -> int:
    """Bytes of address space."""
    return max(LEAST_MEMORY, MEMORY_PER_MAP * settings.max_map_response)


def endpoints_of(run_dir: Path, runtime_dir: Path, *, history: bool = False) -> Endpoints:
    """The sockets of one run."""
    return Endpoints(
        supervisor=ipc(run_dir / "supervisor.sock"),
        liveness=ipc(run_dir / "liveness.sock"),
        publisher=ipc(run_dir / "publisher.sock"),
        updates=ipc(updates_path(runtime_dir)),
        requests=ipc(requests_path(runtime_dir)),
        history=ipc(history_path(runtime_dir)) if history else "",
        recording=ipc(recording_path(runtime_dir)),
    )


def listened_on(endpoints: Endpoints) -> dict[str, tuple[str, ...]]:
    """By actor, the sockets that are bound for it."""
    history = {ActorName.HISTORY: (endpoints.history,)} if endpoints.history else {}
    published = (endpoints.publisher, endpoints.updates, endpoints.requests, endpoints.recording)
    return history | {ActorName.LIVENESS: (endpoints.liveness,), ActorName.PUBLISHER: published}


def public_sockets(settings: RunSettings) -> tuple[Path, ...]:
    """Where the children's sockets for other programs are, outside the directory of the run."""
    kind, _, http = settings.http_listen.partition(":")
    runtime_dir = Path(settings.runtime_dir)
    paths = (updates_path, requests_path, history_path, recording_path)
    places = tuple(path(runtime_dir) for path in paths)
    return (*places, Path(http)) if kind == "unix" else places


def webhooks_dir(settings: RunSettings) -> Path:
    """Where is kept what webhooks were told."""
    return Path(settings.state_dir) / "webhooks" / TAILNET


def state_slug(control_url: str) -> str:
    """Name of a control URL's own directory below the state directory."""
    host = WebUrl.parse_origin(control_url, interface=True).authority
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", host).strip("-.")[:80]
    return f"{readable}-{hashlib.sha256(control_url.encode()).hexdigest()[:8]}"


class BootRecords(msgspec.Struct, kw_only=True, eq=False):
    """Makes the record for each Spawn of one run."""

    settings: RunSettings
    run: str
    parent_pid: int
    endpoints: Endpoints
    control_url: str
    """Of the embedded server, if there is one."""
    auth_key: str
    """The same."""
    secrets_of: Callable[[str], dict[str, str]]
    """By auth key: what of the connection's settings came from the environment."""
    connection_dir: Path
    server_dir: Path | None = None
    listen_fd: int = -1
    listeners_of: Callable[[str], dict[str, int]] = lambda _: {}
    """By actor (`system.run_listeners`)."""
    keyring: Keyring
    locks: tuple[str, ...] = ()

    __repr__ = object.__repr__  # it holds secrets

    def renew(self, settings: RunSettings) -> None:
        """Other settings for the processes to come; the server's URL stays as it was."""
        self.settings = settings
        if not settings.embedded:
            self.auth_key = settings.auth_key

    def record(self, spawn: Spawn, life_fd: int) -> bytes:
        """The Boot of one process, as JSON."""
        return msgspec.json.encode(
            Boot(
                run=self.run,
                actor=spawn.actor,
                generation=spawn.generation,
                parent_pid=self.parent_pid,
                life_fd=life_fd,
                endpoints=self.endpoints,
                listeners=self.listeners_of(spawn.actor),
                secrets=self.keyring.secrets_for(spawn.actor, spawn.generation),
                locks=self.locks,
                memory_limit=memory_of_child(self.settings),
                settings=msgspec.Raw(msgspec.json.encode(self._actor_settings(spawn))),
            )
        )

    def _actor_settings(self, spawn: Spawn) -> msgspec.Struct:
        settings = self.settings
        match spawn.actor:
            case ActorName.PUBLISHER:
                return PublisherSettings(
                    silence_timeout=settings.silence_timeout,
                    socket_group=settings.socket_group,
                    listen=settings.listen,
                    curve_dir="" if settings.listen_plaintext else str(settings.curve_dir),
                    max_map_response=settings.max_map_response,
                    max_peers=settings.max_peers,
                    control_url=self.control_url,
                )
            case ActorName.HTTP_ENDPOINT:
                return HttpSettings(
                    listen=settings.http_listen,
                    socket_group=settings.socket_group,
                    tls_cert=settings.http_tls_cert,
                    tls_key=settings.http_tls_key,
                    token_required=is_for_others(settings.http_listen),
                    tokens=str(settings.http_tokens),
                    tailnet=TAILNET,
                )
            case ActorName.HISTORY:
                return HistorySettings(
                    directory=str(Path(settings.state_dir) / "history"),
                    keep=settings.history_keep,
                    max_bytes=settings.history_size,
                    socket_group=settings.socket_group,
                    server=self.connection_dir.name,
                )
            case ActorName.WEBHOOKS:
                return self._webhooks_settings()
            case ActorName.LIVENESS:
                return LivenessSettings(silence_timeout=settings.silence_timeout)
            case ActorName.DEV_CONTROL:
                return DevControlSettings(
                    state_dir=str(self.server_dir),
                    listen_fd=self.listen_fd,
                    nodes=settings.dev_nodes,
                    seed=settings.dev_seed,
                    churn=settings.dev_churn,
                    # A real server sends one every 50 to 59 s of 120; a shorter limit has to be fed as well.
                    keep_alive=50.0 * min(1.0, settings.silence_timeout / SILENCE_TIMEOUT),
                    keep_alive_jitter=9.0 * min(1.0, settings.silence_timeout / SILENCE_TIMEOUT),
                )
            case ActorName.CONNECTION:
                assert isinstance(spawn.start, ConnectionStart), (
                    "the core says what the connection has to know"
                )
                return self._connection_settings(spawn.start)
            case other:
                raise ValueError(f"cannot start {other}: it has no settings")

    def _webhooks_settings(self) -> WebhooksSettings:
        settings = self.settings
        named = [one for hook in settings.webhooks for one in used_files(hook)]
        return WebhooksSettings(
            directory=str(webhooks_dir(settings)),
            webhooks=msgspec.Raw(msgspec.json.encode(settings.webhooks)),
            files=tuple(path for key, path in named if key != "template"),
            templates=tuple(str(Path(path).parent) for key, path in named if key == "template"),
            ca_file=settings.ca_file,
            proxy=settings.proxy,
            secrets=EnvironmentSecrets(self.secrets_of("")),
            tailnet=TAILNET,
        )

    def _connection_settings(self, start: ConnectionStart) -> ConnectionSettings:
        settings = self.settings
        return ConnectionSettings(
            control_url=self.control_url,
            state_dir=str(self.connection_dir),
            embedded=settings.embedded,
            auth_key=self.auth_key,
            secrets=EnvironmentSecrets(self.secrets_of(self.auth_key)),
            hostname=settings.hostname,
            ephemeral=settings.ephemeral,
            request_tags=settings.request_tags,
            ca_file=settings.ca_file,
            proxy="off" if settings.embedded else settings.proxy,
            insecure_key_fetch=settings.insecure_key_fetch,
            accept_changed_key=settings.accept_changed_key,
            silence_timeout=settings.silence_timeout,
            max_map_response=settings.max_map_response,
            register_first=start.register_first,
            on_removed=settings.on_removed,
            had_session=start.had_session,
            avoid=start.avoid,
        )
