"""The demos, but the pipeline's has photographs of a quarter of the pixels.

python -m tests.slides.small_demo demo    the pipeline's alone
python -m tests.slides.small_demo         all three, as `slides demo`
"""

import sys
from dataclasses import replace
from functools import partial

from image_pipeline.cli.main import main
from image_pipeline.demo import scenario
from image_pipeline.demo.photographs import photograph
from slides import terminal
from slides.__main__ import main as slides
from slides.terminal import Demo, Played, play


def small(demo: Demo) -> Played:
    if demo.package != "image_pipeline":
        return play(demo)
    return replace(play(replace(demo, package=__spec__.name)), demo=demo)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        vars(scenario)["photograph"] = partial(
            photograph, width=1152, height=864
        )
        main()
    vars(terminal)["play"] = small
    slides(["demo"])
