"""The commands of a running control server: faults, edits of its tailnet, listings.

Not here: how a command arrives: from a thread (`standalone`) or from the Supervisor (the actor).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.dev_control.faults.catalogue import FAULTS, BadFault, Scope, make_fault
from netmap_actors.dev_control.http.plain_http import MAX_KEPT_PINGS
from netmap_actors.dev_control.operator.arguments import BadArgument, check_arguments
from netmap_actors.dev_control.operator.listings import view_of_client, view_of_node
from netmap_actors.dev_control.registration.registrar import MAX_KEY_LIFETIME, LoginState, PreAuthKey
from netmap_actors.dev_control.tailnet.json_types import JsonPingRequest, encode_json
from netmap_actors.dev_control.tailnet.policy import parse_policy, read_policy_text
from netmap_actors.dev_control.tailnet.tailnet import Aspect, TailnetError
from netmap_actors.errors import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from netmap_actors.dev_control.http.server import ControlServer
    from netmap_actors.dev_control.http.state import Seen
    from netmap_actors.dev_control.operator.listings import ClientView, NodeView
    from netmap_actors.dev_control.registration.registrar import NodeRegistrar
    from netmap_actors.dev_control.tailnet.policy import Policy
    from netmap_actors.dev_control.tailnet.tailnet import Entry

__all__ = ["Commands"]


class Commands:
    """One method per command; all of them run in the loop's thread."""

    def __init__(self, server: ControlServer, now: Callable[[], float]) -> None:
        self._server = server
        self._control = server.control
        self._tailnet = server.control.tailnet
        self._now = now

    def execute(self, document: bytes) -> bytes:
        """Run `{"command": NAME, …arguments}`; the answer is JSON. Raises NetmapError, which says why."""
        try:
            given = msgspec.json.decode(document, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise TailnetError(f"cannot read the command: {error}") from None
        name = given.pop("command", "")
        method = getattr(self, name, None) if isinstance(name, str) and name in _NAMES else None
        if method is None:
            raise TailnetError(
                f"cannot do {escape(str(name), 40)!r}: the commands are {', '.join(sorted(_NAMES))}"
            )
        try:
            # A fault checks what it is given itself.
            given = {"name": "", **given} if name == "fault" else check_arguments(method, given)
            answer = method(**given)
        except (BadArgument, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise TailnetError(f"cannot do {name}: {escape(str(error))}") from None
        return msgspec.json.encode({"result": answer})

    # Faults

    def fault(self, name: str, **given: Any) -> int:
        """Inject a fault; into how many connections at once. Raises BadFault, also when it could concern none."""
        fault, connections = make_fault(name, **given), self._server.connections.values()
        who = fault.client
        if who and fault.scope is Scope.CURRENT and not any(who in one.link.names() for one in connections):
            raise BadFault(
                f"cannot commit {name}: no client {escape(who, 80)!r} is connected; say scope=later for one that comes"
            )
        return self._server.inject(fault)

    def heal(self, client: str = "", fault: str = "") -> int:
        """End all faults, or those of one client and those planned for it by a name of its own, or one fault alone.

        0: there is no such client or fault, and nothing waits for it.
        """
        if fault and fault not in FAULTS:
            raise BadFault(
                f"cannot heal {escape(fault, 80)!r}: there is no such fault; a client is named by `client`"
            )
        return self._server.heal(client, fault)

    def faults(self) -> dict[str, str]:
        """Every fault, with what it does."""
        return {name: kind.about for name, kind in FAULTS.items()}

    def drop_all(self, reset: bool = True) -> int:
        """Close every connection; how many there were."""
        return self._server.drop_all(reset=reset)

    def raw(self, json: str | Mapping[str, Any], client: str = "") -> int:
        """Send this MapResponse, whatever it says, to the live streams of a client or of all; to how many.

        A text is sent as it is, whether it is JSON or not.
        """
        data = json.encode() if isinstance(json, str) else msgspec.json.encode(json)
        count = 0
        for connection in self._server.connections.values():
            if client and client not in connection.link.names():
                continue
            for stream in connection.link.streams.values():
                if not stream.opened:
                    continue  # a fault keeps its HEADERS back
                stream.send(data, self._now())
                count += 1
        self._server.changed()
        return count

    def ping(self, client: str = "", url: str = "", payload: str = "") -> str:
        """Send a PingRequest, with a payload a c2n one; its id, for `pong`."""
        ping_id = self._control.random_bytes(8).hex()
        self._control.pings[ping_id] = ""
        while len(self._control.pings) > MAX_KEPT_PINGS:
            del self._control.pings[next(iter(self._control.pings))]
        if payload:
            request = JsonPingRequest(
                url=url or f"https://unused/c2n/{ping_id}",
                url_is_noise=True,
                types="c2n",
                payload=payload.encode(),
            )
        else:
            own = f"{self._control.registrar.url}/machine/ping-response?id={ping_id}"
            request = JsonPingRequest(url=url or own)
        self.raw(encode_json({"PingRequest": request}).decode(), client)
        return ping_id

    def pong(self, ping_id: str) -> str:
        """What came back for a ping: `head`, the body of a c2n answer, or nothing yet."""
        return self._control.pings.get(ping_id, "")

    # Looking

    def nodes(self) -> list[NodeView]:
        return [view_of_node(entry) for entry in self._tailnet.entries.values()]

    def node(self, node: str | int) -> NodeView:
        return view_of_node(self._tailnet.find(node))

    def peer(self, node: str | int) -> dict[str, Any]:
        """A node as it stands in the list of peers of a MapResponse (tailcfg.Node)."""
        found: dict[str, Any] = msgspec.json.decode(encode_json(self._tailnet.find(node).node))
        return found

    def clients(self) -> list[ClientView]:
        now, entries = self._now(), self._tailnet.entries
        return [view_of_client(one, entries, now) for one in self._server.connections.values()]

    def seen(self, kind: str = "", after: float = 0.0) -> list[Seen]:
        """What clients did so far, oldest first; of one kind if given, and after a moment of CLOCK_BOOTTIME."""
        return [event for event in self._control.seen if kind in ("", event.kind) and event.at > after]

    def logins(self) -> list[str]:
        """Ids of the logins that are not completed."""
        logins = self._control.registrar.logins.values()
        return [login.id for login in logins if login.state is LoginState.WAITING]

    # Who may join

    def approve_login(self, login_id: str = "", user: str = "") -> bool:
        """Complete a login as its page would, by default the newest one. False: there is none."""
        return self._finish_login(login_id, lambda chosen, wall: self._registrar.approve(chosen, wall, user))

    def refuse_login(self, login_id: str = "") -> bool:
        """Refuse a login as its page would. False: there is none."""
        return self._finish_login(login_id, self._registrar.refuse)

    def add_auth_key(
        self,
        user: str = "alice",
        reusable: bool = True,
        ephemeral: bool = False,
        tags: Sequence[str] = (),
        expires_in: float | None = None,
    ) -> str:
        """A new auth key; the answer is its text."""
        _demand_unicode(user, *tags)
        text = f"devkey-auth-{self._control.random_bytes(16).hex()}"
        expires_at = None if expires_in is None else self._control.wall() + expires_in
        self._registrar.add_auth_key(
            PreAuthKey(
                text=text,
                user=user,
                reusable=reusable,
                ephemeral=ephemeral,
                tags=tuple(tags),
                expires_at=expires_at,
            )
        )
        self._control.persist()
        return text

    def revoke_auth_key(self, text: str) -> bool:
        """False: there is no such key."""
        key = self._registrar.auth_keys.get(text)
        if key is None:
            return False
        key.revoked = True
        self._control.persist()
        return True

    def require(
        self, auth: bool | None = None, approval: bool | None = None, key_lifetime: float | None = None
    ) -> None:
        """Ask newcomers for a login, for an administrator's approval, let node keys expire (0: never).

        What is left out stays as it is.
        """
        registrar = self._registrar
        if key_lifetime is not None:
            if not 0.0 <= key_lifetime <= MAX_KEY_LIFETIME:
                raise TailnetError(f"cannot let keys live for {key_lifetime} s: that is no time")
            registrar.key_lifetime = key_lifetime or None
        registrar.require_auth = registrar.require_auth if auth is None else auth
        registrar.require_approval = registrar.require_approval if approval is None else approval

    # Edits of the tailnet

    def add_node(
        self,
        name: str,
        user: str = "alice",
        tags: Sequence[str] = (),
        online: bool | None = True,
        endpoints: Sequence[str] = (),
    ) -> NodeView:
        """Add a simulated node."""
        _demand_unicode(name, user, *tags, *endpoints)
        entry = self._tailnet.add_node(
            name,
            key=f"nodekey:{self._control.random_bytes(32).hex()}",
            machine=f"mkey:{self._control.random_bytes(32).hex()}",
            disco_key=f"discokey:{self._control.random_bytes(32).hex()}",
            wall=self._control.wall(),
            user=user,
            tags=tuple(tags),
            online=online,
            endpoints=tuple(endpoints),
            hostinfo_raw=msgspec.Raw(msgspec.json.encode({"OS": "linux", "Hostname": name})),
        )
        return self._edited(entry)

    def remove_node(self, node: str | int, end_stream: bool = False) -> NodeView:
        """Delete a node. As on headscale its stream goes on, unless `end_stream`."""
        entry = self._tailnet.find(node)
        stream = self._control.streams.get(entry.node.id)
        self._tailnet.remove_node(entry.node.id)
        if end_stream and stream is not None:
            stream.end(self._now())
        return self._edited(entry)

    def set_online(self, node: str | int, online: bool = True) -> NodeView:
        return self._edit(node, self._tailnet.set_online, online, self._control.wall())

    def set_tags(self, node: str | int, tags: Sequence[str]) -> NodeView:
        _demand_unicode(*tags)
        return self._edit(node, self._tailnet.set_tags, tags)

    def set_routes(self, node: str | int, routes: Sequence[str]) -> NodeView:
        return self._edit(node, self._tailnet.set_routes, routes)

    def set_endpoints(self, node: str | int, endpoints: Sequence[str]) -> NodeView:
        _demand_unicode(*endpoints)
        return self._edit(node, self._tailnet.set_endpoints, endpoints)

    def set_capabilities(self, node: str | int, names: Sequence[str]) -> NodeView:
        _demand_unicode(*names)
        return self._edit(node, self._tailnet.set_capabilities, names)

    def rename(self, node: str | int, name: str) -> NodeView:
        _demand_unicode(name)
        return self._edit(node, self._tailnet.rename, name)

    def expire(self, node: str | int, in_seconds: float = 0.0) -> NodeView:
        """Let the node key expire, now or later."""
        if not abs(in_seconds) <= _MAX_EXPIRY:
            raise TailnetError(f"cannot let a key expire in {in_seconds} s: that is no time")
        entry = self._tailnet.find(node)
        wall = self._control.wall()
        self._tailnet.set_expiry(entry.node.id, wall + in_seconds, wall=wall)
        return self._edited(entry)

    def authorize(self, node: str | int, authorized: bool = True) -> NodeView:
        """Approve a device, or take the approval back."""
        return self._edit(node, self._tailnet.set_authorized, authorized)

    def set_policy(self, policy: Mapping[str, Any] | None = None) -> list[str]:
        """Other rules of who sees whom, as in a policy file; None: everybody sees everybody. Until the server ends.

        Returns the parts that this server ignores.
        """
        return self._rule_by(None if policy is None else parse_policy(policy))

    def load_policy(self, text: str, toml: bool = False) -> list[str]:
        """The same with the text of a policy file."""
        return self._rule_by(read_policy_text(text, toml=toml))

    def set_aspect(self, aspect: str, json: str) -> None:
        """Replace DERPMap, DNSConfig, Domain, PacketFilters or SSHPolicy by this JSON."""
        try:
            chosen = Aspect(aspect)
        except ValueError as error:
            raise TailnetError(f"cannot set that: {escape(str(error))}") from None
        self._tailnet.set_aspect(chosen, json.encode())
        self._server.changed()

    def rename_user(self, login: str, display_name: str) -> None:
        _demand_unicode(login, display_name)
        self._tailnet.rename_user(login, display_name)
        self._server.changed()
        self._control.persist()

    def churn(self, count: int = 1) -> None:
        """Make so many random changes at once."""
        for _ in range(min(count, _MAX_CHURN)):
            self._server.churn.step(self._control.wall())
        self._server.changed()

    # Inside

    @property
    def _registrar(self) -> NodeRegistrar:
        return self._control.registrar

    def _rule_by(self, policy: Policy | None) -> list[str]:
        self._tailnet.set_policy(policy)
        self._server.changed()
        return [] if policy is None else list(policy.ignored)

    def _edit(self, node: str | int, edit: Callable[..., object], *given: object) -> NodeView:
        entry = self._tailnet.find(node)
        edit(entry.node.id, *given)
        return self._edited(entry)

    def _edited(self, entry: Entry) -> NodeView:
        self._server.changed()
        if entry.real:
            self._control.persist()  # an answered edit is not lost
        return view_of_node(entry)

    def _finish_login(self, login_id: str, finish: Callable[[str, float], bool]) -> bool:
        known = list(self._registrar.logins)
        chosen = login_id or (known[-1] if known else "")
        login = self._registrar.logins.get(chosen)
        if login is None or not finish(chosen, self._control.wall()):
            return False
        self._control.persist()
        self._control.on_login(chosen)
        self._server.changed()
        if login.why:
            raise TailnetError(f"cannot let the node in: {escape(login.why)}")
        return True


def _demand_unicode(*texts: str) -> None:
    """Refuse lone surrogates, which no message can carry."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise TailnetError(f"cannot use {escape(text, 40)}: it is no Unicode text") from None


_MAX_EXPIRY = 1e9
"""Seconds, thirty years."""
_MAX_CHURN = 100_000
_NAMES = frozenset(name for name in vars(Commands) if not name.startswith("_")) - {"execute"}
