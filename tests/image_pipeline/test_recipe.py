"""Sizes, formats and the fingerprint by which a thumbnail is recognised."""

import subprocess
import sys

import pytest

from image_pipeline.imaging.recipe import Box, Format, Recipe
from tests.support import ROOT


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("256", Box(256, 256)),
        ("320x200", Box(320, 200)),
        (" 1x16383 ", Box(1, 16_383)),
        ("320x", Box(320, 16_383)),  # any height
        ("x200", Box(16_383, 200)),
    ],
)
def test_a_size_is_one_side_of_a_square_or_two_sides(
    text: str, box: Box
) -> None:
    assert Box.parse(text) == box
    assert Box.parse(str(box)) == box


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "2 5", "-5", "1e3", "16384", "3x4x5", "٣", "9" * 9],
)
def test_what_is_no_size_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a size|cannot be made"):
        Box.parse(text)


@pytest.mark.parametrize(
    ("source", "thumbnail"),
    [
        ((4000, 3000), (256, 192)),
        ((3000, 4000), (192, 256)),
        ((256, 256), (256, 256)),
        ((100, 50), (100, 50)),  # never upscaled
        ((20_000, 1), (256, 1)),  # never empty
        ((1, 20_000), (1, 256)),
        ((1, 1), (1, 1)),
    ],
)
def test_an_image_is_fitted_into_the_box(
    source: tuple[int, int], thumbnail: tuple[int, int]
) -> None:
    assert Box(256, 256).fit(*source) == thumbnail


def test_a_recipe_that_cannot_be_followed_is_refused() -> None:
    for wrong in (
        {"sizes": ()},
        {"sizes": (Box(9, 9), Box(9, 9))},
        {"quality": 0},
        {"quality": 101},
        {"max_pixels": 0},
        {"fill": True, "sizes": (Box.parse("320x"),)},
    ):
        with pytest.raises(ValueError, match=r"."):
            Recipe(**wrong)


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    # `hash` is not: Python salts it for each process.
    program = (
        "from image_pipeline.imaging.recipe import Recipe; "
        "print(Recipe().fingerprint())"
    )
    words = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert words == {Recipe().fingerprint()}


def test_the_fingerprint_tells_recipes_apart_that_differ_in_pixels() -> None:
    different = [
        Recipe(),
        Recipe(sizes=(Box(256, 256), Box(64, 64))),
        Recipe(sizes=(Box(256, 255),)),
        Recipe(format=Format.WEBP),
        Recipe(quality=81),
        Recipe(strict=True),
        Recipe(fill=True),
    ]
    words = {recipe.fingerprint() for recipe in different}
    assert len(words) == len(different)


def test_a_higher_limit_does_not_make_finished_thumbnails_stale() -> None:
    raised = Recipe(max_pixels=2**31, max_bytes=2**31)
    assert raised.fingerprint() == Recipe().fingerprint()
