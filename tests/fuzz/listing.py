"""image_pipeline: a list of names, and the names of thumbnails for them."""

from pathlib import Path

from tests.fuzz.kit import fuzz, instrumented

with instrumented():
    from image_pipeline.imaging.recipe import Box, Recipe
    from image_pipeline.storage import names
    from image_pipeline.storage.scan import listed

SOURCE = Path("/nowhere/photos")
RECIPE = Recipe(sizes=(Box(64, 64), Box(8, 8)))


def one(data: bytes) -> None:
    found = listed(SOURCE, data, SOURCE / "thumbs")
    assert len(set(found.names)) == len(found.names)
    for name in found.names:
        outputs = names.output_names(name, RECIPE)
        for each in (name, *outputs):
            names.check_name(each)
            assert names.shown(each).isprintable()
        assert len(set(outputs)) == 2
    names.collisions(found.names, RECIPE, names.Folding(True, True))


if __name__ == "__main__":
    fuzz(one)
