"""User profiles: collected during a session, shown while a node of the netmap refers to them.

Rule: tailscale: control/controlclient/map.go, netmap(). Not here: the references (`peer_table`).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from netmap_actors.netmap.changes import Profile, ProfilesUpdate
from netmap_actors.netmap.node_json import same_json
from netmap_actors.slices import each
from netmap_actors.tailcfg.bounds import MAX_PROFILE_BYTES, MAX_PROFILES_AT_ONCE, MAX_UNREFERENCED_PROFILES
from netmap_actors.tailcfg.go_json import NotGoJson, decode, is_set
from netmap_actors.tailcfg.map_response import UserProfile

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    import msgspec

__all__ = ["Profiles"]


class Profiles:
    """The profiles of a session, and those shown."""

    def __init__(self) -> None:
        self._known: dict[int, Profile] = {}
        self._shown: dict[int, Profile] = {}
        self._self_user = 0
        self.left_out = 0
        """Profiles not read or not kept: too long, or too many that are not referred to."""
        self.bad = 0
        """Profiles that could not be read; the rest of their message is valid."""

    @property
    def shown(self) -> Mapping[int, Profile]:
        """The profiles referred to, by user id."""
        return self._shown

    def read(self, given: Sequence[msgspec.Raw]) -> Generator[None, None, list[Profile]]:
        """Read the profiles of one message, in slices, without adopting them. Of too many only the first are read."""
        profiles: list[Profile] = []

        def add(data: msgspec.Raw) -> None:
            if len(memoryview(data)) > MAX_PROFILE_BYTES:
                self.left_out += 1
                return
            profile = self._read(bytes(data)) if is_set(data) else None
            if profile is not None:
                profiles.append(profile)

        if not given:
            return profiles
        self.left_out += max(0, len(given) - MAX_PROFILES_AT_ONCE)
        yield from each(given[:MAX_PROFILES_AT_ONCE], add)
        return profiles

    def change(
        self,
        given: Sequence[Profile],
        *,
        first: bool,
        self_user: int,
        references: Mapping[int, int],
        touched: AbstractSet[int],
    ) -> ProfilesUpdate | None:
        """Adopt the profiles of one message; the changes of the shown ones.

        `references`: number of peers that refer to a user; `touched`: users for whom it has changed. `first`: the
        message begins a session, earlier profiles are dropped.
        """
        if not given and not first and self_user == self._self_user and not self._have_any(touched):
            return None
        to_see = set(touched)
        if first:
            to_see |= self._shown.keys()
            self._known = {}
        for profile in given:
            # Reinserted at the end: the latest is dropped last.
            self._known.pop(profile.id, None)
            self._known[profile.id] = profile
            to_see.add(profile.id)
        if self_user != self._self_user:
            to_see |= {self_user, self._self_user}
            self._self_user = self_user
        changed = self._settle(to_see, references)
        self._forget()
        return changed

    @property
    def kept(self) -> int:
        """Number of profiles, shown or not."""
        return len(self._known)

    def _have_any(self, users: AbstractSet[int]) -> bool:
        # Views look at no more than the smaller of the two: not at every profile for each change.
        return not (self._known.keys().isdisjoint(users) and self._shown.keys().isdisjoint(users))

    def _forget(self) -> None:
        """Drop the oldest unreferenced ones when they are too many; several at a time, as this scans all."""
        spare = len(self._known) - len(self._shown)
        if spare <= MAX_UNREFERENCED_PROFILES:
            return
        too_many = spare - MAX_UNREFERENCED_PROFILES * 9 // 10
        oldest = (user for user in self._known if user not in self._shown)
        for user in list(itertools.islice(oldest, too_many)):
            del self._known[user]
        self.left_out += too_many

    def _settle(self, to_see: AbstractSet[int], references: Mapping[int, int]) -> ProfilesUpdate | None:
        upserted: list[Profile] = []
        removed: list[int] = []
        # Most users of a large netmap may have no profile; they are left out by operations on sets, each of which looks
        # at no more than the smaller of the two.
        for user in sorted((to_see & self._known.keys()) | (to_see & self._shown.keys())):
            wanted = self._known.get(user) if user in references or user == self._self_user else None
            shown = self._shown.get(user)
            if wanted is None:
                if shown is not None:
                    del self._shown[user]
                    removed.append(user)
            elif shown is None or not same_json(shown.json, wanted.json):
                self._shown[user] = wanted
                upserted.append(wanted)
        if not upserted and not removed:
            return None
        return ProfilesUpdate(tuple(upserted), tuple(removed))

    def _read(self, data: bytes) -> Profile | None:
        try:
            profile = decode(UserProfile, data)
        except NotGoJson:
            self.bad += 1
            return None
        return Profile(profile.id, profile.login_name, profile.display_name, profile.profile_pic_url, data)
