"""JPEG: which of its processes it is, and whether libjpeg warns of it."""

from image_pipeline.imaging.formats import Kind

_LOSSLESS = 0xC3
_READ = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA, _LOSSLESS)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_CANNOT_CHECK = ("subsampling", "Unsupported")  # not about the picture
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


def is_lossless(data: bytes) -> bool:
    """Return whether it is lossless, which the decoder cannot scale."""
    at = frame(data)
    return at > 0 and data[at + 1] == _LOSSLESS


def trouble(data: bytes) -> str:
    """Return why it is not read here, or nothing."""
    at = frame(data)
    if not at:
        return ""
    marker, bits = data[at + 1], data[at + 4]
    if marker == 0xF7:
        return f"{Kind.NOT_READ}: JPEG-LS"
    how = "lossless " if marker == _LOSSLESS else ""
    if marker not in _READ:
        return f"{Kind.NOT_READ}: JPEG of process SOF{marker - 0xC0}"
    if bits != 8:
        return f"{Kind.NOT_READ}: {how}JPEG of {bits} bits"
    if how and _is_ycc(data[:at]):  # libjpeg does not convert these
        return f"{Kind.NOT_READ}: lossless JPEG in YCbCr"
    return ""


def frame(data: bytes) -> int:
    """Return where the header of the frame is, or 0."""
    at = 2
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            return at
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return 0


def _is_ycc(head: bytes) -> bool:
    if head[6:11] == b"JFIF\0":
        return True
    adobe = head.find(b"\xff\xee\0\x0eAdobe")
    return adobe > 0 and head[adobe + 15 : adobe + 16] != b"\0"


def harm(data: bytes) -> str:
    """Name damage that Pillow decodes without a word, or return nothing.

    libjpeg only warns of a zero-filled or patched tail, and Pillow drops its
    warnings (JpegDecode.c); simplejpeg passes them on. Scaling by 8 keeps
    this to the entropy decoding, which nothing can avoid.
    """
    try:
        import simplejpeg  # type: ignore[import-untyped]
    except ImportError:
        return (
            "--strict needs simplejpeg in this worker: pip install simplejpeg"
        )
    try:
        *_, colours, _ = simplejpeg.decode_jpeg_header(data)
        simplejpeg.decode_jpeg(
            data,
            colorspace="CMYK" if colours in ("CMYK", "YCCK") else "GRAY",
            fastdct=True,
            min_factor=8,
        )
    except KeyError:  # a subsampling that it has no name for
        pass
    except ValueError as error:
        if not any(word in str(error) for word in _CANNOT_CHECK):
            return f"{Kind.DAMAGED}: JPEG: strict: {error}"
    return ""
