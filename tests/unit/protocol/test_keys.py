"""Keys: Tailscale's text forms, and secrets that do not leak."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.protocol import keys
from netmap_actors.protocol.keys import (
    BadKey,
    ChallengePublic,
    DiscoKey,
    DiscoPrivate,
    MachineKey,
    MachinePrivate,
    NodeKey,
    NodePrivate,
    PrivateKey,
    PublicKey,
)
from tests.support.inputs.low_order import LOW_ORDER

PUBLIC = [
    (MachineKey, "mkey:"),
    (NodeKey, "nodekey:"),
    (DiscoKey, "discokey:"),
    (ChallengePublic, "chalpub:"),
]
PRIVATE = [(MachinePrivate, MachineKey), (NodePrivate, NodeKey), (DiscoPrivate, DiscoKey)]
DIGITS = "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13"
SECRET = bytes([0x11]) * 32

raw32 = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize(("kind", "prefix"), PUBLIC)
def test_a_public_key_has_the_text_form_of_its_kind(kind: type[PublicKey], prefix: str) -> None:
    key = kind.parse(prefix + DIGITS)
    assert str(key) == prefix + DIGITS
    assert key.raw.hex() == DIGITS
    assert not key.is_zero
    assert kind.parse(prefix + DIGITS.upper()) == key


@pytest.mark.parametrize(("kind", "prefix"), PUBLIC)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: "",
        lambda p: p,
        lambda p: DIGITS,
        lambda p: p + DIGITS[:-1],
        lambda p: p + DIGITS + "0",
        lambda p: p + DIGITS + "\n",
        lambda p: " " + p + DIGITS,
        lambda p: p.upper() + DIGITS,
        lambda p: p + " " + DIGITS[1:],
        lambda p: p + "  " + DIGITS[2:],
        lambda p: p + "g" + DIGITS[1:],
        lambda p: p + "٣" + DIGITS[1:],
        lambda p: "x" + p + DIGITS,
    ],
)
def test_only_the_exact_text_form_is_a_key(kind: type[PublicKey], prefix: str, spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(BadKey):
        kind.parse(spoil(prefix))


@given(raw32, st.sampled_from([kind for kind, _ in PUBLIC]))
def test_every_public_key_survives_its_text_form(raw: bytes, kind: type[PublicKey]) -> None:
    assert kind.parse(str(kind(raw))) == kind(raw)
    assert pickle.loads(pickle.dumps(kind(raw))) == kind(raw)


def test_keys_of_different_kinds_are_never_equal() -> None:
    every = {kind(SECRET) for kind, _ in PUBLIC}
    assert len(every) == len(PUBLIC)


def test_the_zero_key_means_none() -> None:
    assert MachineKey.zero().is_zero
    assert MachineKey.parse("mkey:" + "0" * 64).is_zero


def test_short_forms_are_those_of_the_reference() -> None:
    assert MachineKey.parse("mkey:" + DIGITS).short() == "[e06Qm]"


@pytest.mark.parametrize(("private", "public"), PRIVATE)
def test_a_private_key_knows_its_public_key(private: type[PrivateKey], public: type[PublicKey]) -> None:
    key = private.from_raw(SECRET)
    assert key.public() == public(bytes.fromhex(DIGITS))  # type: ignore[attr-defined]
    assert key.to_text() == "privkey:" + "11" * 32
    assert private.parse(key.to_text()) == key


@given(raw32)
def test_a_generated_key_is_clamped(random32: bytes) -> None:
    raw = bytes.fromhex(NodePrivate.generate(random32).to_text().removeprefix("privkey:"))
    assert raw[0] & 0x07 == 0
    assert raw[31] & 0xC0 == 0x40
    assert raw[1:31] == random32[1:31]


@pytest.mark.parametrize("private", [kind for kind, _ in PRIVATE])
def test_a_zero_private_key_never_comes_to_be(private: type[PrivateKey]) -> None:
    with pytest.raises(BadKey):
        private.from_raw(bytes(32))
    with pytest.raises(BadKey):
        private.parse("privkey:" + "0" * 64)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_other_lengths_are_refused(length: int) -> None:
    for make in (MachineKey, MachinePrivate.from_raw, NodePrivate.generate):
        with pytest.raises(BadKey):
            make(b"\x11" * length)


def test_a_private_key_does_not_leak_by_accident() -> None:
    key = MachinePrivate.from_raw(SECRET)
    for text in (repr(key), str(key), f"{key}", f"{[key]}"):
        assert "[redacted]" in text
        assert "11" * 4 not in text
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(key)
    with pytest.raises(BadKey) as caught:
        MachinePrivate.parse("privkey:" + "11" * 31 + "zz")
    assert "11" * 4 not in str(caught.value)
    assert not hasattr(key, "raw")
    assert not hasattr(key, "__dict__")


def test_keys_cannot_be_changed() -> None:
    for key in (MachineKey(SECRET), MachinePrivate.from_raw(SECRET)):
        with pytest.raises(AttributeError):
            key._raw = bytes(32)
        with pytest.raises(AttributeError):
            del key._raw


def test_private_keys_compare_by_value_and_kind() -> None:
    assert MachinePrivate.from_raw(SECRET) == MachinePrivate.from_raw(SECRET)
    assert hash(MachinePrivate.from_raw(SECRET)) == hash(MachinePrivate.from_raw(SECRET))
    assert MachinePrivate.from_raw(SECRET) != NodePrivate.from_raw(SECRET)
    assert MachinePrivate.from_raw(SECRET) != SECRET


def test_every_point_of_low_order_is_known_as_one() -> None:
    for raw in LOW_ORDER:
        assert MachineKey(raw).is_low_order
        with pytest.raises(BadKey):
            MachinePrivate.from_raw(SECRET).exchange(MachineKey(raw))


@given(raw32)
def test_a_key_is_of_low_order_exactly_when_no_secret_comes_of_it(raw: bytes) -> None:
    try:
        MachinePrivate.from_raw(SECRET).exchange(MachineKey(raw))
    except BadKey:
        assert raw in LOW_ORDER
    else:
        assert raw not in LOW_ORDER


def test_a_point_of_low_order_gives_no_secret() -> None:
    with pytest.raises(BadKey):
        MachinePrivate.from_raw(SECRET).exchange(MachineKey(bytes(32)))
    with pytest.raises(BadKey):
        MachinePrivate.from_raw(SECRET).exchange(MachineKey(b"\x01" + bytes(31)))


def test_the_module_exports_every_kind() -> None:
    assert {kind.__name__ for kind, _ in PUBLIC} <= set(keys.__all__)
