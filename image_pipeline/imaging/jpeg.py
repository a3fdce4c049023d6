"""JPEG: which of its processes is it, by the header of its frame."""

from image_pipeline.imaging.formats import Kind

LOSSLESS = 0xC3
_READ = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA, LOSSLESS)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


def process(data: bytes) -> tuple[int, int]:
    """Return the marker of the frame and the bits of a sample; or zeros."""
    at = 2
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            return marker, data[at + 4]
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return 0, 0


def trouble(data: bytes) -> str:
    """Say why it is not read here, or nothing."""
    marker, bits = process(data)
    if not marker or (marker in _READ and bits == 8):
        return ""
    if marker == 0xF7:
        return f"{Kind.NOT_READ}: JPEG-LS"
    how = "lossless " if marker == LOSSLESS else ""
    if marker in _READ:
        return f"{Kind.NOT_READ}: {how}JPEG of {bits} bits"
    return f"{Kind.NOT_READ}: JPEG of process SOF{marker - 0xC0}"
