"""What a file is: by its first bytes, and only then by its name.

The list of formats that are read is short on purpose. Pillow opens forty,
among them EPS, which starts Ghostscript, and containers whose header may lie
about the size of what is inside (ICO, ICNS). Only the formats of `sniff` are
ever handed to it. `sniff_unread` knows further ones, to name them.

Three truths are told apart, and begin the reason that a file is told with:
it is no image; it is a sound image of a kind that is not read here; it is
damaged.
"""

from enum import StrEnum
from importlib.util import find_spec

HEAD_BYTES = 64  # what the functions below look at


class Kind(StrEnum):
    """How the reason begins; what follows the colon says more."""

    NO_IMAGE = "no image"
    NOT_READ = "not read here"
    DAMAGED = "damaged"
    TOO_BIG = "over a limit"
    UNCLEAR = "cannot be decoded"  # damaged, or a rare variant


HEIC_UNREAD = f"{Kind.NOT_READ}: HEIC; pip install 'beyond-http[heic]'"


def unread_here() -> tuple[str, ...]:
    """The formats that `sniff` names, and for which an extra is missing."""
    return () if find_spec("pillow_heif") else ("HEIF",)


def kind_of(reason: str) -> str:
    """Return the kind that `reason` begins with, or nothing."""
    kind = reason.partition(":")[0]
    return kind if kind in set(Kind) else ""


_MAGIC = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),  # with +: BigTIFF
    "BMP": (b"BM",),
    "PPM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
}
_MAGIC_UNREAD = {
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "JPEG 2000": (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "),
    "JPEG XR": (b"II\xbc\x01",),
    "Photoshop": (b"8BPS",),
    "GIMP": (b"gimp xcf",),
    "OpenEXR": (b"v/1\x01",),
    "Radiance HDR": (b"#?RADIANCE",),
    "DirectDraw": (b"DDS ",),
    "PostScript": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "QOI": (b"qoif",),
    "Apple icon": (b"icns",),
    "PCX": (b"\n\5\1\x08",),
    "Windows icon": (b"\0\0\1\0",),
    "camera raw": (
        *(b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM"),  # Sigma, Minolta
        *(b"IIRO", b"IIRS", b"MMOR", b"IIU\0"),  # Olympus, Panasonic
    ),
}
_WITHOUT_MAGIC = ((b".tga", b"", "TGA"), (b".svg", b"<", "SVG"))
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset(
    b"heic heix heim heis hevc hevx mif1 mif2 msf1".split()
)

# The names of images: a photographer wants to be told of a file with one of
# these that is damaged or not read, not to find it "not an image".
IMAGE_SUFFIXES = frozenset(
    b".3fr .arw .avci .avif .avifs .bmp .cr2 .cr3 .crw .dng .eps .gif .heic"
    b" .heics .heif .hif .ico .j2k .jfif .jp2 .jpe .jpeg .jpg .jxl .jxr .mpo"
    b" .mrw .nef .nrw .orf .pbm .pef .pgm .png .pnm .ppm .psd .raf .rw2 .srw"
    b" .svg .tga .tif .tiff .webp .x3f .xcf".split()
)


def sniff(head: bytes) -> str | None:
    """Name the format that a file with these first bytes claims to be.

    None means that it is no image that we read. The claim may be false: two
    letters are all the signature that BMP and PPM have.
    """
    for name, magic in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    brands = _brands(head)
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def sniff_unread(head: bytes, file_name: bytes = b"") -> str | None:
    """Name the image format of these first bytes that is not read here.

    A few formats begin like nothing, and are known by their suffix.
    """
    for name, magic in _MAGIC_UNREAD.items():
        if head.startswith(magic):
            return name
    if b"crx " in _brands(head) or head[6:14] == b"HEAPCCDR":  # Canon
        return "camera raw"
    text = head.lstrip(b"\xef\xbb\xbf\r\n\t ")
    for suffix, begin, name in _WITHOUT_MAGIC:
        if file_name.lower().endswith(suffix) and text.startswith(begin):
            return name
    return None


def no_image(head: bytes) -> str:
    """Return why a file of these first bytes is no image that we know."""
    if not head:
        return f"{Kind.NO_IMAGE}: the file is empty"
    if not any(head):
        return f"{Kind.NO_IMAGE}: it begins with nothing but zeros"
    return f"{Kind.NO_IMAGE}: its contents are not those of one"


def _brands(head: bytes) -> set[bytes]:
    """The major brand and the compatible ones of an ISO media file."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4]), len(head))
    return {head[at : at + 4] for at in (8, *range(16, end, 4))}


def is_image_name(name: bytes) -> bool:
    """Return whether `name` ends like the name of an image."""
    stem, dot, suffix = name.rpartition(b".")
    return dot + suffix.lower() in IMAGE_SUFFIXES and stem != b""
