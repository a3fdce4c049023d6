"""The demo of the pipeline with a quarter of the pixels, for its manners."""

from functools import partial

from image_pipeline.cli.main import main
from image_pipeline.demo import scenario
from image_pipeline.demo.photographs import photograph

if __name__ == "__main__":
    vars(scenario)["photograph"] = partial(photograph, width=1152, height=864)
    main()
