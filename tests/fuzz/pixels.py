"""image_pipeline: an image with its EXIF and its colours, to thumbnails."""

from contextlib import suppress

from tests.fuzz.kit import fuzz, instrumented

with instrumented(include=["image_pipeline"]):
    from image_pipeline.imaging.recipe import Box, Recipe
    from image_pipeline.imaging.size import size_of
    from image_pipeline.imaging.thumbnail import (
        CannotMake,
        make_thumbnails,
        prepare,
    )

RECIPE = Recipe(sizes=(Box(16, 16),), max_pixels=100_000)
prepare()


def one(data: bytes) -> None:
    with suppress(CannotMake):
        made = make_thumbnails(data, RECIPE)
        width, height = size_of(made.thumbnails[0], "JPEG")
        assert 0 < width <= 16 and 0 < height <= 16
        assert made.width and made.height


if __name__ == "__main__":
    fuzz(one)
