"""The command line, with workers that obey the orders of the saboteur."""

from image_pipeline.cli import engines, main, roles
from tests.image_pipeline.saboteur import MAKE

if __name__ == "__main__":
    for module in (engines, roles):
        vars(module)["MAKE"] = MAKE
    main.main()
