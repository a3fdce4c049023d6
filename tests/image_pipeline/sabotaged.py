"""The command line, with threads that obey the orders of the saboteur."""

from image_pipeline.cli.main import main
from image_pipeline.imaging import thumbnail
from tests.image_pipeline.saboteur import sabotaged

if __name__ == "__main__":
    thumbnail.make_thumbnails = sabotaged
    main()
