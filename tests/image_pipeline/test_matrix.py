"""No silently wrong picture: each layout of TIFF ends right, or is refused.

Each cell is compared with the samples that were written.
"""

import itertools
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from image_pipeline.imaging.recipe import Box, Format, Recipe
from image_pipeline.imaging.thumbnail import (
    CannotMake,
    make_thumbnails,
    prepare,
)
from tests.image_pipeline.pictures import opened

WIDTH, HEIGHT = 16, 8
RECIPE = Recipe((Box(WIDTH, HEIGHT),), Format.PNG)
LEFT, RIGHT = (0.85, 0.2, 0.4), (0.1, 0.7, 0.3)  # the two halves
BLACK = 0.1  # of CMYK
OPACITY = 0.5
GREYS, RGB, CMYK = (0, 1), 2, 5
UNSIGNED, SIGNED, FLOAT = 1, 2, 3


@dataclass(frozen=True)
class Cell:
    colour: int
    depth: int
    kind: int
    extra: int | None  # 0 unspecified, 1 associated alpha, 2 alpha
    planar: bool
    order: str
    packed: bool

    @property
    def most(self) -> float:
        return 1 if self.kind == FLOAT else 2**self.depth - 1

    def samples(self, colour: tuple[float, ...]) -> list[float]:
        own = list(colour[:1] if self.colour in GREYS else colour)
        if self.colour == 0:
            own = [1 - value for value in own]
        if self.colour == CMYK:
            own.append(BLACK)
        if self.extra == 1:
            own = [value * OPACITY for value in own]
        return own + [OPACITY] * (self.extra is not None)

    def seen(self, colour: tuple[float, ...]) -> list[float]:
        if self.colour in GREYS:
            return [255 * colour[0]] * 3
        if self.colour == CMYK:
            return [255 * (1 - ink) * (1 - BLACK) for ink in colour]
        return [255 * value for value in colour]

    def written(self) -> bytes:
        halves = [self.samples(LEFT), self.samples(RIGHT)]
        count = len(halves[0])
        row = [half for half in halves for _ in range(WIDTH // 2)]
        if self.planar:
            planes = [[pixel[n] for pixel in row] for n in range(count)]
        else:
            planes = [[value for pixel in row for value in pixel]]
        strips = [self._pack(plane) * HEIGHT for plane in planes]
        if self.packed:
            strips = [zlib.compress(strip) for strip in strips]
        tags = {
            256: [WIDTH],
            257: [HEIGHT],
            258: [self.depth] * count,
            259: [8 if self.packed else 1],
            262: [self.colour],
            273: [0] * len(strips),
            277: [count],
            278: [HEIGHT],
            279: [len(strip) for strip in strips],
            284: [2 if self.planar else 1],
            339: [self.kind] * count,
        }
        if self.extra is not None:
            tags[338] = [self.extra]
        behind = 8 + 2 + 12 * len(tags) + 4
        size = sum(4 * len(v) for v in tags.values() if len(v) > 1)
        offsets = itertools.accumulate(tags[279], initial=behind + size)
        tags[273] = list(offsets)[:-1]
        entries, blob = b"", b""
        for tag, values in sorted(tags.items()):
            data = struct.pack(f"{self.order}{len(values)}I", *values)
            if len(values) > 1:
                place = struct.pack(f"{self.order}I", behind + len(blob))
                blob, data = blob + data, place
            entries += struct.pack(f"{self.order}HHI", tag, 4, len(values))
            entries += data
        magic = b"II*\0" if self.order == "<" else b"MM\0*"
        head = struct.pack(f"{self.order}IH", 8, len(tags))
        return b"".join([magic, head, entries, bytes(4), blob, *strips])

    def _pack(self, values: list[float]) -> bytes:
        if self.kind == FLOAT:
            return struct.pack(f"{self.order}{len(values)}f", *values)
        whole = [round(value * self.most) for value in values]
        if self.depth in (8, 16, 32):
            letter = {8: "B", 16: "H", 32: "I"}[self.depth]
            return struct.pack(f"{self.order}{len(whole)}{letter}", *whole)
        bits = "".join(format(value, f"0{self.depth}b") for value in whole)
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8)


def cells(colour: int) -> Iterator[Cell]:
    kinds = [(depth, UNSIGNED) for depth in (1, 2, 4, 8, 12, 16, 32)]
    for (depth, kind), extra, planar, order, packed in itertools.product(
        [*kinds, (32, FLOAT)],
        (None, 0, 1, 2),
        (False, True),
        "<>",
        (False, True),
    ):
        yield Cell(colour, depth, kind, extra, planar, order, packed)


@pytest.mark.parametrize(
    ("colour", "at_least"), [(0, 26), (1, 34), (RGB, 30), (CMYK, 10)]
)
def test_each_layout_of_tiff_ends_right_or_is_not_read_here(
    colour: int, at_least: int
) -> None:
    prepare()
    ended: Counter[str] = Counter()
    wrong = []
    for cell in cells(colour):
        try:
            made = make_thumbnails(cell.written(), RECIPE)
        except CannotMake as error:
            ended[str(error).partition(":")[0]] += 1
            if not str(error).startswith("not read here"):
                wrong.append((cell, str(error)))
            continue
        ended["made"] += 1
        image = opened(made.thumbnails[0]).convert("RGBA")
        step = 255 / cell.most / 2 if cell.kind != FLOAT else 0
        for x, half in ((2, LEFT), (13, RIGHT)):
            pixel = image.getpixel((x, 4))
            assert isinstance(pixel, tuple)
            off = max(
                abs(a - b)
                for a, b in zip(pixel, cell.seen(half), strict=False)
            )
            if off > step + 4:
                wrong.append((cell, f"{pixel}, not {cell.seen(half)}"))
    assert not wrong, "\n".join(f"{why}: {cell}" for cell, why in wrong[:20])
    assert ended["made"] >= at_least, ended
