"""Thumbnails of many photographs: `run` beside other programs.

Each contender is a whole command, its start included, that turns the same
files into thumbnails; the median of its rounds counts.
"""

import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from image_pipeline.demo.photographs import photograph
from slides.bench import image_rivals as rivals
from slides.bench.kit import Bench, Row, new
from slides.bench.stopwatch import Taken, taken_by

WORKERS = 2  # as many as in the figures to be reached
RUN = "run, tcp"
POOL = "ProcessPoolExecutor"
DECODE = "decoding alone"
VIPS = "pyvips, 2 threads"

Command = Callable[[Path, Path], list[str]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    photographs: int
    rounds: int
    tiny: int
    scale: tuple[int, ...]  # numbers of images, to see what one more costs


QUICK = Size(200, 3, 2_000, (100, 2_000))
FULL = Size(240, 5, 10_000, (100, 1_000, 10_000))


def measure(
    source: Path | None = None, size: Size = QUICK, say: Say = lambda _: None
) -> Bench:
    """Measure on the photographs in `source`, or on made-up ones.

    `say` hears of the progress. Raises OSError.
    """
    bench = new("pillow", "pyvips", **dict(_programs()))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        photographs = folder / "photographs"
        photographs.mkdir()
        if source:
            _link(source, photographs)
        else:
            say(f"making {size.photographs} photographs")
            taken_by(rivals.in_python(fill, photographs, size.photographs))
        compare(bench, photographs, folder, size.rounds, say)
        one(bench, photographs, folder, size.rounds)
        many(bench, folder, size, say)
    return bench


def _link(source: Path, photographs: Path) -> None:
    """Gather the files below `source` in one folder, as links."""
    found = sorted(path for path in source.rglob("*") if path.is_file())
    if not found:
        raise FileNotFoundError(f"there is no file in {source}")
    for number, path in enumerate(found):
        link = photographs / f"{number:06}{path.suffix}"
        link.symlink_to(path.resolve())


def _programs() -> Iterator[tuple[str, str]]:
    for program, option in (
        ("vipsthumbnail", "--vips-version"),
        ("mogrify", "-version"),
    ):
        if not rivals.missing(program):
            said = taken_by([program, option], timeout=10).output
            if found := re.search(r"\d+\.\d+[\d.-]*", said):
                yield program, found[0]


# -- photographs against the rivals -----------------------------------------


def compare(
    bench: Bench,
    photographs: Path,
    folder: Path,
    rounds: int,
    say: Say,
) -> None:
    contenders: dict[str, Command] = {
        RUN: partial(run, "tcp"),
        "run, inproc": partial(run, "inproc"),
        POOL: pool,
    }
    others: dict[str, Command] = {
        "vipsthumbnail": rivals.vipsthumbnail,
        "mogrify": rivals.mogrify,
        VIPS: pyvips,
    }
    for name, command in others.items():
        if why := rivals.missing(name.split(",")[0]):
            bench.left_out[name] = why
        else:
            contenders[name] = command
    count = len(list(photographs.iterdir()))
    decoding = []
    taken: dict[str, list[Taken]] = {name: [] for name in contenders}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds} over {count} photographs")
        decode = taken_by(rivals.in_python(rivals.decode, photographs))
        decoding.append(float(decode.output))
        for name, command in contenders.items():
            taken[name].append(once(command, photographs, folder))
    base = wall(taken[RUN])
    bench.rows += [
        row(name, each, count, base) for name, each in taken.items()
    ]
    floor = statistics.median(decoding)
    bench.rows.append(
        Row(
            DECODE,
            floor,
            count,
            floor / base,
            per_second=count / floor,
            cpu_ms=floor / count * 1e3,
        )
    )
    for name, limit in (
        ("vipsthumbnail", 0.60),
        ("mogrify", 0.40),
        (VIPS, 0.95),
    ):
        if name in taken:
            bench.at_most(
                f"time of run to that of {name}",
                base / wall(taken[name]),
                limit,
            )
    bench.at_least(
        f"throughput of run to that of {POOL}", wall(taken[POOL]) / base, 0.95
    )
    bench.at_most(
        f"CPU of run to that of {DECODE}", cpu(taken[RUN]) / floor, 1.2
    )
    bench.at_most(
        "time of run over inproc to that over tcp",
        wall(taken["run, inproc"]) / base,
        1.1,
    )


def run(transport: str, source: Path, target: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "image_pipeline", "run", "--quiet"),
        *("--workers", str(WORKERS), "--transport", transport),
        *(str(source), str(target)),
    ]


def pyvips(source: Path, target: Path) -> list[str]:
    return rivals.in_python(rivals.pyvips_threads, source, target, WORKERS)


def pool(source: Path, target: Path) -> list[str]:
    return rivals.in_python(rivals.pool, source, target, WORKERS)


def once(command: Command, source: Path, folder: Path) -> Taken:
    """Run `command` into a fresh folder; it must fill it."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        target = Path(name)
        argv = command(source, target)
        taken = taken_by(argv)
        if taken.code not in (0, 1) or not any(target.iterdir()):
            raise OSError(f"{argv[:4]} failed: {taken.output[-400:]}")
        return taken


def row(name: str, taken: list[Taken], count: int, base: float) -> Row:
    seconds = wall(taken)
    return Row(
        name,
        seconds,
        count,
        seconds / base,
        per_second=count / seconds,
        cpu_ms=cpu(taken) / count * 1e3,
    )


def wall(taken: list[Taken]) -> float:
    return statistics.median(each.wall_s for each in taken)


def cpu(taken: list[Taken]) -> float:
    return statistics.median(each.cpu_s for each in taken)


def one(bench: Bench, photographs: Path, folder: Path, rounds: int) -> None:
    """Measure one image: the start and the end of `run`."""
    source = folder / "one"
    source.mkdir()
    first = min(photographs.iterdir())
    (source / first.name).symlink_to(first.resolve())
    over_tcp = partial(run, "tcp")
    taken = [once(over_tcp, source, folder) for _ in range(3 * rounds)]
    bench.rows.append(row("run, 1 image", taken, 1, wall(taken)))
    bench.at_most("ms of run over one image", wall(taken) * 1e3, 200)


# -- many images: what each costs beyond its pixels -------------------------


def many(bench: Bench, folder: Path, size: Size, say: Say) -> None:
    """Tiny images show the cost of the pipeline itself."""
    over_tcp = partial(run, "tcp")
    walls: dict[int, float] = {}
    for count in sorted({*size.scale, size.tiny}):
        say(f"{count} tiny images")
        source = folder / f"tiny-{count}"
        make_tiny(source, count)
        ours, theirs = [], []
        for _ in range(size.rounds):
            ours.append(once(over_tcp, source, folder))
            if count == size.tiny:
                theirs.append(once(pool, source, folder))
        walls[count] = base = wall(ours)
        bench.rows.append(row(f"run, {count} tiny", ours, count, base))
        if theirs:
            bench.rows.append(
                row(f"{POOL}, {count} tiny", theirs, count, base)
            )
            bench.at_least(
                f"throughput of run to that of {POOL}, {count} tiny images",
                wall(theirs) / base,
                0.95,
            )
    steps = sorted(walls)
    costs = [
        (walls[more] - walls[less]) / (more - less)
        for less, more in pairwise(steps)
    ]
    if len(costs) > 1:
        bench.at_most(
            f"cost of one more image at {steps[-1]} to that at {steps[1]}",
            costs[-1] / costs[0],
            1.25,
        )
    else:
        bench.left_out["cost of one more image"] = "only with --full"


# -- the images ----------------------------------------------------------


def fill(folder: str, count: str) -> None:
    """Make photographs on all cores; a process of its own, to be killed."""
    with ProcessPoolExecutor() as executor:
        made = executor.map(photograph, range(1, int(count) + 1))
        for number, data in enumerate(made):
            (Path(folder) / f"IMG_{number:04}.jpg").write_bytes(data)


def make_tiny(folder: Path, count: int) -> None:
    """Write images that cost next to nothing, a thousand to a folder."""
    data = [photograph(seed, 64, 48) for seed in range(16)]
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06}.jpg").write_bytes(data[number % 16])
