"""From the bytes of an image to the bytes of its thumbnails.

No file and no socket is touched here. Each step stands where it does for a
reason: limits come before any pixel is decoded; the final size is known
before the decoder starts, so that JPEG scales by up to 8 inside its inverse
transform; turning and colour management come after the resize, when the
image is small.
"""

import io
import math
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module

from PIL import ExifTags, Image, ImageFilter, ImageOps, UnidentifiedImageError

from image_pipeline.imaging import color, formats, jpeg, png, warnings
from image_pipeline.imaging.formats import Kind
from image_pipeline.imaging.reasons import undecoded, unopened
from image_pipeline.imaging.recipe import Box, Recipe
from image_pipeline.outcome import CannotMake as CannotMake
from image_pipeline.outcome import Unfit

# JPEG is decoded at least so many times larger than the thumbnail. With 2 the
# picture is a little sharper still, for a tenth more CPU.
_MARGIN = 1.4
_SHARPEN = 1.25 / 24  # the least error against resizing the whole picture


class NotAnImage(Unfit):
    """The bytes do not even claim to be an image."""


@dataclass(frozen=True, slots=True)
class Made:
    """The thumbnails of one image, in the order of the recipe's sizes.

    `width` and `height` are the pixels of the source as it is shown, that
    is, after its orientation. `notes` says what was odd about it.
    """

    thumbnails: list[bytes]
    width: int
    height: int
    notes: list[str] = field(default_factory=list)


def prepare() -> None:
    """Set what Pillow keeps for the whole process; call it once, early.

    Our limits replace Pillow's, which cannot be set for each image.
    """
    Image.MAX_IMAGE_PIXELS = None
    warnings.listen()


def make_thumbnails(data: bytes, recipe: Recipe) -> Made:
    """Make the thumbnails that `recipe` asks for from an image's bytes.

    Raises NotAnImage when the first bytes are those of no format we read,
    and CannotMake for anything else that is wrong with the image.
    """
    head = data[: formats.HEAD_BYTES]
    name = formats.sniff(head)
    if name is None:
        if other := formats.sniff_unread(head):
            raise CannotMake(f"{Kind.NOT_READ}: {other}")
        raise NotAnImage(formats.no_image(head))
    if len(data) > recipe.max_bytes:
        raise CannotMake(
            f"{Kind.TOO_BIG}: its {len(data)} bytes are more than "
            f"{recipe.max_bytes}"
        )
    _learn(name)
    _learn(recipe.format.upper())
    with warnings.about_one_image() as heard:
        try:
            made = _make(data, name, recipe)
        except CannotMake:
            raise
        except UnidentifiedImageError:
            why = unopened(name, data, recipe.max_pixels)
            raise CannotMake(why) from None
        except Exception as error:
            # Decoders raise anything; it is about this one image.
            raise CannotMake(undecoded(name, error)) from error
    if recipe.strict and heard:
        raise CannotMake(f"strict: the decoder warned: {'; '.join(heard)}")
    made.notes.extend(heard)
    return made


@cache
def _learn(name: str) -> None:
    """Load what Pillow does not know yet; AVIF and HEIF with one thread.

    Pillow would load all of its forty formats to look for one; a worker that
    is about to make JPEGs of JPEGs starts sooner without any of them. TIFF is
    loaded by our own module `tiff`.
    """
    match name:
        case "AVIF":
            from PIL import AvifImagePlugin

            AvifImagePlugin.DEFAULT_MAX_THREADS = 1
        case "HEIF":
            try:
                import pillow_heif
            except ImportError:
                raise CannotMake(formats.HEIC_UNREAD) from None
            pillow_heif.options.DECODE_THREADS = 1
            pillow_heif.register_heif_opener(thumbnails=False)
        case "WEBP":
            import_module("PIL.WebPImagePlugin")


def _make(data: bytes, name: str, recipe: Recipe) -> Made:
    notes: list[str] = []
    page, is_inverted = 0, False
    if name == "TIFF":
        from image_pipeline.imaging import tiff

        layout = tiff.look(data)
        if layout.embedded:
            notes.append("camera raw: made from its embedded picture")
            data, name = layout.embedded, "JPEG"
        page, is_inverted = layout.page, layout.inverted
    original = data
    if name == "PNG":
        data = png.without_odd_metadata(data, notes)
    if name == "JPEG" and (why := jpeg.trouble(data)):
        raise CannotMake(why)
    with Image.open(io.BytesIO(data), formats=(name,)) as image:
        if page:
            image.seek(page)
        _check_pixels(image, recipe.max_pixels)
        if recipe.strict and name == "JPEG" and (why := jpeg.harm(data)):
            raise CannotMake(why)
        if image.format not in ("JPEG", "MPO"):
            # Only these can be asked to scale while they decode. A PNG may
            # have its EXIF at the end, and would load itself to get there.
            image.load()
        orientation = _orientation(image, notes)
        lying = orientation in (5, 6, 7, 8)  # they swap width and height
        width, height = image.size
        parts = []  # of each thumbnail: what it shows, and its size
        for box in recipe.sizes:
            box = Box(box.height, box.width) if lying else box
            share = box.share(width, height) if recipe.fill else (1.0, 1.0)
            size = box.fit(width * share[0], height * share[1])
            parts.append((share, size))
        draft = None
        if name != "JPEG" or not jpeg.is_lossless(data):
            wide = _MARGIN * max(size[0] / share[0] for share, size in parts)
            high = _MARGIN * max(size[1] / share[1] for share, size in parts)
            draft = image.draft(None, (math.ceil(wide), math.ceil(high)))
        profile = color.profile_told(image, name, original, notes)
        image.load()
        whole: Image.Image = image
        if name == "PNG":
            whole = png.transparent_colour(image, data)
        whole = color.plain_colours(whole)
        if is_inverted:
            whole = whole.point(lambda grey: 255 - grey)
        thumbnails = []
        right, below = draft[1][2:] if draft else whole.size
        for (across, down), size in parts:
            small = whole.resize(
                size,
                Image.Resampling.LANCZOS,
                box=(
                    right * (1 - across) / 2,
                    below * (1 - down) / 2,
                    right * (1 + across) / 2,
                    below * (1 + down) / 2,
                ),
                reducing_gap=2.0,
            )
            if width > 7 * right:  # at 1/8 the decoder takes the average
                small = _sharpened(small, size[0] / (across * right))
            small.info = {}  # only the orientation counts, of all its EXIF
            small.getexif()[ExifTags.Base.Orientation] = orientation
            small = ImageOps.exif_transpose(small)
            small = color.to_srgb(small, profile, notes)
            thumbnails.append(color.encode(small, recipe))
    if lying:
        width, height = height, width
    return Made(thumbnails, width, height, list(dict.fromkeys(notes)))


def _sharpened(small: Image.Image, width: float) -> Image.Image:
    """Undo the blur of averaging over `width` pixels.

    The blur is the first term of sinc(pi * width * frequency), and so is
    what this adds.
    """
    k = _SHARPEN * width**2
    row = (-k, 1 + 2 * k, -k)
    kernel = [a * b for a in row for b in row]
    return small.filter(ImageFilter.Kernel((3, 3), kernel, scale=1))


def _check_pixels(image: Image.Image, limit: int) -> None:
    """Refuse by the header alone: after `draft` it would be too late.

    The frames of an animation count; the second picture of a JPEG (phones
    add one) and the further pages of a TIFF do not, as nothing decodes them.
    """
    frames = 1
    if image.format not in ("MPO", "TIFF"):
        frames = getattr(image, "n_frames", 1)
    pixels = image.width * image.height * frames
    if pixels > limit:
        of_frames = f"{frames} frames of " if frames > 1 else ""
        raise CannotMake(
            f"{Kind.TOO_BIG}: its {of_frames}{image.width} x {image.height} "
            f"pixels are more than {limit}; --max-pixels raises it"
        )


def _orientation(image: Image.Image, notes: list[str]) -> int:
    """Return how it is to be turned; of a TIFF, Pillow has done it."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - EXIF is written by anybody's firmware
        notes.append("its EXIF cannot be read, so it is shown as stored")
        return 1
    return value if isinstance(value, int) else 1
