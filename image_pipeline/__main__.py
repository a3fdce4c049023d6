"""python -m image_pipeline: see `cli.main`."""

from image_pipeline.cli.main import main

if __name__ == "__main__":
    main()
