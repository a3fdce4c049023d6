"""Thumbnails of many photographs: `run` beside other programs.

Each program is a whole command, its start included, that turns the same
files into thumbnails; the median of its rounds counts.
"""

import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from PIL import Image

from image_pipeline.demo.photographs import photograph
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.thumbnail import (
    CannotMake,
    make_thumbnails,
    prepare,
)
from slides.bench.kit import Bench, Row, Say, Taken, in_python, new, taken_by

WORKERS = 2
DISTINCT = 500  # tiny images; the others are links to them
SIDE, QUALITY = 256, 80
RUN = "run, ipc"
POOL = "ProcessPoolExecutor"
DECODE = "decoding alone"
VIPS = "pyvips, 2 threads"
# What the ratio of each baseline is to reach.
LIMITS = {
    "vipsthumbnail": 1.67,
    VIPS: 1.05,
    POOL: 0.95,
    f"{POOL}, 2000 tiny": 0.95,
}

Command = Callable[[Path, Path], list[str]]
Measure = Callable[[Path], Taken]


def measure(
    photographs: int = 200,
    rounds: int = 3,
    say: Say = lambda _: None,
    tiny: int = 2_000,
) -> Bench:
    """Measure on made-up photographs; `say` hears of the progress.

    Raises OSError.
    """
    bench = new("pillow", "pyvips")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        source = Path(name) / "photographs"
        source.mkdir()
        say(f"making {photographs} photographs")
        taken_by(in_python(fill, source, photographs))
        programs = line_up(bench.left_out)
        take_turns(bench, source, rounds, programs, say)
        say(f"one photograph, and {tiny} tiny ones")
        first, small = Path(name) / "one", Path(name) / "tiny"
        first.mkdir()
        Path(files(source)[0]).rename(first / "one.jpg")
        fill_tiny(small, tiny)
        ours, bare = programs[RUN], programs[POOL]
        take_turns(bench, first, rounds, {"run, one image": ours})
        pair = {f"run, {tiny} tiny": ours, f"{POOL}, {tiny} tiny": bare}
        take_turns(bench, small, rounds, pair)
    return bench


def run(transport: str, source: Path, target: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "image_pipeline", "run", "--quiet"),
        *("--workers", str(WORKERS), "--transport", transport),
        *(str(source), str(target)),
    ]


def vipsthumbnail(source: Path, target: Path) -> list[str]:
    output = f"{target}/%s.jpg[Q={QUALITY},strip]"
    size = f"{SIDE}x{SIDE}>"
    return ["vipsthumbnail", "--size", size, "-o", output, *files(source)]


def files(source: str | Path) -> list[str]:
    return [str(path) for path in sorted(Path(source).iterdir())]


def pool(source: str, target: str) -> None:
    """Use a bare pool: no window, no resume; one dead worker ends it all."""
    make = partial(make_one, Path(target))
    with ProcessPoolExecutor(WORKERS, initializer=prepare) as executor:
        for _ in executor.map(make, files(source), chunksize=1):
            pass


def make_one(target: Path, path: str) -> None:
    with suppress(CannotMake):
        made = make_thumbnails(Path(path).read_bytes(), Recipe())
        (target / Path(path).name).write_bytes(made.thumbnails[0])


def vips_threads(source: str, target: str) -> None:
    """Threads of one process share the files; libvips keeps to them."""
    os.environ["VIPS_CONCURRENCY"] = "1"
    import pyvips

    def make(path: str) -> None:
        image = pyvips.Image.thumbnail(path, SIDE, height=SIDE, size="down")
        image.jpegsave(f"{target}/{Path(path).name}", Q=QUALITY, strip=True)

    with ThreadPoolExecutor(WORKERS) as executor:
        for _ in executor.map(make, files(source)):
            pass


def decode(source: str) -> None:
    """Print the CPU seconds that decoding alone takes, at a scale of 1/8.

    That is little but the entropy decoding, which no thumbnail can avoid.
    """
    images = [Path(path).read_bytes() for path in files(source)]
    prepare()
    began = time.process_time()
    for data in images:
        with Image.open(io.BytesIO(data)) as image:
            image.draft(None, (1, 1))
            image.load()
    print(time.process_time() - began)


def missing(program: str) -> str:
    """Return why `program` cannot take part; empty when it can."""
    if program == VIPS:
        return "" if find_spec("pyvips") else "pyvips is not installed"
    return "" if shutil.which(program) else "not on the PATH"


def line_up(left_out: dict[str, str]) -> dict[str, Measure]:
    programs: dict[str, Measure] = {
        RUN: partial(once, partial(run, "ipc")),
        "run, tcp with keys": partial(once, partial(run, "tcp")),
        "run, inproc": partial(once, partial(run, "inproc")),
        POOL: partial(once, partial(in_python, pool)),
        "vipsthumbnail": partial(once, vipsthumbnail),
        VIPS: partial(once, partial(in_python, vips_threads)),
        DECODE: decoding,
    }
    for name in ("vipsthumbnail", VIPS):
        if why := missing(name):
            left_out[name] = why
            del programs[name]
    return programs


def take_turns(
    bench: Bench,
    source: Path,
    rounds: int,
    programs: dict[str, Measure],
    say: Say = lambda _: None,
) -> None:
    """Measure all `programs` in each round; the first has ratio 1."""
    count = len(files(source))
    taken: dict[str, list[Taken]] = {name: [] for name in programs}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds} over {count} photographs")
        for name, measure in programs.items():
            taken[name].append(measure(source))
    base = 0.0
    for name, runs in taken.items():
        wall = median(each.wall_s for each in runs)
        base = base or wall
        cpu_ms = median(each.cpu_s for each in runs) / count * 1e3
        limit = LIMITS.get(name)
        bench.rows.append(
            Row(name, wall, count, wall / base, None, cpu_ms, limit)
        )


def once(command: Command, source: Path) -> Taken:
    """Run `command` into a fresh folder; it must fill it."""
    with tempfile.TemporaryDirectory(dir=source.parent) as name:
        argv = command(source, Path(name))
        taken = taken_by(argv)
        if not any(Path(name).iterdir()):
            raise OSError(f"{argv[:4]} made nothing: {taken.output[-400:]}")
        return taken


def decoding(source: Path) -> Taken:
    cpu = float(taken_by(in_python(decode, source)).output)
    return Taken(cpu, cpu, "")


def fill(folder: str, count: str) -> None:
    """Make photographs on all cores; a process of its own, to be killed."""
    with ProcessPoolExecutor() as executor:
        made = executor.map(photograph, range(1, int(count) + 1))
        for number, data in enumerate(made):
            (Path(folder) / f"IMG_{number:04}.jpg").write_bytes(data)


def fill_tiny(folder: Path, images: int) -> None:
    """Links to a few hundred images, each with a name of its own."""
    folder.mkdir()
    for number in range(images):
        path = folder / f"{number:06}.jpg"
        if number < DISTINCT:
            path.write_bytes(photograph(number, width=48, height=32))
        else:
            path.hardlink_to(folder / f"{number % DISTINCT:06}.jpg")
