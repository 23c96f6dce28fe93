from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.boot import Boot, Endpoints
from netmap_actors.wire import internal_pb2, netmap_pb2
from netmap_actors.wire.codec import MAX_CONTROL_MESSAGE, Codec, ForeignEnvelope, Inbox, connection_secret
from netmap_actors.wire.secret import Secret
from netmap_actors.wire.topics import Kind, kind_of, topic_of
from netmap_supervisor.daemon.keyring import Keyring

RUN, OTHER_RUN = "00112233445566ff", "ff112233445566ff"
SECRET, OTHER = Secret(b"1" * 32), Secret(b"2" * 32)


def child(run: str = RUN, actor: str = "liveness", generation: int = 3, secret: Secret = SECRET) -> Codec:
    return Codec(run, actor, generation, peer="supervisor", secret=secret)


def supervisor(run: str = RUN, actor: str = "liveness", generation: int = 3) -> Codec:
    return Codec(run, "supervisor", 1, peer=actor, peer_generation=generation, secret=SECRET)


def connection(generation: int, receiver: str = "publisher", inbox: Secret = SECRET) -> Codec:
    secret = connection_secret(inbox, generation)
    return Codec(RUN, "control_connection", generation, peer=receiver, secret=secret)


def proved(word: bytes) -> bytes:
    return SECRET.proof(word) + bytes(8) + word


def test_a_body_comes_out_as_it_went_in_with_its_sender() -> None:
    envelope = supervisor().open(child().wrap(internal_pb2.Verdict(generation=7, reason="silence")))
    assert (envelope.actor, envelope.incarnation) == ("liveness", 3)
    assert envelope.WhichOneof("body") == "verdict"
    assert envelope.verdict.generation == 7


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff",
        proved(b"\xff\xff\xff"),
        child(OTHER_RUN).wrap(internal_pb2.Stop()),
        child(secret=OTHER).wrap(internal_pb2.Stop()),
        child(actor="publisher").wrap(internal_pb2.Stop()),
        child(generation=2).wrap(internal_pb2.Stop()),
        supervisor().wrap(internal_pb2.Stop()),
        child().wrap(internal_pb2.Stop())[24:],
        proved(
            internal_pb2.Envelope(
                version=1, run=bytes.fromhex(RUN), stop=internal_pb2.Stop()
            ).SerializeToString()
        ),
        proved(internal_pb2.Envelope(version=2, run=bytes.fromhex(RUN)).SerializeToString()),
        b"\0" * (MAX_CONTROL_MESSAGE + 1),
    ],
    ids=[
        "empty",
        "garbage",
        "proved garbage",
        "other run",
        "other secret",
        "other actor",
        "the process before",
        "sent back",
        "no proof",
        "other version",
        "no body",
        "too long",
    ],
)
def test_f62_foreign_envelopes_are_refused_and_counted(data: bytes) -> None:
    codec = supervisor()
    with pytest.raises(ForeignEnvelope, match="cannot open an envelope"):
        codec.open(data)
    assert codec.foreign == 1


def test_a_word_counts_once_and_none_counts_after_a_later_one() -> None:
    sender, receiver = child(), supervisor()
    first, second = (sender.wrap(internal_pb2.Resync(reason=text)) for text in "ab")
    assert receiver.open(second).resync.reason == "b"
    for data in (second, first):
        with pytest.raises(ForeignEnvelope, match="came before it"):
            receiver.open(data)
    assert receiver.foreign == 2


@given(st.binary(max_size=100), st.data())
def test_no_changed_bit_of_a_word_or_its_document_passes(document: bytes, data: st.DataObject) -> None:
    word = connection(2).wrap(internal_pb2.MapResponseReceived(generation=2), document)
    inbox = Inbox(RUN, "publisher", 1, SECRET)
    whole = word + document
    at = data.draw(st.integers(0, 8 * len(whole) - 1))
    changed = bytearray(whole)
    changed[at // 8] ^= 1 << at % 8
    with pytest.raises(ForeignEnvelope):
        inbox.open(bytes(changed[: len(word)]), bytes(changed[len(word) :]))
    assert inbox.foreign == 1
    assert inbox.open(word, document).map_response_received.generation == 2


def test_what_one_receiver_knows_of_a_connection_is_of_no_use_with_another() -> None:
    keyring = Keyring()
    own = {name: Secret.from_text(keyring.secrets_for(name, 1).inbox) for name in ("liveness", "publisher")}
    for knows, other in (("liveness", "publisher"), ("publisher", "liveness")):
        forged = connection(1, other, own[knows]).wrap(internal_pb2.MapResponseReceived(generation=1))
        with pytest.raises(ForeignEnvelope, match="not proved"):
            Inbox(RUN, other, 1, own[other]).open(forged)
    told = keyring.secrets_for("control_connection", 1)
    assert told.liveness == connection_secret(own["liveness"], 1).text()
    assert told.publisher == connection_secret(own["publisher"], 1).text()


@pytest.mark.parametrize(("knows", "speaks_as"), [(1, 2), (2, 1), (1, 11), (11, 1)])
@pytest.mark.parametrize("receiver", ["liveness", "publisher"])
def test_what_one_connection_knows_does_not_speak_for_another(
    receiver: str, knows: int, speaks_as: int
) -> None:
    keyring = Keyring()
    inbox = Inbox(RUN, receiver, 1, Secret.from_text(keyring.secrets_for(receiver, 1).inbox))
    inbox.began(speaks_as)
    for generation in (knows, speaks_as):
        own = Secret.from_text(getattr(keyring.secrets_for("control_connection", generation), receiver))
        sender = Codec(RUN, "control_connection", speaks_as, peer=receiver, secret=own)
        word = sender.wrap(internal_pb2.Progress(generation=speaks_as))
        if generation == knows:
            with pytest.raises(ForeignEnvelope, match="not proved"):
                inbox.open(word)
        else:
            assert inbox.open(word).incarnation == speaks_as
    assert inbox.foreign == 1


def test_no_two_processes_and_no_two_runs_have_a_secret_in_common() -> None:
    actors = ("control_connection", "liveness", "publisher", "http_endpoint", "dev_control")
    seen = [
        text
        for keyring in (Keyring(), Keyring())
        for actor in actors
        for incarnation in (1, 2, 11)
        for text in (keyring.secrets_for(actor, incarnation).supervisor,)
    ]
    assert len(set(seen)) == len(seen) == 30
    assert not Keyring().secrets_for("http_endpoint", 1).inbox


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=20))
def test_only_the_newest_connection_is_heard(happened: list[tuple[bool, int]]) -> None:
    """In any order of words and of the Supervisor's news of a connection."""
    inbox, newest, refused = Inbox(RUN, "liveness", 1, SECRET), 0, 0
    senders = {generation: connection(generation, "liveness") for generation in range(1, 6)}
    for speaks, generation in happened:
        if not speaks:
            inbox.began(generation)
        else:
            data = senders[generation].wrap(internal_pb2.Progress(generation=generation))
            if generation >= newest:
                assert inbox.open(data).incarnation == generation
            else:
                with pytest.raises(ForeignEnvelope):
                    inbox.open(data)
                refused += 1
        newest = max(newest, generation)
        assert inbox.foreign == refused


def test_no_secret_is_shown() -> None:
    told = Keyring().secrets_for("control_connection", 1)
    texts = (told.supervisor, told.liveness, told.publisher)
    boot = Boot(
        run=RUN,
        actor="control_connection",
        generation=1,
        parent_pid=1,
        life_fd=0,
        endpoints=Endpoints(supervisor="", liveness="", publisher="", updates="", requests=""),
        secrets=told,
    )
    shown = f"{told} {told!r} {boot} {boot!r} {Secret.from_text(told.supervisor)!r}"
    with pytest.raises(ValueError, match="hex") as caught:
        Secret.from_text(told.supervisor[:-1] + "x")
    shown += f"{caught.value} {caught.value.__context__ if not caught.value.__suppress_context__ else None}"
    assert not [text for text in texts if text in shown or text[:-1] in shown]
    assert msgspec.json.decode(msgspec.json.encode(boot), type=Boot) == boot


@given(st.binary(max_size=300), st.booleans())
def test_f62_no_bytes_raise_anything_else(data: bytes, proof: bool) -> None:
    codec = supervisor()
    try:
        codec.open(proved(data) if proof else data)
    except ForeignEnvelope:
        assert codec.foreign == 1


def test_a_message_without_a_place_in_the_envelope_is_our_own_mistake() -> None:
    with pytest.raises(TypeError, match="Envelope has no field"):
        child().wrap(netmap_pb2.NotYet())


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_topic_and_a_field_of_the_schema(kind: Kind) -> None:
    assert kind_of(topic_of(kind)) is kind
    assert kind.value in netmap_pb2.BusMessage.DESCRIPTOR.fields_by_name


def test_every_body_of_the_schema_is_a_kind() -> None:
    body = netmap_pb2.BusMessage.DESCRIPTOR.oneofs_by_name["body"].fields
    assert {field.name for field in body} == {kind.value for kind in Kind}


def test_an_unknown_topic_is_nobody_s_kind() -> None:
    assert kind_of(b"netmap/1/added_later") is None
