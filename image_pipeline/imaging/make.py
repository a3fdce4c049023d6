"""What a worker of this pipeline does: from an image to its thumbnails.

Workers load `make` by its name, `image_pipeline.imaging.make:make`.
"""

from contextlib import suppress
from functools import cache
from importlib import import_module

from image_pipeline.imaging import thumbnail
from image_pipeline.imaging.wire import decode
from image_pipeline.outcome import CannotMake, Made

with suppress(ImportError):  # the extra `heic`
    # Now: once a worker is shut in, it can load no library of the system.
    import_module("_pillow_heif")

_prepare = cache(thumbnail.prepare)


def make(data: bytes, instructions: bytes) -> Made:
    """Make the thumbnails of one image; raises CannotMake and Unfit."""
    _prepare()
    try:
        recipe = decode(instructions)
    except ValueError as error:
        raise CannotMake(str(error)) from error
    made = thumbnail.make_thumbnails(data, recipe)
    return Made(made.thumbnails, made.width, made.height, made.notes)
