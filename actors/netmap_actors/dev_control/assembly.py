"""Puts a control server together: state, tailnet, simulated life, listener.

Not here: the parts themselves, and who runs the loop (`standalone`, the actor).
"""

from __future__ import annotations

import random
import secrets
import socket
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.dev_control.http.server import ControlServer
from netmap_actors.dev_control.http.state import Control, Options
from netmap_actors.dev_control.operator.commands import Commands
from netmap_actors.dev_control.operator.replay import Replay
from netmap_actors.dev_control.operator.scenario import TailnetScenario, parse_scenario, place
from netmap_actors.dev_control.operator.scenario_player import ScenarioPlayer
from netmap_actors.dev_control.registration.registrar import (
    MAX_KEY_LIFETIME,
    LoginRequest,
    NodeRegistrar,
    PreAuthKey,
)
from netmap_actors.dev_control.registration.requests import BadRequest, decode_register, register_document
from netmap_actors.dev_control.registration.store import SavedLogin, SavedNode, State, Store
from netmap_actors.dev_control.tailnet.churn import Churn, populate
from netmap_actors.dev_control.tailnet.derp_map import parse_derp_map
from netmap_actors.dev_control.tailnet.json_types import encode_json
from netmap_actors.dev_control.tailnet.policy import parse_policy
from netmap_actors.dev_control.tailnet.tailnet import Entry, Tailnet, TailnetError
from netmap_actors.errors import ConfigurationError
from netmap_actors.protocol.keys import BadKey, MachinePrivate

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop
    from netmap_actors.dev_control.replay.player import ReplayPlayer
    from netmap_actors.dev_control.tailnet.derp_map import DerpMap
    from netmap_actors.dev_control.tailnet.policy import Policy
    from netmap_actors.recording.format import Recording

__all__ = ["LISTEN_BACKLOG", "Setup", "assemble", "bind", "url_of"]

LISTEN_BACKLOG = 4096
"""Connections that may wait for accept(2), as after a restart; capped by net.core.somaxconn."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_IDS_PER_START = 10_000
"""Ids of simulated nodes reserved for one start, so that the next ones differ."""


class Setup(msgspec.Struct, frozen=True):
    """What a control server is made of."""

    nodes: int = 8
    seed: int = 1
    churn: float = 0.3
    """Changes of the simulated tailnet per second; 0: none."""
    state_dir: str = ""
    """Empty: nothing is kept."""
    url: str = ""
    """Where clients reach it; empty: derived from the listener."""
    domain: str = "dev.netmap.example"
    auth_key: str = ""
    """Empty: the one in the state directory, or a new one."""
    user: str = ""
    """To whom that key belongs, and who completes logins unless another one does; empty: as before, or alice."""
    require_auth: bool = True
    require_approval: bool = False
    key_lifetime: float | None = None
    derp_map: DerpMap | dict[str, Any] | None = None
    """As read, or as it stands in a file; None: three relays that do not answer."""
    policy: Policy | dict[str, Any] | None = None
    """The same; None: all nodes see each other, and none may ask for tags."""
    scenario: TailnetScenario | dict[str, Any] | None = None
    """The same; None: nothing happens but churn."""
    replay: Recording | str = ""
    """A recording to play instead of a tailnet of its own, or its file."""
    replay_pace: float = 1.0
    """How many times as fast as it was; infinite: as fast as clients take it."""
    replay_loop: bool = False
    """Begin again after its end."""
    options: Options = Options()

    def __post_init__(self) -> None:
        """Raises ConfigurationError."""
        if self.key_lifetime is not None and not 0.0 < self.key_lifetime <= MAX_KEY_LIFETIME:
            raise ConfigurationError(
                f"cannot let node keys live for {self.key_lifetime} s: it must be more than 0 and at most "
                f"{MAX_KEY_LIFETIME:.0f}"
            )

    def __repr__(self) -> str:
        return f"Setup(nodes={self.nodes}, seed={self.seed}, churn={self.churn}, url={self.url!r})"


def bind(host: str, port: int, option: str = "--listen") -> socket.socket:
    """A listening TCP socket; `option` of the command names its place. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(LISTEN_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {why}; choose another place ({option})"
        ) from None
    return listener


def assemble(
    loop: Loop,
    listener: socket.socket,
    setup: Setup,
    log: Callable[..., object],
    on_replayed: Callable[[], object] = lambda: None,
) -> tuple[ControlServer, str, str]:
    """The server, its URL and its auth key. `on_replayed`: called when a recording was played once.

    Raises ConfigurationError for a state, or a recording, that cannot be used.
    """
    played = _recorded(setup)
    store = Store(setup.state_dir) if setup.state_dir else None
    state, identity = _loaded(store, setup)
    wall = loop.clock.wall
    state.incarnation += 1
    # Kept, so that a restart makes the same simulated nodes of the seed, to the last field.
    state.born = state.born or wall()
    url = setup.url or url_of(listener)
    scenario = setup.scenario
    scenario = parse_scenario(scenario) if isinstance(scenario, dict) else scenario or TailnetScenario()
    tailnet = _tailnet(setup, state, scenario, log)
    auth_key = _auth_key(setup, store)
    registrar = _registrar(setup, state, tailnet, url, auth_key)
    control = Control(
        tailnet, registrar, identity, setup.options, wall=wall, random_bytes=secrets.token_bytes
    )
    life = random.Random(f"{setup.seed}/{state.incarnation}")  # noqa: S311  # repeatable on purpose
    churn = Churn(tailnet, life, rate=setup.churn, now=loop.now(), nodes=setup.nodes)
    for saved in state.nodes:
        if saved.expires_at is not None:
            tailnet.set_expiry(saved.node.id, saved.expires_at, wall=wall())
    control.restored(loop.now())
    tailnet.take_changes()

    def save() -> None:
        if store is not None:
            _keep(state, registrar, tailnet)
            try:
                store.save(state)
            except OSError as error:
                # It goes on from memory; a full disk must not end it.
                log("state_not_saved", detail=error.strerror)

    def release() -> None:
        for player in players:
            player.close()
        if store is not None:
            store.close()

    def on_newcomer() -> None:
        for player in players:
            player.begin()
        churn.newcomer(loop.now())

    save()
    control.on_newcomer = on_newcomer
    server = ControlServer(loop, listener, control, churn, log=log, save=save, release=release)
    players: list[ScenarioPlayer | Replay] = [
        ScenarioPlayer(scenario, Commands(server, loop.now), loop, log),
        *(Replay(one, server, loop, log, on_replayed) for one in played),
    ]
    return server, url, auth_key


def _loaded(store: Store | None, setup: Setup) -> tuple[State, MachinePrivate]:
    """The state of the last start, or a new one, and the key in it."""
    state = (store.load() if store is not None else None) or State(
        machine_private=MachinePrivate.generate(secrets.token_bytes(32)).to_text()
    )
    try:
        return state, MachinePrivate.parse(state.machine_private)
    except BadKey as error:
        raise ConfigurationError(
            f"cannot use the state in {setup.state_dir}: {error}; remove it to begin anew"
        ) from None


def _tailnet(setup: Setup, state: State, scenario: TailnetScenario, log: Callable[..., object]) -> Tailnet:
    """With the users and nodes of the last start, the simulated ones and those of the scenario."""
    policy, derp_map = setup.policy, setup.derp_map
    policy = parse_policy(policy) if isinstance(policy, dict) else policy
    derp_map = parse_derp_map(encode_json(derp_map)) if isinstance(derp_map, dict) else derp_map
    tailnet = Tailnet(setup.domain, derp_map=derp_map, policy=policy)
    if policy is not None and policy.ignored:
        log("policy_parts_ignored", parts=", ".join(policy.ignored))
    _restore(state, tailnet)
    tailnet.begin_ids(state.next_id)
    seeded = random.Random(setup.seed)  # noqa: S311  # repeatable on purpose
    populate(tailnet, setup.nodes, seeded, state.born)
    try:
        place(scenario.nodes, tailnet, seeded, state.born)
    except TailnetError as error:
        raise ConfigurationError(f"cannot use the scenario: {error}") from None
    tailnet.skip_ids((state.incarnation - 1) * _IDS_PER_START)
    return tailnet


def _registrar(setup: Setup, state: State, tailnet: Tailnet, url: str, auth_key: str) -> NodeRegistrar:
    """With the logins and auth keys of the last start, and `auth_key`."""
    registrar = NodeRegistrar(
        tailnet,
        url=url,
        random_hex=secrets.token_hex,
        require_auth=setup.require_auth,
        require_approval=setup.require_approval,
        key_lifetime=setup.key_lifetime,
    )
    for login in state.logins:
        registrar.logins[login.id] = _login(login)
    for key in state.auth_keys:
        registrar.add_auth_key(key)
    own_key = registrar.auth_keys.setdefault(auth_key, PreAuthKey(text=auth_key))
    own_key.user = registrar.user = setup.user or own_key.user
    return registrar


def _keep(state: State, registrar: NodeRegistrar, tailnet: Tailnet) -> None:
    """Note in the state what the next start has to know."""
    state.auth_keys = list(registrar.auth_keys.values())
    state.users = list(tailnet.users.values())
    state.next_id = tailnet.next_id
    state.logins = [_saved_login(login) for login in registrar.logins.values()]
    state.nodes = [_saved(entry, tailnet.expiries.get(entry.node.id)) for entry in tailnet.registered()]


def _restore(state: State, tailnet: Tailnet) -> None:
    """Users and nodes of the last start."""
    for user in state.users:
        tailnet.users[user.id] = user
    for saved in state.nodes:
        entry = Entry(
            saved.node, saved.label, True, saved.owner, saved.ephemeral, saved.hostinfo, saved.place
        )
        carried = saved.node.allowed_ips[len(saved.node.addresses) :]
        entry.routes = carried if saved.routes is None else saved.routes
        tailnet.restore(entry)


def _recorded(setup: Setup) -> list[ReplayPlayer]:
    if not setup.replay:
        return []
    # Loaded here: the server of `run --dev` plays nothing.
    from netmap_actors.dev_control.replay.player import ReplayPlayer  # noqa: PLC0415
    from netmap_actors.recording import files  # noqa: PLC0415

    recording = files.read(setup.replay) if isinstance(setup.replay, str) else setup.replay
    return [ReplayPlayer(recording, pace=setup.replay_pace, again=setup.replay_loop)]


def _auth_key(setup: Setup, store: Store | None) -> str:
    text = setup.auth_key or (store.read_auth_key() if store is not None else "")
    if text:
        return text
    text = f"devkey-auth-{secrets.token_hex(16)}"
    if store is not None:
        try:
            store.write_auth_key(text)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the auth key into {setup.state_dir}: {error.strerror}"
            ) from None
    return text


def _saved(entry: Entry, expires_at: float | None) -> SavedNode:
    return SavedNode(
        node=entry.node,
        label=entry.label,
        owner=entry.owner,
        ephemeral=entry.ephemeral,
        place=entry.place,
        hostinfo=entry.hostinfo,
        expires_at=expires_at,
        routes=entry.routes,
    )


def _saved_login(login: LoginRequest) -> SavedLogin:
    return SavedLogin(
        id=login.id,
        machine=login.machine,
        request=register_document(login.request),
        expires_at=login.expires_at,
        state=login.state,
        why=login.why,
    )


def _login(saved: SavedLogin) -> LoginRequest:
    """Raises ConfigurationError for a request that was never one."""
    try:
        request = decode_register(encode_json(saved.request))
    except BadRequest as error:
        raise ConfigurationError(f"cannot use the login {saved.id} in the state: {error}") from None
    return LoginRequest(saved.id, saved.machine, request, saved.expires_at, saved.state, saved.why)


def url_of(listener: socket.socket, scheme: str = "http", name: str = "") -> str:
    """scheme://host:port, without a port that the scheme implies.

    The host is `name`, if given; else a server that listens everywhere is reached by loopback.
    """
    host, port, *_ = listener.getsockname()
    if host in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    host = name or host
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{shown}:{port}"
