"""The programs that `run` is compared with, and their common decoder.

A rival turns the files of one folder into thumbnails in another, as a
command line that is run and timed like our own.
"""

import io
import os
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.thumbnail import (
    CannotMake,
    make_thumbnails,
    prepare,
)

SIDE = 256
QUALITY = 80
VIPS_OUTPUT = f"%s.jpg[Q={QUALITY},strip]"


def in_python(function: Callable[..., None], *arguments: object) -> list[str]:
    """Return the command that calls `function` in a process of its own."""
    name = function.__name__
    call = f"{name}({', '.join(map(repr, map(str, arguments)))})"
    program = f"from {function.__module__} import {name}; {call}"
    return [sys.executable, "-c", program]


def vipsthumbnail(source: Path, target: Path) -> list[str]:
    return [
        *("vipsthumbnail", "--size", f"{SIDE}x{SIDE}>"),
        *("-o", f"{target}/{VIPS_OUTPUT}"),
        *_files(source),
    ]


def mogrify(source: Path, target: Path) -> list[str]:
    return [
        "mogrify",
        *("-define", f"jpeg:size={2 * SIDE}x{2 * SIDE}"),
        *("-auto-orient", "-thumbnail", f"{SIDE}x{SIDE}>", "-strip"),
        *("-quality", str(QUALITY), "-format", "jpg", "-path", str(target)),
        *_files(source),
    ]


def _files(source: Path) -> list[str]:
    return [str(path) for path in sorted(source.iterdir())]


def pool(source: str, target: str, workers: str) -> None:
    """Do the same with a bare `ProcessPoolExecutor`, one file at a time.

    It has no window, no resume, no report; a worker that dies ends it all.
    """
    names = sorted(path.name for path in Path(source).iterdir())
    make = partial(_make_one, Path(source), Path(target))
    with ProcessPoolExecutor(int(workers), initializer=prepare) as executor:
        for _ in executor.map(make, names, chunksize=1):
            pass


def pyvips_threads(source: str, target: str, threads: str) -> None:
    """Threads of one process share the files; libvips keeps to them."""
    os.environ["VIPS_CONCURRENCY"] = "1"
    import pyvips

    def make(path: Path) -> None:
        with suppress(pyvips.Error):
            image = pyvips.Image.thumbnail(
                str(path), SIDE, height=SIDE, size="down"
            )
            image.jpegsave(f"{target}/{path.name}", Q=QUALITY, strip=True)

    with ThreadPoolExecutor(int(threads)) as executor:
        for _ in executor.map(make, sorted(Path(source).iterdir())):
            pass


def _make_one(source: Path, target: Path, name: str) -> None:
    try:
        made = make_thumbnails((source / name).read_bytes(), Recipe())
    except CannotMake:
        return
    (target / name).write_bytes(made.thumbnails[0])


def decode(source: str) -> None:
    """Print the CPU seconds that decoding alone takes, scaled as far as can.

    At 1/8, libjpeg-turbo does little but the entropy decoding, which nobody
    who wants a thumbnail can avoid.
    """
    images = [path.read_bytes() for path in sorted(Path(source).iterdir())]
    prepare()
    began = time.process_time()
    for data in images:
        try:
            with Image.open(io.BytesIO(data)) as image:
                image.draft(None, (1, 1))
                image.load()
        except OSError:
            continue
    print(time.process_time() - began)


def missing(program: str) -> str:
    """Return why `program` cannot take part; empty when it can."""
    if program == "pyvips":
        return "" if find_spec("pyvips") else "pyvips is not installed"
    return "" if shutil.which(program) else "not on the PATH"
