"""How large a thumbnail says it is, by its header alone.

The sink asks this of what workers send, before it keeps it. No decoder runs,
since the sink is the process that may write to your folders.
"""

import re
from struct import error, unpack, unpack_from

from image_pipeline.imaging.jpeg import frame

_AVIF_HEADER = 4096  # Pillow's has 300 bytes or so


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Return width and height of a JPEG, PNG, WEBP or AVIF; zeros for none.

    `name` is what `sniff` has found.
    """
    try:
        match name:
            case "JPEG":
                return _jpeg(data)
            case "PNG":
                return unpack_from(">II", data, 16)
            case "WEBP":
                return _webp(data)
            case _:
                sizes = [(0, 0), *extents(data[:_AVIF_HEADER])]
                return max(w for w, _ in sizes), max(h for _, h in sizes)
    except error:  # it is cut off
        return 0, 0


def _jpeg(data: bytes) -> tuple[int, int]:
    at = frame(data)
    if not at or data[at + 1] not in (0xC0, 0xC1, 0xC2):
        return 0, 0  # no frame that browsers show
    height, width = unpack_from(">HH", data, at + 5)
    return width, height


def _webp(data: bytes) -> tuple[int, int]:
    match data[12:16]:
        case b"VP8 ":
            width, height = unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = unpack_from("<I", data, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            low, w, low_, h = unpack_from("<HBHB", data, 24)
            return (w << 16 | low) + 1, (h << 16 | low_) + 1
    return 0, 0


def extents(head: bytes) -> list[tuple[int, int]]:
    """Return the sizes of all pictures of an AVIF or HEIF, such as alpha."""
    found = re.findall(rb"(?=ispe.{4}(.{8}))", head, re.DOTALL)
    return [unpack(">II", sides) for sides in found]
