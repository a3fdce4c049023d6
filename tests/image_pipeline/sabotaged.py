"""The command line, with workers that obey the orders of the saboteur."""

from image_pipeline.cli import main, roles
from tests.image_pipeline.saboteur import MAKE

if __name__ == "__main__":
    for module in (main, roles):
        vars(module)["MAKE"] = MAKE
    main.main()
