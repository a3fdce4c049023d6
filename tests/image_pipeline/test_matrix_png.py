"""No silently wrong picture: every kind of PNG ends as it was written.

The left half of each picture has the colour that tRNS makes transparent,
where there is one.
"""

import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from image_pipeline.imaging.recipe import Box, Format, Recipe
from image_pipeline.imaging.thumbnail import make_thumbnails, prepare
from tests.image_pipeline.pictures import opened

WIDTH, HEIGHT = 16, 8
RECIPE = Recipe((Box(WIDTH, HEIGHT),), Format.PNG, strict=True)
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGB_ALPHA: (8, 16),
}
# Where a pass of Adam7 begins, and its steps.
PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
Colour = tuple[float, float, float, float]
LEFT: Colour = (1.0, 0.2, 0.4, 0.5)
RIGHT: Colour = (0.0, 0.7, 0.3, 0.9)


def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


@dataclass(frozen=True)
class Cell:
    colours: int
    depth: int
    has_key: bool  # tRNS
    interlaced: bool

    @property
    def most(self) -> int:
        return int(2**self.depth - 1)

    def samples(self, colour: Colour) -> list[int]:
        if self.colours == PALETTE:
            return [0 if colour == LEFT else 1]
        red, green, blue, alpha = (round(v * self.most) for v in colour)
        own = [red, green, blue] if self.colours & 2 else [red]
        return own + [alpha] * (self.colours in (GREY_ALPHA, RGB_ALPHA))

    def seen(self, colour: Colour) -> list[float]:
        *rgb, alpha = colour
        if not self.colours & 2:
            rgb = [rgb[0]] * 3
        if self.colours not in (GREY_ALPHA, RGB_ALPHA):
            alpha = 0.0 if self.has_key and colour == LEFT else 1.0
        return [255 * value for value in (*rgb, alpha)]

    def written(self) -> bytes:
        rows = b""
        steps = PASSES if self.interlaced else ((0, 0, 1, 1),)
        for left, top, across, down in steps:
            columns = range(left, WIDTH, across)
            for _ in range(top, HEIGHT, down) if columns else ():
                rows += b"\0" + self._row(columns)
        head = struct.pack(
            ">IIBBBBB",
            *(WIDTH, HEIGHT, self.depth, self.colours),
            *(0, 0, int(self.interlaced)),
        )
        parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head)]
        if self.colours == PALETTE:
            table = [round(255 * v) for v in (*LEFT[:3], *RIGHT[:3])]
            parts.append(chunk(b"PLTE", bytes(table)))
        if self.has_key:
            key = struct.pack(f">{3 if self.colours else 1}H", *self._key())
            one = b"\0" if self.colours == PALETTE else key
            parts.append(chunk(b"tRNS", one))
        parts.append(chunk(b"IDAT", zlib.compress(rows)))
        return b"".join([*parts, chunk(b"IEND", b"")])

    def _key(self) -> list[int]:
        return [0] * 3 if self.colours == PALETTE else self.samples(LEFT)

    def _row(self, columns: range) -> bytes:
        values = [
            value
            for x in columns
            for value in self.samples(LEFT if x < WIDTH // 2 else RIGHT)
        ]
        bits = "".join(format(value, f"0{self.depth}b") for value in values)
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8)


def cells() -> Iterator[Cell]:
    for colours, depths in DEPTHS.items():
        keys = (False, True) if colours <= PALETTE else (False,)
        yield from itertools.starmap(
            Cell, itertools.product([colours], depths, keys, (False, True))
        )


@pytest.mark.parametrize("cell", list(cells()), ids=str)
def test_each_kind_of_png_ends_as_it_was_written(cell: Cell) -> None:
    prepare()
    made = make_thumbnails(cell.written(), RECIPE)
    assert not made.notes
    image = opened(made.thumbnails[0]).convert("RGBA")
    for x, half in ((2, LEFT), (13, RIGHT)):
        pixel = image.getpixel((x, 4))
        assert isinstance(pixel, tuple)
        wanted = cell.seen(half)
        if not pixel[3]:  # then the colour means nothing
            assert not wanted[3]
            continue
        assert max(
            abs(a - b) for a, b in zip(pixel, wanted, strict=True)
        ) <= 1 + (255 / cell.most / 2 if cell.colours != PALETTE else 0)
