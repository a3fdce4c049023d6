"""How large a thumbnail says it is, by its header alone.

The sink asks this of what workers send, before it keeps it. No decoder runs,
since the sink is the process that may write to your folders.
"""

from struct import error, unpack_from

from image_pipeline.imaging.jpeg import frame

_AVIF_HEADER = 4096  # Pillow's has 300 bytes or so


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Return width and height of a JPEG, PNG, WEBP or AVIF; zeros for none.

    `name` is what `sniff` has found.
    """
    try:
        match name:
            case "JPEG":
                width, height = _jpeg(data)
            case "PNG":
                width, height = unpack_from(">II", data, 16)
            case "WEBP":
                width, height = _webp(data)
            case _:
                width, height = _avif(data[:_AVIF_HEADER])
    except error:  # it is cut off
        return 0, 0
    return width, height


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


def _avif(head: bytes) -> tuple[int, int]:
    """Return the largest of the sizes of its pictures, such as alpha."""
    sizes = [(0, 0)]
    at = head.find(b"ispe")
    while at >= 0:
        width, height = unpack_from(">II", head, at + 8)
        sizes.append((width, height))
        at = head.find(b"ispe", at + 4)
    return max(w for w, _ in sizes), max(h for _, h in sizes)
