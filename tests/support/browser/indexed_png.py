"""A picture of a screen as a PNG with a palette, a third as large as Chromium's own (PNG, third edition, 11.2)."""

from __future__ import annotations

import base64
import collections
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

PIXELS = """
async (picture) => {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${picture}`)).blob());
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const {data} = context.getImageData(0, 0, image.width, image.height);
  let text = "";
  for (let at = 0; at < data.length; at += 32768) text += String.fromCharCode(...data.subarray(at, at + 32768));
  return [image.width, image.height, btoa(text)];
}
"""
COLOURS = 256
_STEP = 0x00F8F8F8
"""Of each colour the upper five bits: shades that no eye tells apart share an entry."""


def indexed(page: Page, picture: bytes) -> bytes:
    """The same picture. `page`: an empty one, which decodes it."""
    width, height, text = page.evaluate(PIXELS, base64.b64encode(picture).decode())
    pixels = memoryview(base64.b64decode(text)).cast("I")
    counted = collections.Counter(pixels)
    groups: dict[int, int] = {}
    for colour, _ in counted.most_common():
        # The most frequent shade stands for its group.
        groups.setdefault(colour & _STEP, colour)
    chosen = list(groups.values())[:COLOURS]
    place = {colour: _nearest(colour, groups, chosen) for colour in counted}
    rows = bytes(map(place.__getitem__, pixels))
    scanlines = b"".join(b"\0" + rows[at : at + width] for at in range(0, width * height, width))
    palette = b"".join(struct.pack("<I", colour)[:3] for colour in chosen)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", palette), (b"IDAT", zlib.compress(scanlines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _nearest(colour: int, groups: dict[int, int], chosen: list[int]) -> int:
    """The entry of its group, or of the colour that is least far away."""
    mine = groups[colour & _STEP]
    if mine in chosen:
        return chosen.index(mine)
    red, green, blue, _ = struct.pack("<I", colour)

    def distance(at: int) -> int:
        other = struct.pack("<I", chosen[at])
        return (other[0] - red) ** 2 + (other[1] - green) ** 2 + (other[2] - blue) ** 2

    return min(range(len(chosen)), key=distance)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
