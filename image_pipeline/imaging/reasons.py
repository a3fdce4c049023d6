"""Why Pillow gave up: damage, or a kind of image that it does not know."""

import re

from image_pipeline.imaging.formats import Kind
from image_pipeline.imaging.size import extents

# What Pillow says where it does not know a sound variant. Where nothing of
# this fits, and nothing of _BROKEN, the reason leaves it open.
_UNKNOWN = ("unsupported", "not supported", "unknown")
_BROKEN = ("broken", "corrupt", "invalid", "crc", "decompress")


def unopened(name: str, data: bytes, max_pixels: int) -> str:
    """Return why Pillow finds no image in a file that begins like one."""
    if name == "TIFF":  # `tiff.look` has read all of its tags
        return f"{Kind.NOT_READ}: TIFF of a rare layout"
    if name not in ("AVIF", "HEIF"):
        return f"{Kind.DAMAGED}: {name}: its header makes no sense"
    for width, height in extents(data[:65_536]):
        if width * height > max_pixels:
            return (
                f"{Kind.TOO_BIG}: its {width} x {height} pixels are more "
                f"than {max_pixels}; --max-pixels raises it"
            )
    return f"{Kind.UNCLEAR}: {name}: damaged, or of a rare kind"


def undecoded(name: str, error: Exception) -> str:
    """Tell damage from what Pillow does not know, where that is clear."""
    if isinstance(error, MemoryError):
        return f"{Kind.TOO_BIG}: it needs more memory than there is"
    text = str(error) or type(error).__name__
    if re.search(r"Unsupported BMP .*\([0-9]{3,}\)", text):
        return f"{Kind.DAMAGED}: {name}: its header makes no sense"
    if "decoder error" in text:  # a number of libtiff's, which tells nothing
        return f"{Kind.UNCLEAR}: {name}: damaged, or of a rare kind"
    if any(word in text.lower() for word in _UNKNOWN):
        return f"{Kind.NOT_READ}: {name}: {text}"
    if "truncated" in text.lower():  # by how much differs from file to file
        return f"{Kind.DAMAGED}: {name}: the file is cut off"
    broken = (
        name == "PNG"  # of which Pillow knows every kind
        or isinstance(error, EOFError | SyntaxError)
        or any(word in text.lower() for word in _BROKEN)
    )
    return f"{Kind.DAMAGED if broken else Kind.UNCLEAR}: {name}: {text}"
