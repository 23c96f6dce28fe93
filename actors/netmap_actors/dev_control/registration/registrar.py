"""Who may join: auth keys, logins that wait for a person, new node keys, expiry and logout, as headscale decides.

Not here: HTTP. A register request comes in decoded, with the machine key Noise has proved; an answer or a wait
comes out. Error texts are headscale's, which operators know.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.registration.requests import hostname_of, requested_tags
from netmap_actors.dev_control.tailnet.json_types import JsonUser, encode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from netmap_actors.dev_control.registration.requests import IncomingRegisterRequest
    from netmap_actors.dev_control.tailnet.tailnet import Entry, Tailnet

__all__ = [
    "DEFAULT_USER",
    "MAX_KEY_LIFETIME",
    "MAX_PENDING",
    "PENDING_LIFETIME",
    "LoginRequest",
    "LoginState",
    "NodeRegistrar",
    "PreAuthKey",
    "RegisterAnswer",
    "Wait",
]

DEFAULT_USER = "alice"
MAX_PENDING = 1000
"""Logins that wait for a person at once; the oldest is forgotten first."""
MAX_KEY_LIFETIME = 1e9
"""Seconds, thirty years."""
PENDING_LIFETIME = 15 * 60.0
"""Seconds an AuthURL is valid, as on headscale."""


class PreAuthKey(msgspec.Struct, kw_only=True):
    """A pre-authorization key. Its text is a secret of this server's state directory."""

    text: str
    user: str = DEFAULT_USER
    reusable: bool = True
    ephemeral: bool = False
    tags: tuple[str, ...] = ()
    expires_at: float | None = None
    """UNIX seconds; None: never."""
    used: bool = False
    revoked: bool = False

    def __repr__(self) -> str:
        return f"PreAuthKey(user={self.user!r}, reusable={self.reusable}, used={self.used}, revoked={self.revoked})"


class LoginState(enum.Enum):
    """What became of an AuthURL."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"


class LoginRequest(msgspec.Struct):
    """A login to be completed in a browser."""

    id: str
    machine: str
    request: IncomingRegisterRequest
    expires_at: float
    state: LoginState = LoginState.WAITING
    why: str = ""
    """Why it was refused, if it was not by a person."""


class _Response(msgspec.Struct, frozen=True, kw_only=True):
    """tailcfg.RegisterResponse."""

    User: JsonUser
    Login: dict[str, Any]
    NodeKeyExpired: bool = False
    MachineAuthorized: bool = False
    AuthURL: str = ""
    Error: str = ""


class RegisterAnswer(msgspec.Struct, frozen=True):
    """The body of a 200."""

    json: bytes
    changed: bool = False
    """State that must survive a restart was changed."""
    error: str = ""
    """What it refuses the request with."""


class Wait(msgspec.Struct, frozen=True):
    """The answer comes when this login is completed or over."""

    login_id: str


class NodeRegistrar:
    """Decides on register requests and performs them on the tailnet."""

    def __init__(
        self,
        tailnet: Tailnet,
        *,
        url: str,
        random_hex: Callable[[int], str],
        require_auth: bool = True,
        require_approval: bool = False,
        key_lifetime: float | None = None,
    ) -> None:
        """`url`: where people reach this server. `random_hex(n)`: n random bytes in hex.

        `require_approval`: a new machine waits for an administrator. `key_lifetime`: seconds a node key is valid.
        """
        self._tailnet = tailnet
        self.url = url
        self._random_hex = random_hex
        self.require_auth = require_auth
        self.require_approval = require_approval
        self.key_lifetime = key_lifetime
        self.user = DEFAULT_USER
        """The user who completes logins that name none."""
        self.auth_keys: dict[str, PreAuthKey] = {}
        self.logins: dict[str, LoginRequest] = {}

    def add_auth_key(self, key: PreAuthKey) -> None:
        self.auth_keys[key.text] = key

    def register(self, request: IncomingRegisterRequest, machine: str, wall: float) -> RegisterAnswer | Wait:
        """Decide on one request from this machine (key in text form)."""
        entry = self._tailnet.by_key(str(request.node_key))
        if entry is not None and entry.node.machine != machine:
            return self._error("node exists with a different machine key")
        if entry is not None and request.expiry is not None:
            return self._set_expiry(entry, request.expiry, wall)
        if request.followup:
            return self._followup(request, machine, wall)
        if request.auth_key:
            return self._with_auth_key(request, machine, entry, wall)
        if entry is not None:
            return self._respond(entry, expired=entry.node.expired)
        if self.require_auth:
            return self._new_login(request, machine, wall)
        refused = self._refused_tags(request, self.user)
        return (
            self._error(refused)
            if refused
            else self._admit(request, machine, self._session(request, self.user), wall)
        )

    def approve(self, login_id: str, wall: float, user: str = "") -> bool:
        """Complete a login as this user. False: it is unknown or over.

        A user who may not assign the tags that the node asks for is refused: then the login has a `why`.
        """
        login = self._live(login_id, wall)
        if login is None:
            return False
        user = user or self.user
        login.why = self._refused_tags(login.request, user)
        login.state = LoginState.REFUSED if login.why else LoginState.APPROVED
        if not login.why:
            self._admit(login.request, login.machine, self._session(login.request, user), wall)
        return True

    def refuse(self, login_id: str, wall: float) -> bool:
        """Refuse a login. False: it is unknown or over."""
        login = self._live(login_id, wall)
        if login is None:
            return False
        login.state = LoginState.REFUSED
        return True

    def _set_expiry(self, entry: Entry, expiry: float, wall: float) -> RegisterAnswer:
        if expiry > wall:
            return self._error("extending key is not allowed")
        if entry.ephemeral:
            self._tailnet.remove_node(entry.node.id)
            return self._respond(entry, expired=True)
        self._tailnet.set_expiry(entry.node.id, wall, wall=wall)
        return self._respond(entry, expired=True)

    def _followup(self, request: IncomingRegisterRequest, machine: str, wall: float) -> RegisterAnswer | Wait:
        prefix, _, login_id = request.followup.rpartition("/auth/")
        if not prefix or not login_id.isalnum():
            return self._error("invalid registration ID")
        login = self.logins.get(login_id)
        known = self._tailnet.by_key(str(request.node_key))
        if login is None and known is not None and not known.node.expired:
            return self._respond(known)  # it was completed, and the answer lost
        if login is None or login.expires_at <= wall or login.machine != machine:
            return self._new_login(request, machine, wall)
        if login.state is LoginState.WAITING:
            return Wait(login_id)
        entry = self._tailnet.by_key(str(request.node_key))
        del self.logins[login_id]
        if login.why:
            return self._error(login.why)
        if login.state is LoginState.REFUSED or entry is None:
            return self._new_login(request, machine, wall)
        return self._respond(entry, changed=True)

    def _with_auth_key(
        self, request: IncomingRegisterRequest, machine: str, entry: Entry | None, wall: float
    ) -> RegisterAnswer:
        key = self.auth_keys.get(request.auth_key)
        if entry is not None:
            # A restart with the same node key: a used one-shot key is accepted. An expired node key has to be replaced.
            return self._respond(entry, expired=entry.node.expired)
        if key is None:
            return self._error("invalid pre auth key")
        for refused, why in (
            (key.revoked, "authkey revoked"),
            (key.expires_at is not None and key.expires_at <= wall, "authkey expired"),
            (key.used and not key.reusable, "authkey already used"),
        ):
            if refused:
                return self._error(why)
        tags = requested_tags(request.hostinfo)
        if not set(tags) <= set(key.tags):
            return self._error(_not_permitted(tags))
        key.used = True
        return self._admit(request, machine, key, wall)

    def _admit(
        self, request: IncomingRegisterRequest, machine: str, key: PreAuthKey, wall: float
    ) -> RegisterAnswer:
        """Enter the node, or give the machine's node its new key."""
        tailnet = self._tailnet
        node_key = str(request.node_key)
        entry = tailnet.by_key(node_key) or self._earlier(request, machine, key.user)
        if entry is None:
            entry = tailnet.add_node(
                hostname_of(request.hostinfo) or "node",
                key=node_key,
                machine=machine,
                wall=wall,
                user=key.user,
                real=True,
                ephemeral=key.ephemeral or request.ephemeral,
                tags=key.tags,
                hostinfo=request.hostinfo,
                cap=request.version,
                online=False,
                machine_authorized=not self.require_approval,
            )
        else:
            tailnet.rotate_key(entry.node.id, node_key)
            if key.tags or (not key.text and tailnet.policy is not None):
                # A tagged key tags the node again; one without tags leaves what an administrator assigned.
                tailnet.set_tags(entry.node.id, key.tags)
            if request.hostinfo is not None:
                tailnet.set_hostinfo(entry.node.id, request.hostinfo)
        lifetime = self.key_lifetime
        tailnet.set_expiry(entry.node.id, None if lifetime is None else wall + lifetime, wall=wall)
        return self._respond(entry, changed=True)

    def _session(self, request: IncomingRegisterRequest, user: str) -> PreAuthKey:
        """A login as a key. The tags a node asks for count only under a policy, which says who may assign them."""
        tags = requested_tags(request.hostinfo) if self._tailnet.policy is not None else ()
        return PreAuthKey(text="", user=user, tags=tags)

    def _refused_tags(self, request: IncomingRegisterRequest, user: str) -> str:
        """Why this user may not register a node with such tags; empty if it may."""
        refused = self._tailnet.refused_tags(user, requested_tags(request.hostinfo))
        return _not_permitted(refused) if refused else ""

    def _earlier(self, request: IncomingRegisterRequest, machine: str, user: str) -> Entry | None:
        """The node that comes back with a new key: known by its old one, or by machine and owner."""
        entries = self._tailnet.by_machine(machine)
        old = str(request.old_node_key) if request.old_node_key is not None else ""
        owner = self._tailnet.user_id(user)
        return next((entry for entry in entries if entry.node.key == old), None) or next(
            (entry for entry in entries if entry.owner == owner), None
        )

    def _new_login(self, request: IncomingRegisterRequest, machine: str, wall: float) -> RegisterAnswer:
        self._forget_old(wall)
        login_id = self._random_hex(12)
        self.logins[login_id] = LoginRequest(login_id, machine, request, wall + PENDING_LIFETIME)
        return RegisterAnswer(_encode(AuthURL=f"{self.url}/auth/{login_id}"), changed=True)

    def _forget_old(self, wall: float) -> None:
        for login_id in [login.id for login in self.logins.values() if login.expires_at <= wall]:
            del self.logins[login_id]
        while len(self.logins) >= MAX_PENDING:
            del self.logins[next(iter(self.logins))]

    def _live(self, login_id: str, wall: float) -> LoginRequest | None:
        login = self.logins.get(login_id)
        if login is None or login.expires_at <= wall or login.state is not LoginState.WAITING:
            return None
        return login

    def _respond(self, entry: Entry, *, expired: bool = False, changed: bool | None = None) -> RegisterAnswer:
        user = self._tailnet.user(entry.owner)
        authorized = entry.node.machine_authorized and not expired
        json = _encode(user, NodeKeyExpired=expired, MachineAuthorized=authorized)
        return RegisterAnswer(json, changed=expired if changed is None else changed)

    @staticmethod
    def _error(text: str) -> RegisterAnswer:
        return RegisterAnswer(_encode(Error=text), error=text)


def _encode(user: JsonUser | None = None, **fields: Any) -> bytes:
    who = user or JsonUser(id=0, login_name="", display_name="")
    login = {"ID": who.id, "Provider": "dev", "LoginName": who.login_name, "DisplayName": who.display_name}
    return encode_json(_Response(User=who, Login=login, **fields))


def _not_permitted(tags: Iterable[str]) -> str:
    return f"requested tags [{' '.join(tags)}] are invalid or not permitted"
