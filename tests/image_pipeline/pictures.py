"""Small images to make thumbnails of, in every mode, and ways to harm them.

All are drawn here, so that nothing binary is committed and a reader can see
what is in them.
"""

import io
import struct
import zlib
from importlib.util import find_spec
from typing import Any

import pytest
from PIL import Image

needs_simplejpeg = pytest.mark.skipif(
    not find_spec("simplejpeg"), reason="simplejpeg has no wheel here"
)

# The four quarters of every test picture, clockwise from the top left. Any
# turn, mirror or exchange of channels shows.
QUARTERS = ((220, 40, 30), (30, 180, 60), (40, 70, 210), (240, 220, 40))


def quarters(width: int = 320, height: int = 240) -> Image.Image:
    """Draw red, green, blue and yellow, clockwise from the top left."""
    image = Image.new("RGB", (width, height))
    half_width, half_height = width // 2, height // 2
    corners = (
        (0, 0),
        (half_width, 0),
        (half_width, half_height),
        (0, half_height),
    )
    for colour, (x, y) in zip(QUARTERS, corners, strict=True):
        image.paste(colour, (x, y, x + half_width, y + half_height))
    return image


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def seen_quarters(image: Image.Image) -> list[tuple[int, int, int]]:
    """Look at the middle of each quarter, clockwise from the top left."""
    rgb = image.convert("RGB")
    across, down = image.width // 4, image.height // 4
    spots = ((1, 1), (3, 1), (3, 3), (1, 3))
    seen = []
    for x, y in spots:
        pixel = rgb.getpixel((x * across, y * down))
        assert isinstance(pixel, tuple)
        seen.append((int(pixel[0]), int(pixel[1]), int(pixel[2])))
    return seen


def distance(
    one: list[tuple[int, int, int]], other: list[tuple[int, int, int]]
) -> int:
    """The largest difference in any channel."""
    return max(
        abs(a - b)
        for left, right in zip(one, other, strict=True)
        for a, b in zip(left, right, strict=True)
    )


def png_of_one_colour(width: int, height: int) -> bytes:
    """Write a PNG that is tiny as a file and huge as an image."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", rows + packer.flush())
        + chunk(b"IEND", b"")
    )


def cut(data: bytes, share: float = 0.5) -> bytes:
    """Keep the first part, as a broken download does."""
    return data[: int(len(data) * share)]


def zero_filled(data: bytes, share: float = 0.5) -> bytes:
    """Zero the rest, as a full disk or a failed copy does."""
    return cut(data, share).ljust(len(data), b"\0")


def cut_and_closed(data: bytes, share: float = 0.5) -> bytes:
    """End a cut JPEG properly, as many repair tools do."""
    return cut(data, share) + b"\xff\xd9"
