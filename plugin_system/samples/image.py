"""A plugin that knows about images.

python -m plugin_system call image info @photo.jpg
python -m plugin_system call image thumbnail @photo.jpg 256 > small.jpg
"""

from io import BytesIO
from typing import Any

from PIL import Image, ImageOps

from plugin_system.sdk import Plugin

plugin = Plugin(version="1.0")


@plugin.idempotent
def info(data: bytes) -> dict[str, Any]:
    """Return format, mode, width and height (in pixels) of an image."""
    with Image.open(BytesIO(data)) as image:
        return {
            "format": image.format,
            "mode": image.mode,
            "width": image.width,
            "height": image.height,
        }


@plugin.idempotent
def thumbnail(data: bytes, size: int = 256) -> bytes:
    """Return a JPEG that fits in a square of `size` pixels, upright."""
    with Image.open(BytesIO(data)) as image:
        image.draft("RGB", (size, size))  # lets a JPEG decode at less
        upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((size, size))
        made = BytesIO()
        upright.save(made, "JPEG", quality=85)
        return made.getvalue()
