"""A recipe as the bytes that travel in each task and each plan."""

from functools import lru_cache

from google.protobuf.message import DecodeError

from image_pipeline import messages_pb2 as pb
from image_pipeline.imaging.recipe import Box, Format, Recipe

_PREFIX = "IMAGE_FORMAT_"
_FORMATS = {pb.ImageFormat.Value(_PREFIX + f.name): f for f in Format}


def encode(recipe: Recipe) -> bytes:
    return pb.Recipe(
        sizes=[pb.Box(width=b.width, height=b.height) for b in recipe.sizes],
        format=_PREFIX + recipe.format.name,
        quality=recipe.quality,
        strict=recipe.strict,
        fill=recipe.fill,
        max_pixels=recipe.max_pixels,
        max_bytes=recipe.max_bytes,
    ).SerializeToString()


@lru_cache(maxsize=16)  # each task carries it, and all of them the same one
def decode(data: bytes) -> Recipe:
    """Raises ValueError for what is no recipe."""
    try:
        message = pb.Recipe.FromString(data)
    except DecodeError:
        raise ValueError("not a Recipe") from None
    if message.format not in _FORMATS:
        raise ValueError(f"unknown image format {message.format}")
    return Recipe(
        sizes=tuple(Box(b.width, b.height) for b in message.sizes),
        format=_FORMATS[message.format],
        quality=message.quality,
        strict=message.strict,
        fill=message.fill,
        max_pixels=message.max_pixels,
        max_bytes=message.max_bytes,
    )
