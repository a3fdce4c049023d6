"""Photographs for the demo, the bench and the tests: made up, yet hard work.

A thumbnailer spends its time in the entropy decoder, so a picture that is
to stand for a photograph must be as full of detail as one: about 1.5 MB for
4 megapixels. These are mountains at all times of day, with grain, an EXIF
block that tells where they were taken. One in four was taken with the
camera held upright, and one in four is progressive, which takes a decoder
several times as long: 15 of the 55 JPEGs of three Linux desktops are. The
same seed makes the same picture.
"""

import io
import random
from itertools import pairwise

from PIL import ExifTags, Image, ImageChops, ImageDraw, ImageFilter, ImageOps

WIDTH, HEIGHT = 2304, 1728  # 4 megapixels, as a phone takes them

_SKIES = (
    ("#17264d", "#c9533f", "#f6d08a"),
    ("#2c5f9e", "#7fb2dd", "#e8f0f2"),
    ("#1c1f3a", "#574a79", "#e39a8b"),
    ("#4a6d8c", "#a9bfc9", "#f2e6cf"),
    ("#0b1026", "#22365f", "#7d8fb3"),
)


def photograph(seed: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """Return one photograph as the bytes of a JPEG file."""
    rng = random.Random(seed)
    upright = rng.random() < 0.25
    progressive = rng.random() < 0.25
    if upright:
        width, height = height, width
    scene, land = _scene(rng, (max(1, width // 4), max(1, height // 4)))
    image = scene.resize((width, height), Image.Resampling.BILINEAR)
    land = land.resize((width, height), Image.Resampling.NEAREST)
    image = _grain(rng, image, land)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Beyond HTTP"
    exif[ExifTags.Base.Model] = f"Mountain camera {seed}"
    exif[ExifTags.Base.DateTime] = "2024:06:01 12:00:00"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "N"
    gps[ExifTags.GPS.GPSLatitude] = (46.0, 30.0, rng.uniform(0, 60))
    if upright:  # cameras store what they see and note how they were held
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92, exif=exif, progressive=progressive)
    return file.getvalue()


def _scene(
    rng: random.Random, size: tuple[int, int]
) -> tuple[Image.Image, Image.Image]:
    """Paint sky, sun and ridges; also return a mask of where land is."""
    width, height = size
    horizon, middle, zenith = rng.choice(_SKIES)[::-1]
    image = ImageOps.colorize(
        Image.linear_gradient("L").resize(size), zenith, horizon, middle
    )
    glow = Image.radial_gradient("L").point(lambda v: 255 - v * 1.5)
    sun = Image.new("L", size)
    left = rng.randrange(width) - height // 2
    corner = left, rng.randrange(height) // 2 - height // 4
    sun.paste(glow.resize((height, height)), corner)
    image = ImageChops.screen(image, sun.convert("RGB"))
    land = Image.new("L", size)
    ridges = 5
    for ridge in range(ridges):
        nearness = (ridge + 1) / ridges
        top = height * (0.35 + 0.5 * nearness * rng.uniform(0.7, 1))
        outline = _ridge(rng, size, top, height * 0.25 * (1.2 - nearness / 2))
        colour = tuple(
            round(far * (1 - nearness) + near * nearness)
            for far, near in zip(_HAZE, rng.choice(_SOILS), strict=True)
        )
        ImageDraw.Draw(image).polygon(outline, colour)
        ImageDraw.Draw(land).polygon(outline, round(255 * nearness))
    return image, land.filter(ImageFilter.GaussianBlur(1))


_HAZE = (150, 165, 190)
_SOILS = ((28, 38, 30), (44, 36, 28), (24, 32, 46))


def _ridge(
    rng: random.Random, size: tuple[int, int], top: float, roughness: float
) -> list[tuple[float, float]]:
    """Draw a mountain's outline by midpoint displacement."""
    heights = [rng.uniform(-roughness, roughness) for _ in range(3)]
    while len(heights) < 257:
        roughness *= 0.55
        middles = [
            (left + right) / 2 + rng.uniform(-roughness, roughness)
            for left, right in pairwise(heights)
        ]
        pairs = zip(heights, middles, strict=False)
        heights = [each for pair in pairs for each in pair] + heights[-1:]
    width, height = size
    step = width / (len(heights) - 1)
    return [
        (0, height),
        *((i * step, top + each) for i, each in enumerate(heights)),
        (width, height),
    ]


def _grain(
    rng: random.Random, image: Image.Image, land: Image.Image
) -> Image.Image:
    """Add texture, most of it on land, some in the sky."""
    width, height = image.size
    tile = _texture(rng, (width // 3 + 1, height // 3 + 1))
    texture = Image.new("L", image.size)
    for number in range(9):
        turned = tile.transpose(rng.choice(_MIRRORS))
        corner = (number % 3 * tile.width, number // 3 * tile.height)
        texture.paste(turned, corner)
    rough = ImageChops.overlay(image, texture.convert("RGB"))
    mask = land.point(lambda v: v * 0.7 + 64)
    return Image.composite(rough, image, mask)


_MIRRORS = (
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180,
)


def _texture(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Mix noise of three sizes: rocks, leaves, and the sensor's own."""
    texture = Image.new("L", size, 128)
    for scale, weight in ((12, 0.5), (3, 0.5), (1, 0.6)):
        small = (size[0] // scale + 1, size[1] // scale + 1)
        data = rng.randbytes(small[0] * small[1])
        noise = Image.frombytes("L", small, data)
        noise = noise.resize(size, Image.Resampling.BILINEAR)
        texture = Image.blend(texture, noise, weight)
    return texture
