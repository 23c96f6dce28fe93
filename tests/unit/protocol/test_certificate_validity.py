"""The time of a certificate, read without a library: as the library reads it, and nothing else than ValueError."""

from __future__ import annotations

import contextlib
import datetime
import functools

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.protocol.certificate.validity import validity

UTC = datetime.UTC
MOMENTS = st.datetimes(
    datetime.datetime(1950, 1, 1),  # noqa: DTZ001
    datetime.datetime(9999, 12, 31, 23, 59, 59),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@functools.cache
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(begins: datetime.datetime, ends: datetime.datetime, name: str = "x") -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .sign(key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


@settings(deadline=None)
@given(MOMENTS, MOMENTS, st.text("ab", min_size=1, max_size=60))
def test_it_is_read_as_the_library_reads_it(
    one: datetime.datetime, other: datetime.datetime, name: str
) -> None:
    begins, ends = sorted((one.replace(microsecond=0), other.replace(microsecond=0)))
    der = certificate(begins, ends, name)
    loaded = x509.load_der_x509_certificate(der)
    expected = (loaded.not_valid_before_utc.timestamp(), loaded.not_valid_after_utc.timestamp())
    assert validity(der) == expected


WHOLE = certificate(datetime.datetime(2026, 1, 1, tzinfo=UTC), datetime.datetime(2051, 1, 1, tzinfo=UTC))


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3))
def test_what_is_spoilt_is_no_certificate_or_another_one(place: int, put: bytes) -> None:
    for spoilt in (WHOLE[:place], WHOLE[:place] + put + WHOLE[place + len(put) :], put * 50):
        with contextlib.suppress(ValueError):
            assert len(validity(spoilt)) == 2


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 7))
def test_a_part_of_one_is_none(cut: int) -> None:
    with pytest.raises(ValueError):
        validity(WHOLE[:cut])
