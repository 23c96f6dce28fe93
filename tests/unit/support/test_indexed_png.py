"""The PNG with a palette, read by a decoder of a few lines."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any, ClassVar

from tests.support.browser.indexed_png import COLOURS, indexed


class Decoding:
    """In place of a browser's page."""

    def __init__(self, width: int, height: int, pixels: list[tuple[int, int, int]]) -> None:
        data = b"".join(bytes((*pixel, 255)) for pixel in pixels)
        self._answer = [width, height, base64.b64encode(data).decode()]

    def evaluate(self, code: str, picture: str) -> list[Any]:
        return self._answer


def decoded(png: bytes) -> list[tuple[int, ...]]:
    """Its pixels. Raises AssertionError for a wrong checksum."""
    at, chunks = 8, {}
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + data),)
        chunks[kind] = data
        at += 12 + length
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    rows, palette = zlib.decompress(chunks[b"IDAT"]), chunks[b"PLTE"]
    places = [rows[y * (width + 1) + 1 + x] for y in range(height) for x in range(width)]
    return [tuple(palette[3 * place : 3 * place + 3]) for place in places]


class TestIndexed:
    FEW: ClassVar = [(255, 255, 255), (0, 0, 0), (16, 128, 200)] * 4

    def test_a_picture_of_few_colours_stays_as_it_is(self) -> None:
        assert decoded(indexed(Decoding(4, 3, self.FEW), b"")) == self.FEW  # type: ignore[arg-type]

    def test_one_of_many_colours_is_near_and_the_frequent_ones_are_exact(self) -> None:
        rare = [(r, g, b) for r in range(0, 256, 36) for g in range(0, 256, 36) for b in range(0, 256, 36)]
        assert len(rare) > COLOURS
        pixels = [(250, 250, 250)] * len(rare) + rare
        found = decoded(indexed(Decoding(len(rare), 2, pixels), b""))  # type: ignore[arg-type]
        assert found[: len(rare)] == pixels[: len(rare)]
        assert len(set(found)) <= COLOURS
