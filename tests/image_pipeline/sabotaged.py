"""The command line, with threads that obey the orders of the saboteur."""

from image_pipeline import pixels
from image_pipeline.__main__ import main
from tests.image_pipeline.saboteur import sabotaged

if __name__ == "__main__":
    pixels.make_thumbnails = sabotaged
    main()
