"""Which files are images: by their first bytes, and by their names.

The list of formats is short on purpose. Pillow opens forty, among them EPS,
which starts Ghostscript, and containers whose header may lie about the size
of what is inside (ICO, ICNS). Only the formats below are ever handed to it.
"""

HEAD_BYTES = 16  # `sniff` needs no more than this

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    *((b"P%d" % kind, "PPM") for kind in range(1, 7)),
)
_AVIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")

# Also those that are not read here: a photographer who has HEIC files wants
# to be told, not to find them counted as "not an image".
IMAGE_SUFFIXES = frozenset(
    b".avif .avifs .bmp .cr2 .cr3 .dng .eps .gif .heic .heif .ico .jfif .jp2"
    b" .jpe .jpeg .jpg .jxl .mpo .nef .orf .pbm .pgm .png .pnm .ppm .psd .raf"
    b" .rw2 .svg .tif .tiff .webp".split()
)


def sniff(head: bytes) -> str | None:
    """Name the format that a file with these first bytes claims to be.

    None means that it is no image that we read. The claim may be false: two
    letters are all the signature that BMP and PPM have.
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in _AVIF_BRANDS:
        return "AVIF"
    return None


def is_image_name(name: bytes) -> bool:
    """Tell whether `name` ends like the name of an image."""
    stem, dot, suffix = name.rpartition(b".")
    return dot + suffix.lower() in IMAGE_SUFFIXES and stem != b""
