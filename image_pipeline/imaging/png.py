"""PNG: metadata that Pillow stumbles over is left out before it sees it.

Pillow refuses the picture for a text that is too long, a checksum of an
ancillary chunk that is wrong, or a text that is called `icc_profile`.
"""

import zlib
from collections.abc import Iterator

from PIL import Image

from image_pipeline.imaging.color import plain_colours

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PROFILE = 2**24  # bytes, unpacked
_KEPT = (b"tRNS", b"eXIf", b"acTL", b"iCCP")
_TEXTS = (b"Raw profile type ", b"XML:com.adobe.xmp\0")  # with orientation


def without_odd_metadata(data: bytes, notes: list[str]) -> bytes:
    """Return the chunks that make the picture, as they are."""
    kept = [SIGNATURE]
    for kind, chunk in _chunks(data):
        body, checksum = memoryview(chunk)[8:-4], int.from_bytes(chunk[-4:])
        if kind[:1].isupper() or kind in (b"fcTL", b"fdAT"):
            kept.append(chunk)  # Pillow says what is wrong with these
        elif zlib.crc32(body, zlib.crc32(kind)) != checksum:
            what = kind.decode() if kind.isalpha() else "chunk"
            notes.append(f"its damaged {what} is ignored")
        elif kind == b"iCCP" and not _unpacks(bytes(body)):
            notes.append("its colour profile does not fit and is ignored")
        elif kind in _KEPT or (
            kind in (b"tEXt", b"zTXt", b"iTXt")
            and bytes(body[:20]).startswith(_TEXTS)
            and len(body) < MAX_PROFILE
        ):
            kept.append(chunk)
    return b"".join(kept)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at:end]
        at = end


def _unpacks(body: bytes) -> bool:
    packed = body.partition(b"\0")[2][1:]
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed, MAX_PROFILE)
    except zlib.error:
        return False
    return unpacker.eof


def transparent_colour(image: Image.Image, data: bytes) -> Image.Image:
    """Return `image` with the alpha channel that its tRNS stands for.

    Pillow keeps the value in the depth of the file, and compares it with
    samples of 8 bits.
    """
    value = image.info.get("transparency")
    depth, colours = data[24], data[25]
    if value is None or depth in (1, 8) or colours not in (0, 2):
        return image
    if colours == 2:
        image.info["transparency"] = tuple(v >> 8 for v in value)
        return image
    if depth < 8:
        value = value * 255 // (2**depth - 1)
    opaque = [255 * (v != value) for v in range(65_536)]
    alpha = image.convert("I").point(opaque, "L")
    del image.info["transparency"]
    image = plain_colours(image)
    image.putalpha(alpha)
    return image
