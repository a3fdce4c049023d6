"""The others that `bench` compares with, and the decoder they all rest on.

A rival turns the files of one folder into thumbnails in another, as a
command line that is run and timed like our own.
"""

import io
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
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


def vipsthumbnail_twice(source: Path, target: Path) -> list[str]:
    """Two processes, which `xargs` gives a dozen files at a time."""
    script = (
        'out=$1; shift; printf "%s\\0" "$@" | xargs -0 -n 12 -P 2 '
        f'vipsthumbnail --size "{SIDE}x{SIDE}>" -o "$out"'
    )
    output = f"{target}/{VIPS_OUTPUT}"
    return ["sh", "-c", script, "sh", output, *_files(source)]


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
    """Say why `program` cannot take part; empty when it can."""
    return "" if shutil.which(program) else "not on the PATH"
