"""Tests for the control server's JSON types and for the gate of the map stream."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netmap_actors import tailcfg
from netmap_actors.errors import BadMapResponse
from netmap_actors.tailcfg import (
    Debug,
    Hostinfo,
    MapRequest,
    MapResponse,
    NotGoJson,
    PeerChange,
    PingRequest,
    RegisterAuth,
    RegisterRequest,
    RegisterResponse,
    UserProfile,
    check_map_response_shape,
    decode,
    decode_map_response,
    encode,
    is_set,
    is_zero_key,
    is_zero_time,
)
from netmap_actors.tailcfg.nesting import MAX_NESTING
from tests.support.work import calls_of

# Field names as encoding/json writes them, in Go's order (tailscale: tailcfg/tailcfg.go, v1.102.5). Of what we only
# send (requests, Hostinfo): the fields that are filled.
GO_NAMES: dict[str, str] = {
    "PeerChange": "NodeID DERPRegion Cap CapMap Endpoints Key KeySignature DiscoKey Online LastSeen KeyExpiry",
    "MapResponse": "MapSessionHandle Seq KeepAlive PingRequest PopBrowserURL Node DERPMap Peers PeersChanged "
    "PeersRemoved PeersChangedPatch PeerSeenChange OnlineChange DNSConfig Domain CollectServices PacketFilter "
    "PacketFilters UserProfiles Health DisplayMessages SSHPolicy ControlTime TKAInfo DomainDataPlaneAuditLogID "
    "Debug ControlDialPlan ClientVersion DefaultAutoUpdate",
    "MapRequest": "Version Compress KeepAlive NodeKey DiscoKey Stream Hostinfo",
    "RegisterRequest": "Version NodeKey OldNodeKey Auth Followup Hostinfo Ephemeral",
    "RegisterResponse": "User Login NodeKeyExpired MachineAuthorized AuthURL NodeKeySignature Error",
    "RegisterAuth": "AuthKey",
    "User": "ID DisplayName ProfilePicURL Created",
    "Login": "ID Provider LoginName DisplayName ProfilePicURL",
    "UserProfile": "ID LoginName DisplayName ProfilePicURL Groups",
    "Hostinfo": "IPNVersion BackendLogID OS OSVersion App Hostname RequestTags",
    "PingRequest": "URL URLIsNoise Log Types IP Payload",
    "DisplayMessage": "Title Text Severity ImpactsConnectivity PrimaryAction",
    "DisplayMessageAction": "URL Label",
    "Debug": "SleepSeconds DisableLogTail Exit",
}


@pytest.mark.parametrize("name", GO_NAMES)
def test_every_field_has_its_name_in_go(name: str) -> None:
    struct = getattr(tailcfg, name)
    assert [field.encode_name for field in msgspec.structs.fields(struct)] == GO_NAMES[name].split()


def test_every_type_of_the_room_is_held_against_go() -> None:
    ours = {"MapResponseShape"}
    structs = {n for n in tailcfg.__all__ if isinstance(getattr(tailcfg, n), type)} - {"NotGoJson"}
    assert structs - ours == set(GO_NAMES)


@pytest.mark.parametrize("name", GO_NAMES)
def test_zero_values_are_not_emitted_and_empty_objects_and_nulls_are_zero_values(name: str) -> None:
    struct = getattr(tailcfg, name)
    assert encode(struct()) == b"{}"
    assert encode(decode(struct, b"{}")) == b"{}"
    nulls = json.dumps(dict.fromkeys(GO_NAMES[name].split())).encode()
    zeroed = decode(struct, nulls)
    for field in msgspec.structs.fields(struct):
        value = getattr(zeroed, field.name)
        assert not is_set(value) if isinstance(value, msgspec.Raw) else value == field.default


def test_nil_and_empty_lists_are_different() -> None:
    assert encode(PeerChange(endpoints=())) == b'{"Endpoints":[]}'
    assert encode(PeerChange(endpoints=None)) == b"{}"
    assert decode(PeerChange, b'{"Endpoints":[],"CapMap":null}') == PeerChange(endpoints=(), cap_map=None)


def test_null_inside_an_inner_object_is_absent_too() -> None:
    response = decode(MapResponse, b'{"PingRequest":{"URL":null,"Log":true},"Domain":null,"X":{"Y":null}}')
    assert response.ping_request == PingRequest(log=True)


def test_unknown_fields_are_ignored_and_names_are_exact() -> None:
    assert decode(UserProfile, b'{"id":7,"New":{"a":[1]},"ID":8}') == UserProfile(id=8)


def test_the_document_null_is_an_empty_answer() -> None:
    assert decode(RegisterResponse, b"null\n") == RegisterResponse()


@pytest.mark.parametrize("data", [b"", b"5", b"[]", b'{"Error":5}', b'{"Error":"a"', b"{" * 100_000])
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(NotGoJson, match="cannot read RegisterResponse"):
        decode(RegisterResponse, data)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_ids_beyond_int64_are_refused(number: int) -> None:
    with pytest.raises(NotGoJson):
        decode(UserProfile, b'{"ID":%d}' % number)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0, -1])
def test_ids_are_any_int64(number: int) -> None:
    assert decode(UserProfile, b'{"ID":%d}' % number).id == number


def test_bytes_are_base64() -> None:
    assert decode(PingRequest, b'{"Payload":"R0VUIC8="}').payload == b"GET /"
    assert decode(PingRequest, b'{"Payload":""}').payload == b""
    assert encode(PingRequest(payload=b"GET /")) == b'{"Payload":"R0VUIC8="}'


def test_requests_are_written_as_go_reads_them() -> None:
    request = MapRequest(
        version=130,
        compress="zstd",
        keep_alive=True,
        node_key="nodekey:00",
        stream=True,
        hostinfo=Hostinfo(os="linux"),
    )
    assert json.loads(encode(request)) == {
        "Version": 130,
        "Compress": "zstd",
        "KeepAlive": True,
        "NodeKey": "nodekey:00",
        "Stream": True,
        "Hostinfo": {"OS": "linux"},
    }


def test_a_tri_state_false_is_not_unset() -> None:
    assert encode(PeerChange(node_id=1, online=False)) == b'{"NodeID":1,"Online":false}'


def test_the_auth_key_is_in_the_request_and_in_no_repr() -> None:
    request = RegisterRequest(auth=RegisterAuth(auth_key="tskey-secret"))
    assert b"tskey-secret" in encode(request)
    assert "tskey-secret" not in repr(request)
    assert "tskey-secret" not in str(request)
    assert request.auth is not None
    assert "tskey-secret" not in str(request.auth.__rich_repr__())


@pytest.mark.parametrize("text", ["", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000001Z"])
def test_the_year_one_is_no_time(text: str) -> None:
    assert is_zero_time(text)
    assert not is_zero_time("2020-08-03T00:00:00.000000001Z")


def test_an_all_zero_key_is_no_key() -> None:
    assert is_zero_key("")
    assert is_zero_key("nodekey:" + "0" * 64)
    assert not is_zero_key("nodekey:" + "0" * 63 + "1")


# --- the gate of the map stream -------------------------------------------------------------------------------------

DEEP = b"[" * 100_000 + b"]" * 100_000

REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "blank": b"  ",
    "null": b"null",
    "a list": b"[]",
    "a number": b"7",
    "a byte order mark": b'\xef\xbb\xbf{"Domain":"a"}',
    "cut off": b'{"Peers":[{"ID":1}',
    "something behind": b'{"KeepAlive":true}{"KeepAlive":true}',
    "single quotes": b"{'KeepAlive':true}",
    "a comma too many": b'{"Peers":[{"ID":1,}]}',
    "NaN": b'{"Node":{"X":NaN}}',
    "Infinity": b'{"Node":{"X":Infinity}}',
    "minus Infinity": b'{"Node":{"X":-Infinity}}',
    "NaN in an unknown field": b'{"X":NaN}',
    "a number with a leading zero": b'{"Node":{"ID":01}}',
    "not UTF-8 in a peer": b'{"Peers":[{"Name":"\xff"}]}',
    "not UTF-8 in an unknown field": b'{"X":"\xff"}',
    "UTF-8 cut off": b'{"X":"\xc3"}',
    "an encoded surrogate": b'{"X":"\xed\xa0\x80"}',
    "an overlong encoding": b'{"X":"\xc0\xaf"}',
    "a lone surrogate in a peer": b'{"Peers":[{"Name":"\\ud800"}]}',
    "a lone low surrogate": b'{"X":"\\udc00"}',
    "a lone surrogate in a key": b'{"\\ud800":1}',
    "a control character in a string": b'{"X":"\n"}',
    "nested too deep in a peer": b'{"Peers":[{"X":' + DEEP + b"}]}",
    "nested too deep in an unknown field": b'{"X":' + DEEP + b"}",
    "nested too deep in objects": b'{"X":' * 100_000,
    "one level too many": b'{"X":' + b"[" * MAX_NESTING + b"]" * MAX_NESTING + b"}",
    "one level too many, of both kinds": b'{"X":'
    + b'[{"a":' * (MAX_NESTING // 2)
    + b"1"
    + b"}]" * (MAX_NESTING // 2)
    + b"}",
    "PeersRemoved of strings": b'{"PeersRemoved":["1"]}',
    "PeersRemoved of fractions": b'{"PeersRemoved":[1.5]}',
    "PeersRemoved beyond int64": b'{"PeersRemoved":[9223372036854775808]}',
    "PeersRemoved of 5000 digits": b'{"PeersRemoved":[' + b"9" * 5000 + b"]}",
    "PeersRemoved as an object": b'{"PeersRemoved":{}}',
    "Peers as an object": b'{"Peers":{}}',
    "PeersChanged as a string": b'{"PeersChanged":"x"}',
    "OnlineChange by name": b'{"OnlineChange":{"a":true}}',
    "OnlineChange of numbers": b'{"OnlineChange":{"1":1}}',
    "PeerSeenChange as a list": b'{"PeerSeenChange":[1]}',
    "a patch that is no object": b'{"PeersChangedPatch":[1]}',
    "a patch for nobody knows whom": b'{"PeersChangedPatch":[{"NodeID":"1"}]}',
    "Node as a list": b'{"Node":[]}',
    "Node as a string": b'{"Node":"n"}',
    "DNSConfig as a list": b'{"DNSConfig":[]}',
    "DERPMap as a number": b'{"DERPMap":1}',
    "DERPMap with regions by name": b'{"DERPMap":{"Regions":{"a":{}}}}',
    "PacketFilter as an object": b'{"PacketFilter":{}}',
    "PacketFilters as a list": b'{"PacketFilters":[]}',
    "a packet filter that is no list": b'{"PacketFilters":{"a":{}}}',
    "Health as a string": b'{"Health":"x"}',
    "a display message that is no object": b'{"DisplayMessages":{"a":1}}',
    "a display message with a wrong title": b'{"DisplayMessages":{"a":{"Title":1}}}',
    "SSHPolicy as a list": b'{"SSHPolicy":[]}',
    "UserProfiles as an object": b'{"UserProfiles":{}}',
    "Domain as a number": b'{"Domain":1}',
    "KeepAlive as a string": b'{"KeepAlive":"true"}',
    "ControlTime as a number": b'{"ControlTime":1}',
    "TKAInfo as a string": b'{"TKAInfo":"x"}',
    "a ping with a wrong URL": b'{"PingRequest":{"URL":1}}',
    "a ping with a broken payload": b'{"PingRequest":{"Payload":"%"}}',
    "CollectServices as a string": b'{"CollectServices":"yes"}',
}


@pytest.mark.parametrize("name", REFUSED)
def test_f22_the_gate_refuses(name: str) -> None:
    for gate in (decode_map_response, check_map_response_shape):
        with pytest.raises(BadMapResponse, match="cannot read"):
            gate(REFUSED[name])


ADMITTED: dict[str, bytes] = {
    "an empty message": b"{}",
    "white space around": b' \r\n\t{ "KeepAlive" : true }\n',
    "null for everything": json.dumps(dict.fromkeys(GO_NAMES["MapResponse"].split())).encode(),
    "null peers": b'{"Peers":[null],"PeersChanged":[null],"PeersChangedPatch":[null]}',
    "peers that are no nodes, for the quarantine": b'{"Peers":[1,"a",[],{"ID":"x"}]}',
    "a huge number in an unknown field": b'{"X":' + b"9" * 5000 + b"}",
    "a number beyond float in a peer": b'{"Peers":[{"X":1e999}]}',
    "a surrogate pair": b'{"Peers":[{"Name":"\\ud83d\\ude00"}]}',
    "text in UTF-8": '{"Peers":[{"Name":"köln.例"}]}'.encode(),
    "a text of 1 MB": b'{"X":"' + b"a" * 1_000_000 + b'"}',
}


@pytest.mark.parametrize("name", ADMITTED)
def test_the_gate_admits(name: str) -> None:
    decode_map_response(ADMITTED[name])
    check_map_response_shape(ADMITTED[name])


def test_the_last_of_two_equal_keys_wins_as_in_go() -> None:
    assert decode_map_response(b'{"Domain":"a","Domain":"b"}').domain == "b"


def test_utf8_is_checked_across_the_borders_of_the_slices_it_is_looked_at_in() -> None:
    for shift in range(4):
        text = '{"X":"' + "a" * ((1 << 20) - 8 + shift) + "😀" * 10 + '"}'
        decode_map_response(text.encode())
        with pytest.raises(BadMapResponse):
            decode_map_response(text.encode()[:-20] + b'"}')


def test_the_shape_tells_the_connection_what_it_needs() -> None:
    shape = check_map_response_shape(
        b'{"KeepAlive":true,"PingRequest":{"URL":"https://c.example/p","URLIsNoise":true},"PopBrowserURL":"https://x",'
        b'"ControlTime":"2026-01-02T03:04:05Z","Debug":{"Exit":3},"ControlDialPlan":{"Candidates":[]}}'
    )
    assert shape.keep_alive
    assert not shape.has_node
    assert shape.ping_request == PingRequest(url="https://c.example/p", url_is_noise=True)
    assert shape.pop_browser_url == "https://x"
    assert shape.debug == Debug(exit=3)
    assert check_map_response_shape(b'{"Node":{"ID":1},"Peers":[{"ID":2}]}').has_node


def test_an_error_text_of_the_gate_is_fit_for_a_log() -> None:
    with pytest.raises(BadMapResponse) as caught:
        decode_map_response(b'{"Domain":{"\\u001b[31m":1}}')
    assert str(caught.value).isprintable()


SEED = encode(
    {
        "Node": {"ID": 1, "Name": "self."},
        "DERPMap": {"Regions": {"1": {"RegionID": 1}}},
        "Peers": [{"ID": 2, "Name": "ä.", "Online": True}],
        "OnlineChange": {"2": True},
        "PacketFilters": {"base": [], "*": None},
        "Health": ["h"],
        "DisplayMessages": {"a": {"Title": "t"}},
        "ControlTime": "2026-01-02T03:04:05Z",
    }
)


def strict(data: bytes) -> Any:
    """Python's parser without its extensions of JSON."""

    def refuse(text: str) -> Any:
        raise ValueError(text)

    return json.loads(data.decode("utf-8"), parse_constant=refuse)


@given(st.data())
def test_whatever_a_damaged_message_is_only_bad_map_response_comes_of_it(data: st.DataObject) -> None:
    document = bytearray(SEED)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(document) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "double"])):
            case "flip":
                document[at] = data.draw(st.integers(0, 255))
            case "cut":
                del document[at : at + data.draw(st.integers(1, 9))]
            case "insert":
                document[at:at] = data.draw(
                    st.sampled_from([b"null", b'"', b"\\ud800", b"[", b"}", b"1e999", b"\xf0"])
                )
            case "double":
                document[at:at] = document[at : at + 20]
        if not document:
            break
    try:
        decode_map_response(bytes(document))
    except BadMapResponse:
        return
    strict(bytes(document))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(GO_NAMES["MapResponse"].split()) | st.text(), JSON, max_size=4))
@example({"ControlDialPlan": {"Candidates": [1]}})
def test_any_json_object_is_a_map_response_or_a_bad_one(value: dict[str, Any]) -> None:
    with contextlib.suppress(BadMapResponse):
        decode_map_response(json.dumps(value).encode())


@given(st.binary(max_size=64))
def test_any_bytes_are_a_map_response_or_a_bad_one(data: bytes) -> None:
    with contextlib.suppress(BadMapResponse):
        decode_map_response(data)


def test_the_gate_looks_at_each_peer_of_a_map_a_few_times_only() -> None:
    def calls(peers: int) -> int:
        peer = {"ID": 1, "Name": "n" * 200, "Key": "nodekey:" + "0" * 64, "Machine": "mkey:" + "0" * 64}
        document = encode({"Peers": [peer] * peers})
        return calls_of(lambda: check_map_response_shape(document))

    assert calls(4000) - calls(2000) <= 2000 * 5


def test_the_gate_of_a_small_delta_does_little() -> None:
    document = encode({"PeersChangedPatch": [{"NodeID": 1, "Online": True}]})
    decode_map_response(document)  # the decoders are made
    assert calls_of(lambda: decode_map_response(document)) < 150
