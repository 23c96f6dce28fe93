"""How often a session waits for the server before its map request is out: a round trip of every respawn each time."""

from __future__ import annotations

import msgspec
import pytest

from netmap_actors.control_connection.client.events import SaveRegistration, ServerProved
from tests.support.servers.scripted_control import (
    KNOWN,
    LOGGED_IN,
    POLICY,
    REGISTERED,
    ScriptedControl,
)


class TerseControl(ScriptedControl):
    """Says no more than it must: no SETTINGS, no early payload and no acknowledgement before the map request came."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.waits = 0
        """Reads of the session so far."""
        self.writes: list[int] = []
        """For each write of the session, the reads before it."""

    def to_client(self, data: bytes) -> None:
        self.waits += 1
        super().to_client(data)

    def from_client(self, data: bytes) -> None:
        self.writes.append(self.waits)
        super().from_client(data)

    def flush(self) -> None:
        if self.requests:
            super().flush()


def test_the_map_request_of_a_known_node_waits_for_the_handshake_and_for_nothing_else() -> None:
    """With the TCP connection before it, it is in the third flight."""
    control = TerseControl()
    control.pings_heard = False
    control.start()
    assert (control.last.path, control.last.ended) == ("/machine/map", True)
    assert control.writes == [0, 1], "the upgrade at once, then everything of HTTP/2 in one write"


def test_nothing_is_to_be_written_to_disk_between_the_handshake_and_the_map_request() -> None:
    control = TerseControl().start()
    assert [proved.required for proved in control.take(ServerProved)] == [False]
    assert control.take(SaveRegistration) == []


@pytest.mark.parametrize("early_payload", [None, b"{}"])
def test_an_early_payload_is_not_waited_for(early_payload: bytes | None) -> None:
    control = TerseControl(early_payload=early_payload)
    control.pings_heard = False
    control.start()
    assert control.writes == [0, 1]


def test_a_node_that_has_to_register_first_waits_once_more() -> None:
    control = TerseControl(KNOWN, policy=msgspec.structs.replace(POLICY, register_first=True)).start()
    assert control.last.path == "/machine/register"
    control.answer(LOGGED_IN)
    assert control.last.path == "/machine/map"
    first_of_map = next(i for i, waits in enumerate(control.writes) if waits > 1)
    assert control.writes[: first_of_map + 1] == [0, 1, 2]


def test_a_resync_asks_again_without_waiting() -> None:
    control = ScriptedControl(REGISTERED).start()
    control.send_map(b'{"Node":{"ID":1},"Peers":[]}')
    asked = len(control.requests)
    control.note(control.session.resync(control.now))
    control.settle()
    assert [request.path for request in control.requests[asked:]] == ["/machine/map"]
