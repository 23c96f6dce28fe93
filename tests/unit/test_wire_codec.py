from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.wire import internal_pb2, netmap_pb2
from netmap_actors.wire.codec import MAX_CONTROL_MESSAGE, Codec, ForeignEnvelope
from netmap_actors.wire.topics import Kind, kind_of, topic_of

RUN, OTHER_RUN = "00112233445566ff", "ff112233445566ff"


def test_a_body_comes_out_as_it_went_in_with_its_sender() -> None:
    sender, receiver = Codec(RUN, "liveness", 3), Codec(RUN, "supervisor", 1)
    envelope = receiver.open(sender.wrap(internal_pb2.Verdict(generation=7, reason="silence")))
    assert (envelope.actor, envelope.incarnation) == ("liveness", 3)
    assert envelope.WhichOneof("body") == "verdict"
    assert envelope.verdict.generation == 7


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff",
        Codec(OTHER_RUN, "liveness", 1).wrap(internal_pb2.Stop()),
        internal_pb2.Envelope(
            version=2, run=bytes.fromhex(RUN), stop=internal_pb2.Stop()
        ).SerializeToString(),
        internal_pb2.Envelope(version=1, run=bytes.fromhex(RUN)).SerializeToString(),
        b"\0" * (MAX_CONTROL_MESSAGE + 1),
    ],
    ids=["empty", "garbage", "other run", "other version", "no body", "too long"],
)
def test_f62_foreign_envelopes_are_refused_and_counted(data: bytes) -> None:
    codec = Codec(RUN, "supervisor", 1)
    with pytest.raises(ForeignEnvelope, match="cannot open an envelope"):
        codec.open(data)
    assert codec.foreign == 1


@given(st.binary(max_size=300))
def test_f62_no_bytes_raise_anything_else(data: bytes) -> None:
    codec = Codec(RUN, "supervisor", 1)
    try:
        codec.open(data)
    except ForeignEnvelope:
        assert codec.foreign == 1


def test_a_message_without_a_place_in_the_envelope_is_our_own_mistake() -> None:
    with pytest.raises(TypeError, match="Envelope has no field"):
        Codec(RUN, "publisher", 1).wrap(netmap_pb2.NotYet())


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_topic_and_a_field_of_the_schema(kind: Kind) -> None:
    assert kind_of(topic_of(kind)) is kind
    assert kind.value in netmap_pb2.BusMessage.DESCRIPTOR.fields_by_name


def test_every_body_of_the_schema_is_a_kind() -> None:
    body = netmap_pb2.BusMessage.DESCRIPTOR.oneofs_by_name["body"].fields
    assert {field.name for field in body} == {kind.value for kind in Kind}


def test_an_unknown_topic_is_nobody_s_kind() -> None:
    assert kind_of(b"netmap/1/added_later") is None
