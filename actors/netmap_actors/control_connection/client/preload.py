"""Loads and builds what every session uses and none changes, so that processes forked afterwards have it.

Ciphers, HTTP/2's tables, decoders: some 10 ms of CPU between the start of a new process and its first map. Every key
here is a constant, and nothing leaves the process. Not here: who calls it (whoever forks the connection).
"""

from __future__ import annotations

from netmap_actors.control_connection.client.capability import CAPABILITY_VERSION
from netmap_actors.control_connection.client.map_session import map_request
from netmap_actors.control_connection.client.registration.hostinfo import HostDescription
from netmap_actors.control_connection.client.registration.node_file import NodeFile
from netmap_actors.control_connection.client.registration.record import Registration
from netmap_actors.control_connection.client.registration.register import parse_register_response
from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.protocol.http2 import Http2Client
from netmap_actors.protocol.keys import MachinePrivate, NodePrivate
from netmap_actors.protocol.map_framing import MapFrameReader, encode_frame
from netmap_actors.protocol.noise import Initiator, RecordStream, Responder
from netmap_actors.protocol.upgrade import UpgradeClient
from netmap_actors.tailcfg import check_map_response_shape

__all__ = ["go_once_through"]

_RAW = bytes(range(32))
_URL = "http://localhost"
_MAP = b'{"Node":{"ID":1},"Peers":[{"ID":2}],"DERPMap":{},"PeersChangedPatch":[{"NodeID":2}]}'


def go_once_through() -> None:
    """Do all that a respawn does from its files to its first map, with a server that has the same key."""
    machine, node = MachinePrivate.from_raw(_RAW), NodePrivate.from_raw(_RAW)
    host = ControlUrl.parse(_URL).host_header
    initiator = Initiator(machine, machine.public(), CAPABILITY_VERSION, _RAW)
    UpgradeClient(host, initiator.initiation).data_to_send()
    response, ciphers, _, _ = Responder(machine, _RAW).receive(initiator.initiation)
    records = RecordStream(initiator.receive(response))
    http2 = Http2Client(host)
    registration = Registration.fresh(_RAW, _RAW.hex(), HostDescription("", (), "", "", ""))
    body = map_request(node.public(), registration.disco_key.public(), registration.hostinfo)
    http2.request("POST", "/", [], body)
    RecordStream(ciphers).receive(records.seal(http2.data_to_send()))
    for document in MapFrameReader().receive(encode_frame(_MAP, compress=True)):
        check_map_response_shape(document)
    parse_register_response(b"{}")
    NodeFile.from_json(NodeFile(node, machine, _URL, machine.public()).to_json(), _URL)
    Registration.from_json(registration.to_json(), _URL)
