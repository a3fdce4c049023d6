"""No silently wrong picture: each kind of JPEG ends right, or is refused.

The JPEGs are written here, as no library writes them all. Each has two
halves, of one colour each; so a block has no coefficients but its first.
"""

import itertools
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from image_pipeline.imaging.recipe import Box, Format, Recipe
from image_pipeline.imaging.thumbnail import (
    CannotMake,
    make_thumbnails,
    prepare,
)
from tests.image_pipeline.pictures import needs_simplejpeg, opened

WIDTH, HEIGHT = 128, 64
LEFT, RIGHT = (0.85, 0.2, 0.4), (0.1, 0.7, 0.3)
BLACK = 0.1  # of CMYK
BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS = 0xC0, 0xC1, 0xC2, 0xC3
# How a file says what its components are.
SPACES = {
    "grey": (b"\1", None),
    "YCbCr, JFIF": (b"\1\2\3", "JFIF"),
    "YCbCr, Adobe": (b"\1\2\3", 1),
    "YCbCr, unsaid": (b"\1\2\3", None),
    "RGB, Adobe": (b"\1\2\3", 0),
    "RGB, by name": (b"RGB", None),
    "CMYK, Adobe": (b"\1\2\3\4", 0),
    "CMYK, unsaid": (b"\1\2\3\4", None),
    "YCCK, Adobe": (b"\1\2\3\4", 2),
}
Sampling = tuple[tuple[int, int], ...]
PLAIN: Sampling = ((1, 1),)
# Of the first component, and of the others where they are not 1 x 1.
SAMPLINGS: tuple[Sampling, ...] = (
    *(((across, down),) for across in (1, 2, 3, 4) for down in (1, 2, 4)),
    ((2, 1), (1, 1), (2, 1)),
    ((2, 2), (2, 1), (1, 2)),
    ((1, 1), (2, 2), (2, 2)),
    ((4, 1), (2, 1), (2, 1)),
    ((2, 2), (2, 2), (2, 2)),
)


@dataclass(frozen=True)
class Cell:
    process: int
    depth: int
    space: str
    sampling: Sampling = PLAIN

    def samples(self, colour: tuple[float, float, float]) -> list[int]:
        """What the file holds for a colour, component by component."""
        red, green, blue = colour
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        values = [
            luma,
            0.5 + 0.564 * (blue - luma),
            0.5 + 0.713 * (red - luma),
        ]
        name = self.space.partition(",")[0]
        if name == "grey":
            values = [red]
        elif name in ("RGB", "CMYK"):
            values = list(colour)
        if name in ("CMYK", "YCCK"):
            # All programs store how much ink is missing, as Adobe's did;
            # YCCK is YCbCr of what is missing of that.
            if name == "CMYK":
                values = [1 - value for value in values]
            values.append(1 - BLACK)
        return [round(value * (2**self.depth - 1)) for value in values]

    def seen(self, colour: tuple[float, float, float]) -> list[float]:
        name = self.space.partition(",")[0]
        if name == "grey":
            return [255 * colour[0]] * 3
        if name in ("CMYK", "YCCK"):
            return [255 * (1 - ink) * (1 - BLACK) for ink in colour]
        return [255 * value for value in colour]

    @property
    def factors(self) -> list[tuple[int, int]]:
        count = len(SPACES[self.space][0])
        last = [(1, 1)] * (count - len(self.sampling))
        factors = [*self.sampling, *last][:count]
        if count == 4 and len(self.sampling) == 1:
            factors[3] = factors[0]  # black is as fine as luma
        return factors

    @property
    def is_allowed(self) -> bool:
        return sum(across * down for across, down in self.factors) <= 10

    def written(self) -> bytes:
        ids, told = SPACES[self.space]
        parts = [b"\xff\xd8"]
        if told == "JFIF":
            jfif = b"JFIF\0\1\1\0\0\1\0\1\0\0"
            parts.append(segment(0xE0, jfif))
        elif isinstance(told, int):
            adobe = b"Adobe\0\x64" + bytes(4) + bytes([told])
            parts.append(segment(0xEE, adobe))
        head = struct.pack(">BHHB", self.depth, HEIGHT, WIDTH, len(ids))
        for each, (across, down) in zip(ids, self.factors, strict=True):
            head += bytes([each, across << 4 | down, 0])
        parts += [
            segment(0xDB, b"\0" + b"\1" * 64),  # quantised by 1
            segment(self.process, head),
            segment(0xC4, self._categories()),
            # One code for the end of a block.
            segment(0xC4, bytes([0x10, 1, *[0] * 15, 0])),
        ]
        scan = bytes([len(ids)]) + b"".join(bytes([n, 0]) for n in ids)
        ends = {PROGRESSIVE: b"\0\0\0", LOSSLESS: b"\1\0\0"}
        scan += ends.get(self.process, b"\0\x3f\0")
        parts += [segment(0xDA, scan), packed("".join(self._bits()))]
        if self.process == PROGRESSIVE:  # or libjpeg smooths the picture
            blocks = self._blocks()
            for each, count in zip(ids, blocks, strict=True):
                scan = bytes([1, each, 0, 1, 63, 0])
                parts += [segment(0xDA, scan), packed("0" * count)]
        return b"".join([*parts, b"\xff\xd9"])

    def _categories(self) -> bytes:
        """A Huffman table, whose codes all have 5 bits."""
        count = 17 if self.process == LOSSLESS else 16
        return bytes([0, *[0] * 4, count, *[0] * 11, *range(count)])

    def _bits(self) -> Iterator[str]:
        left, right = self.samples(LEFT), self.samples(RIGHT)
        factors = self.factors
        if len(factors) == 1:  # not interleaved: its factors mean nothing
            factors = [(1, 1)]
        side = 1 if self.process == LOSSLESS else 8
        wide = side * max(across for across, _ in factors)
        high = side * max(down for _, down in factors)
        before = [self._begins_at()] * len(factors)
        line_began = list(before)
        for _ in range(math.ceil(HEIGHT / high)):
            for x in range(0, WIDTH, wide):
                for n, (across, down) in enumerate(factors):
                    for _, column in itertools.product(
                        range(down), range(across)
                    ):
                        middle = x + wide * (column + 0.5) / across
                        half = left if middle < WIDTH / 2 else right
                        value = self._stored(half[n])
                        yield code(value - before[n])
                        before[n] = value
                        if self.process in (BASELINE, EXTENDED):
                            yield "0"  # no more in this block
                    if self.process == LOSSLESS and not x:
                        line_began[n] = before[n]
            if self.process == LOSSLESS:  # a line follows that above
                before = list(line_began)

    def _blocks(self) -> Iterator[int]:
        """Of each component: those that show anything."""
        wide = max(across for across, _ in self.factors)
        high = max(down for _, down in self.factors)
        for across, down in self.factors:
            columns = math.ceil(math.ceil(WIDTH * across / wide) / 8)
            yield columns * math.ceil(math.ceil(HEIGHT * down / high) / 8)

    def _begins_at(self) -> int:
        return int(2 ** (self.depth - 1)) if self.process == LOSSLESS else 0

    def _stored(self, sample: int) -> int:
        if self.process == LOSSLESS:
            return sample
        return 8 * (sample - int(2 ** (self.depth - 1)))


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def packed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")


@cache
def code(difference: int) -> str:
    category = abs(difference).bit_length()
    if not category:
        return format(category, "05b")
    if difference < 0:
        difference += 2**category - 1
    return format(category, "05b") + format(difference, f"0{category}b")


def cells() -> Iterator[Cell]:
    for process, space, sampling in itertools.product(
        (BASELINE, PROGRESSIVE), SPACES, SAMPLINGS
    ):
        cell = Cell(process, 8, space, sampling)
        if cell.is_allowed:
            yield cell
    for depth, space in itertools.product((8, 12, 16, 5), SPACES):
        if space != "YCbCr, unsaid":  # which is RGB where it is lossless
            yield Cell(LOSSLESS, depth, space)
    yield from itertools.starmap(
        Cell, itertools.product([EXTENDED, PROGRESSIVE], (8, 12), SPACES)
    )


@pytest.fixture(scope="module")
def files() -> dict[Cell, bytes]:
    return {cell: cell.written() for cell in cells()}


def wrong_with(cell: Cell, data: bytes, recipe: Recipe) -> str:
    """Say what is wrong with what is made of it; raises CannotMake."""
    made = make_thumbnails(data, recipe)
    image = opened(made.thumbnails[0]).convert("RGB")
    for part, half in ((0.12, LEFT), (0.88, RIGHT)):
        pixel = image.getpixel((int(part * image.width), image.height // 2))
        assert isinstance(pixel, tuple)
        wanted = cell.seen(half)
        if max(abs(a - b) for a, b in zip(pixel, wanted, strict=True)) > 5:
            return f"{pixel}, not {[round(value) for value in wanted]}"
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "strict", [False, pytest.param(True, marks=needs_simplejpeg)]
)
@pytest.mark.parametrize("side", [WIDTH, 20])  # 20: scaled by the decoder
def test_each_kind_of_jpeg_ends_right_or_is_not_read_here(
    files: dict[Cell, bytes], side: int, strict: bool
) -> None:
    """Strict is not to refuse what its checker does not know."""
    prepare()
    recipe = Recipe((Box(side, side),), Format.PNG, strict=strict)
    wrong, made, refused = [], 0, 0
    for cell, data in files.items():
        try:
            why = wrong_with(cell, data, recipe)
            made += 1
        except CannotMake as error:
            refused += 1
            why = str(error)
            if why.startswith("not read here"):
                continue
        if why:
            wrong.append(f"{why}: {cell}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:20])
    assert made >= 250, (made, refused)
