"""Converts any mode and profile of a file to the sRGB that browsers show."""

import io
import math
import struct
from functools import cache, lru_cache
from typing import TYPE_CHECKING, cast

from PIL import ExifTags, Image

from image_pipeline.imaging.recipe import Recipe

if TYPE_CHECKING:
    from PIL import ImageCms

# What a mode becomes that is not resized smoothly; all others become RGB.
_SMOOTH = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}


@cache
def _16_to_8_bits() -> list[int]:
    return [(value * 255 + 32_767) // 65_535 for value in range(65_536)]


def plain_colours(image: Image.Image) -> Image.Image:
    """Return `image` in a mode that can be resized smoothly.

    Pillow resizes palettes and 1-bit images by nearest neighbour, which
    looks torn, and clips 16 bits to 8 instead of scaling them.
    """
    if image.has_transparency_data and image.mode in ("1", "L", "RGB", "P"):
        return image.convert("RGBA")
    match image.mode:
        case "L" | "LA" | "RGB" | "RGBA" | "CMYK":
            return image
        case "I" | "F":
            return _deep_to_8_bits(image)
        case "LAB":
            return _transform(b"", "LAB").apply(image)
        case mode if mode.startswith("I;16"):
            return image.convert("I").point(_16_to_8_bits(), "L")
        case mode:
            return image.convert(_SMOOTH.get(mode, "RGB"))


# Red, green and blue of colour spaces that a file may name instead of having
# a profile, as XYZ adapted to D50. The numbers are those of ITU-T H.273.
_ADOBE_RGB, _BT2020, _P3 = -1, 9, 12
_PRIMARIES = {
    _ADOBE_RGB: (
        (0.60974, 0.31111, 0.01947),
        (0.20528, 0.62567, 0.06087),
        (0.14919, 0.06322, 0.74457),
    ),
    _BT2020: (
        (0.67348, 0.27904, -0.00193),
        (0.16566, 0.67534, 0.02998),
        (0.12505, 0.04561, 0.79686),
    ),
    _P3: (
        (0.51512, 0.24120, -0.00105),
        (0.29198, 0.69225, 0.04189),
        (0.15710, 0.06657, 0.78407),
    ),
}
_HDR = {16: "PQ", 18: "HLG"}


def told_by_number(name: str, data: bytes, profile: bytes) -> tuple[int, int]:
    """Return primaries and transfer by their H.273 numbers, or zeros."""
    told = b""
    if name == "PNG":
        head = data[: max(0, data.find(b"IDAT"))]
        told = head.partition(b"cICP")[2][:2]
    elif profile:
        at = int.from_bytes(profile[128:].partition(b"cicp")[2][:4])
        told = profile[at + 8 : at + 10] if at else told
    elif name in ("AVIF", "HEIF"):
        told = data[:65_536].partition(b"colrnclx")[2][1:4:2]
    return (told[0], told[1]) if len(told) == 2 else (0, 0)


def profile_told(
    image: Image.Image, name: str, data: bytes, notes: list[str]
) -> bytes:
    """Return the profile in the file, or one for what it names instead."""
    profile: bytes = image.info.get("icc_profile") or b""
    space = 0
    primaries, transfer = told_by_number(name, data, profile)
    if transfer in _HDR:
        notes.append(
            f"HDR ({_HDR[transfer]}), which is not tone-mapped: it looks flat"
        )
    elif name == "PNG" or not profile:  # PNG ranks it above a profile
        space = primaries
    if not profile and space not in _PRIMARIES:
        space = _told_by_exif(image)
    if space in _PRIMARIES and image.mode in ("RGB", "RGBA"):
        return _profile_of(space)
    return profile


def _told_by_exif(image: Image.Image) -> int:
    """Return the colour space that cameras tell by EXIF, or 0."""
    try:
        interop = image.getexif().get_ifd(ExifTags.IFD.Interop)
        told = interop.get(ExifTags.Interop.InteropIndex)
    except Exception:  # noqa: BLE001 - noted with the orientation
        return 0
    return _ADOBE_RGB if told in ("R03", b"R03") else 0


@cache
def _profile_of(space: int) -> bytes:
    """Return an ICC profile of these primaries."""

    def fixed(*values: float) -> bytes:
        return struct.pack(
            f">{len(values)}i", *(round(v * 65_536) for v in values)
        )

    d50 = (0.9642, 1.0, 0.8249)
    if space == _ADOBE_RGB:
        curve = b"curv" + struct.pack(">IIHH", 0, 1, 563, 0)
    else:  # that of sRGB
        numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        curve = b"para" + struct.pack(">IHH", 0, 3, 0) + fixed(*numbers)
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(*d50)}
    for letter, xyz in zip("rgb", _PRIMARIES[space], strict=True):
        tags[f"{letter}XYZ".encode()] = b"XYZ " + bytes(4) + fixed(*xyz)
        tags[f"{letter}TRC".encode()] = curve
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4xI4s4s4s", at + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ "
    )
    head = head.ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + fixed(*d50)
    return head.ljust(128, b"\0") + table + body


def _deep_to_8_bits(image: Image.Image) -> Image.Image:
    """Scale 32-bit samples, whose black and white the file does not name."""
    low, high = cast("tuple[float, float]", image.getextrema())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("it has samples that are no finite numbers")
    if image.mode == "I" and low >= 0 and high <= 65_535:
        return image.point(_16_to_8_bits(), "L")
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0, 1
    scale = 255 / (high - low) if high > low else 0
    offset = -low * scale
    return image.convert("F").point(lambda v: v * scale + offset).convert("L")


def to_srgb(
    image: Image.Image, profile: bytes, notes: list[str]
) -> Image.Image:
    """Convert from the embedded `profile`; note it when that cannot be."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if alpha:
        image = image.convert(image.mode.removesuffix("A"))
    if profile:
        from PIL import ImageCms  # most images in a folder have no profile

        try:
            image = _transform(profile, image.mode).apply(image)
        except ImageCms.PyCMSError:
            notes.append("its colour profile does not fit and is ignored")
    if image.mode == "CMYK":
        image = image.convert("RGB")
    if alpha:
        image.putalpha(alpha)
    return image


@lru_cache(maxsize=64)  # a folder of photographs knows a handful
def _transform(profile: bytes, mode: str) -> "ImageCms.ImageCmsTransform":
    """Return what turns `mode` into sRGB; LAB needs no profile for it."""
    from PIL import ImageCms

    return ImageCms.buildTransform(
        io.BytesIO(profile) if profile else ImageCms.createProfile("LAB"),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
    )


def encode(image: Image.Image, recipe: Recipe) -> bytes:
    """Write `image` in the recipe's format, without any metadata."""
    if image.mode in ("LA", "RGBA") and not recipe.format.has_alpha:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    # Pillow would copy comments and profiles from here into the file.
    image.info = {}
    buffer = io.BytesIO()
    image.save(buffer, recipe.format, quality=recipe.quality)
    return buffer.getvalue()
