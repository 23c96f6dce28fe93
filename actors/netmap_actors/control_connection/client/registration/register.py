"""Decides on the requests to `/machine/register` and the meaning of each answer. Pure.

Not here: the exchange itself and its limits in time (`session`). Order of judgement: tailscale:
control/controlclient/direct.go, doLogin.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.control_connection.client.capability import CAPABILITY_VERSION
from netmap_actors.control_connection.client.events import (
    AuthKeyUnused,
    LoginNeeded,
    Registered,
    SaveNodeKey,
    SaveRegistration,
)
from netmap_actors.control_connection.client.registration.record import PendingLogin, Registration
from netmap_actors.errors import RemoteProtocolError, escape
from netmap_actors.exit_reason import ExitReason
from netmap_actors.tailcfg import NotGoJson, RegisterAuth, RegisterRequest, RegisterResponse, decode
from netmap_actors.web_url import BadUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netmap_actors.control_connection.auth_key import ClientAuthKey
    from netmap_actors.control_connection.client.events import SessionEvent
    from netmap_actors.protocol.keys import NodeKey, NodePrivate
    from netmap_actors.web_url import UrlPolicy

__all__ = [
    "Again",
    "Done",
    "Refused",
    "RegistrationFlow",
    "RegistrationPolicy",
    "RegistrationStep",
    "parse_register_response",
]

_AUTH_KEY_WORDS = re.compile(r"(?:pre[ -]?)?auth[ -]?key|preauth", re.IGNORECASE)
"""In every refusal of an auth key (headscale: hscontrol/auth.go; testcontrol)."""
_TAG_WORDS = re.compile(r"requested tags?\b", re.IGNORECASE)
"""In a refusal of Hostinfo.RequestTags (headscale: hscontrol/state/state.go)."""


class RegistrationPolicy(msgspec.Struct, frozen=True):
    """The settings that concern registration."""

    urls: UrlPolicy
    """Which login URLs may be shown."""
    ephemeral: bool = False
    register_first: bool = False
    may_undo_removal: bool = False
    """An auth key may bring back a node that was removed."""


class Done(msgspec.Struct, frozen=True):
    """The node is registered."""

    events: tuple[SessionEvent, ...]


class Again(msgspec.Struct, frozen=True):
    """Another request follows, after these events."""

    events: tuple[SessionEvent, ...]


class Refused(msgspec.Struct, frozen=True):
    """The attempt is over."""

    reason: ExitReason
    detail: str


RegistrationStep = Done | Again | Refused


class RegistrationFlow:
    """One process's registration: the next request, and what follows from its answer."""

    def __init__(
        self,
        registration: Registration,
        node_key: NodePrivate,
        auth_key: ClientAuthKey | None,
        policy: RegistrationPolicy,
        new_node_key: Callable[[], NodePrivate],
    ) -> None:
        self.registration = registration
        self.node_key = node_key
        """The key of map requests; a trial key becomes it when the server accepts it."""
        self._auth_key = auth_key
        self._policy = policy
        self._new_node_key = new_node_key
        pending = registration.pending
        self._trial = pending.node_key if pending else node_key
        self._old = pending.old_node_key if pending else None
        self._followup = pending.auth_url if pending and not self._uses_auth_key else ""
        """The login URL exactly as the server wrote it."""
        if self._followup and not self.login_url:
            # Accepted by an older version, but not to be shown: a new one is asked for.
            self._followup = ""
        self._rotated = False
        self._followup_refused = False

    @property
    def needed(self) -> bool:
        """Whether register comes before the map request."""
        known = self.registration
        return (
            self._policy.register_first
            or known.removed
            or known.pending is not None
            or known.registered_node_key != self.node_key.public()
            or self._auth_key_changed
        )

    @property
    def waits_for_person(self) -> bool:
        """Whether the next request blocks until a person has opened the login URL."""
        return bool(self._followup)

    @property
    def login_url(self) -> str:
        """The URL to show while `waits_for_person`; empty if it must not be shown."""
        try:
            return self._policy.urls.shown(self._followup)
        except BadUrl:
            return ""

    @property
    def key_in_use(self) -> NodeKey:
        """Public half of the key of the next request."""
        return self._trial.public()

    @property
    def replaced_key(self) -> NodeKey | None:
        """The key that the one in use replaces."""
        return self._old

    def request(self) -> RegisterRequest:
        """The next request."""
        auth = (
            RegisterAuth(auth_key=self._auth_key.secret) if self._auth_key and self._uses_auth_key else None
        )
        return RegisterRequest(
            version=CAPABILITY_VERSION,
            node_key=str(self._trial.public()),
            old_node_key=str(self._old) if self._old else "",
            auth=auth,
            followup=self._followup,
            hostinfo=self.registration.hostinfo,
            ephemeral=self._policy.ephemeral,
        )

    def refresh(self) -> RegisterRequest:
        """The truth probe, about the key of the map session.

        Without `Auth` and `Expiry` it changes nothing for a living node, and no peer sees it.
        """
        return RegisterRequest(
            version=CAPABILITY_VERSION,
            node_key=str(self.node_key.public()),
            hostinfo=self.registration.hostinfo,
            ephemeral=self._policy.ephemeral,
        )

    def judge(self, answer: RegisterResponse) -> RegistrationStep:
        """The step that follows from the answer to `request`."""
        if answer.error:
            return self._on_error(answer.error)
        if self._registered_anyway and not answer.node_key_expired:
            if answer.auth_url or answer.node_key_signature:
                return self._goes_on("wants a person for it")
            if answer == RegisterResponse():
                return self._goes_on("answers nothing")
        if answer.node_key_signature:
            return Refused(
                ExitReason.ERROR,
                "cannot register: the tailnet asks for a tailnet-lock signature, which this client cannot give",
            )
        if answer.node_key_expired:
            return self._on_expired()
        if answer.auth_url:
            return self._on_auth_url(answer.auth_url)
        if answer == RegisterResponse():
            # headscale answers null when an ephemeral node vanished meanwhile (headscale: hscontrol/auth.go).
            return Refused(ExitReason.ERROR, "cannot register: the server's answer is empty")
        return self._on_success(answer)

    def judge_refusal(self, detail: str, retry_after: float) -> Done | Refused:
        """The same for an HTTP status other than 200. `retry_after`: seconds the server asks us to stay away, or 0."""
        if self._registered_anyway and not retry_after:
            return self._goes_on(detail)
        return Refused(ExitReason.ERROR, f"cannot register: the control server {detail}")

    def forget_node(self, *, removed: bool) -> SaveRegistration:
        """The server no longer accepts our node key: the next process registers first."""
        return self._save(
            msgspec.structs.replace(
                self.registration, registered_node_key=None, removed=removed or self.registration.removed
            ),
            required=False,
        )

    @property
    def _auth_key_changed(self) -> bool:
        return self._auth_key is not None and self._auth_key.digest != self.registration.auth_key_digest

    @property
    def _uses_auth_key(self) -> bool:
        """Sent, except where it would undo an administrator's removal of the node."""
        if self._auth_key is None:
            return False
        may_return = self._policy.may_undo_removal or self._policy.ephemeral
        return not self.registration.removed or may_return or self._auth_key_changed

    @property
    def _registered_anyway(self) -> bool:
        """Whether a changed auth key is the only reason to register: the server knows this node key."""
        known = self.registration
        return (
            self._auth_key_changed
            and known.registered_node_key == self.node_key.public()
            and known.pending is None
            and not known.removed
            and not self._policy.register_first
        )

    @staticmethod
    def _goes_on(why: str) -> Done:
        """The changed auth key was not accepted, and is not needed. `why`: what the server does, escaped."""
        detail = (
            f"cannot register anew by the changed auth key: the control server {why}; this node is registered and "
            "goes on; put back the old key, or a valid one"
        )
        return Done((AuthKeyUnused(detail),))

    def _on_error(self, error: str) -> RegistrationStep:
        if self._registered_anyway:
            return self._goes_on(f"says: {escape(error)}")
        tags = self.registration.hostinfo.request_tags or ()
        if tags and _TAG_WORDS.search(error):
            return Refused(ExitReason.ERROR, self._tags_refused(escape(error), tags))
        if self._uses_auth_key and _AUTH_KEY_WORDS.search(error):
            return Refused(
                ExitReason.LOGIN_REFUSED,
                f"cannot register: the control server refuses the auth key: {escape(error)}; "
                "make a new one and put it where the old one was",
            )
        if self._followup and not self._followup_refused:
            # The login is no longer known (headscale: "invalid registration ID"): begin a new one.
            self._followup, self._followup_refused = "", True
            return Again((self._save_pending(),))
        return Refused(ExitReason.ERROR, f"cannot register: the control server says: {escape(error)}")

    def _tags_refused(self, error: str, tags: Sequence[str]) -> str:
        said = f"cannot register: the control server refuses the tags asked for: {error}; "
        if not self._uses_auth_key:
            return f"{said}the policy's tagOwners have to allow them to whoever logs in, or take --request-tags away"
        # headscale accepts none beside a key, whatever the policy: only the key's own count.
        return (
            f"{said}beside an auth key headscale takes none: take --request-tags away, and use a key that carries them "
            f"(`headscale preauthkeys create --tags {escape(','.join(tags))}`)"
        )

    def _on_expired(self) -> RegistrationStep:
        if self._rotated:
            return Refused(
                ExitReason.EXPIRED, "cannot register: the control server calls a new node key expired, too"
            )
        self._rotated = True
        self._old = self._trial.public()
        self._trial = self._new_node_key()
        self._followup = ""
        return Again((self._save_pending(),))

    def _on_auth_url(self, url: str) -> RegistrationStep:
        if url == self._followup:
            return Refused(
                ExitReason.ERROR, "cannot log in: the server keeps answering with the same login URL"
            )
        try:
            shown = self._policy.urls.shown(url)
        except BadUrl as error:
            return Refused(ExitReason.ERROR, f"cannot show the login URL: {error}")
        self._followup = url
        return Again((self._save_pending(), LoginNeeded(shown)))

    def _on_success(self, answer: RegisterResponse) -> RegistrationStep:
        events: list[SessionEvent] = []
        if self._trial != self.node_key:
            events.append(SaveNodeKey(self._trial))
            self.node_key = self._trial
        self._old, self._followup = None, ""
        digest = self._auth_key.digest if self._auth_key else self.registration.auth_key_digest
        events.append(
            self._save(
                msgspec.structs.replace(
                    self.registration,
                    registered_node_key=self.node_key.public(),
                    auth_key_digest=digest,
                    removed=False,
                    pending=None,
                ),
                required=False,
            )
        )
        events.append(LoginNeeded(""))
        user = answer.login.login_name if answer.login else ""
        events.append(Registered(answer.machine_authorized, escape(user)))
        return Done(tuple(events))

    def _save_pending(self) -> SaveRegistration:
        pending = PendingLogin(self._trial, self._followup, self._old)
        return self._save(msgspec.structs.replace(self.registration, pending=pending), required=True)

    def _save(self, registration: Registration, *, required: bool) -> SaveRegistration:
        self.registration = registration
        return SaveRegistration(registration, required)


def parse_register_response(body: bytes) -> RegisterResponse:
    """The answer in a 200. Raises RemoteProtocolError."""
    if body.strip() == b"null":
        return RegisterResponse()
    try:
        return decode(RegisterResponse, body)
    except NotGoJson as error:
        raise RemoteProtocolError(f"cannot register: {escape(str(error))}") from None
