"""What one client gets of a recording: the recorded node is told to be its own, by its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.tailnet.client_netmap import ClientNetmap
from netmap_actors.dev_control.tailnet.json_types import encode_json
from netmap_actors.recording.state import UNPLAYED
from netmap_actors.rfc3339 import unix_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.dev_control.replay.player import ReplayPlayer
    from netmap_actors.dev_control.tailnet.tailnet import Aspect, Tailnet

__all__ = ["RecordedNetmap"]

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class RecordedNetmap(ClientNetmap):
    """One map session of a replay. Edits of the tailnet are not in it."""

    def __init__(self, tailnet: Tailnet, node_id: int, player: ReplayPlayer) -> None:
        super().__init__(tailnet, node_id)
        self._player = player
        self.missed = False
        """Something could not be sent: what follows has to be the whole netmap."""

    @property
    def behind(self) -> bool:
        return self.missed

    @property
    def peers(self) -> list[int]:
        """Ids of the nodes this client knows of."""
        whole = msgspec.json.decode(self._player.whole())
        peers = whole.get("Peers")
        ids = [peer.get("ID") for peer in peers if isinstance(peer, dict)] if isinstance(peers, list) else []
        return [one for one in ids if isinstance(one, int)]

    def mark(self, nodes: Iterable[int], aspects: Iterable[Aspect]) -> None:
        """Nothing: these are not in the recording."""

    def full(self, wall: float) -> bytes:
        self.missed = False
        return self.ours(self._player.whole(), wall)

    def delta(self, wall: float) -> bytes | None:
        return self.full(wall) if self.missed else None

    def ours(self, json: bytes, wall: float) -> bytes:
        """A recorded MapResponse with this client's keys, and without orders that were for the other one."""
        fields = _fields(json)
        entry = self._tailnet.entries.get(self.node_id)
        kept = {name: value for name, value in fields.items() if name not in UNPLAYED}
        node = fields.get("Node")
        if entry is not None and node is not None and bytes(node) != b"null":
            kept["Node"] = msgspec.Raw(
                encode_json(_own(_fields(node), entry.node.key, entry.node.machine, wall))
            )
        elif len(kept) == len(fields):
            return json
        return encode_json(kept)


def _own(node: dict[str, msgspec.Raw], key: str, machine: str, wall: float) -> dict[str, msgspec.Raw]:
    own = node | {"Key": msgspec.Raw(encode_json(key)), "Machine": msgspec.Raw(encode_json(machine))}
    expiry = own.get("KeyExpiry")
    if expiry is not None and _is_past(expiry, wall):
        # The recorded key has expired since; this client's has not.
        del own["KeyExpiry"]
    return own


def _is_past(expiry: msgspec.Raw, wall: float) -> bool:
    text = msgspec.json.decode(expiry)
    at = unix_seconds(text) if isinstance(text, str) else None
    # Go's zero time stands for a key that does not expire.
    return at is not None and 0 < at < wall
