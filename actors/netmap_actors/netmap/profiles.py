"""User profiles: collected over a session, shown while a node of the netmap refers to them.

Not here: who refers to whom (`peer_table.user_references`). Rule: tailscale: control/controlclient/map.go, netmap().
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.netmap.changes import Profile, UserProfilesChanged
from netmap_actors.netmap.node_json import same_json
from netmap_actors.slices import each
from netmap_actors.tailcfg.go_json import NotGoJson, decode, is_set
from netmap_actors.tailcfg.map_response import UserProfile

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    import msgspec

__all__ = ["Profiles"]


class Profiles:
    """Every profile of the session, and those that are shown."""

    def __init__(self) -> None:
        self._known: dict[int, Profile] = {}
        self._shown: dict[int, Profile] = {}
        self._self_user = 0
        self.bad = 0
        """Profiles that could not be read; the rest of their message counts."""

    @property
    def shown(self) -> Mapping[int, Profile]:
        """The profiles somebody refers to, by user id."""
        return self._shown

    def read(self, given: Iterable[msgspec.Raw]) -> Generator[None, None, list[Profile]]:
        """The profiles of one message, in slices; nothing changes by it."""
        profiles: list[Profile] = []

        def add(data: msgspec.Raw) -> None:
            profile = self._read(bytes(data)) if is_set(data) else None
            if profile is not None:
                profiles.append(profile)

        yield from each(given, add)
        return profiles

    def change(
        self,
        given: Iterable[Profile],
        *,
        first: bool,
        self_user: int,
        references: Mapping[int, int],
        touched: AbstractSet[int],
    ) -> UserProfilesChanged | None:
        """Take in the profiles of one message; what changed of the shown ones.

        `references`: how many peers refer to a user; `touched`: users for whom that number changed.
        `first`: the message begins a session, what was collected before is forgotten.
        """
        to_see = set(touched)
        if first:
            to_see |= self._shown.keys()
            self._known = {}
        for profile in given:
            self._known[profile.id] = profile
            to_see.add(profile.id)
        if self_user != self._self_user:
            to_see |= {self_user, self._self_user}
            self._self_user = self_user
        return self._settle(to_see, references)

    def _settle(self, to_see: Iterable[int], references: Mapping[int, int]) -> UserProfilesChanged | None:
        upserted: list[Profile] = []
        removed: list[int] = []
        for user in sorted(to_see):
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
        return UserProfilesChanged(tuple(upserted), tuple(removed))

    def _read(self, data: bytes) -> Profile | None:
        try:
            profile = decode(UserProfile, data)
        except NotGoJson:
            self.bad += 1
            return None
        return Profile(profile.id, profile.login_name, profile.display_name, profile.profile_pic_url, data)
