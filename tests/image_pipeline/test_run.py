"""`run` as a user meets it: real processes, real files."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from image_pipeline.demo.photographs import photograph
from tests.image_pipeline import saboteur
from tests.support import Program

Start = Callable[..., Program]


def make_photos(folder: Path, count: int) -> list[Path]:
    """Write small photographs, some of them in a folder below."""
    paths = []
    for number in range(count):
        path = folder / f"day-{number % 3}" / f"IMG_{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph(number % 4, 320, 240))
        paths.append(path)
    return paths


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_every_file_ends_in_one_outcome_over_every_transport(
    transport: str, start: Start, tmp_path: Path
) -> None:
    photos = make_photos(tmp_path / "src", 12)
    (tmp_path / "src" / "notes.txt").write_text("no image")
    (tmp_path / "src" / "broken.jpg").write_text("no image either")
    program = start(
        "image_pipeline",
        "run",
        str(tmp_path / "src"),
        str(tmp_path / "dst"),
        *("--workers", "2", "--transport", transport),
        *("--report", str(tmp_path / "report")),
    )

    assert program.wait() == 1
    assert re.search(
        "14 files in .*: 12 made, 0 current, 1 skipped, 1 failed, "
        "0 unfinished",
        program.stdout,
    )
    assert "broken.jpg" in program.stderr
    for photo in photos:
        name = photo.relative_to(tmp_path / "src")
        assert (tmp_path / "dst" / name).read_bytes()[:3] == b"\xff\xd8\xff"
    lines = (tmp_path / "report").read_text().splitlines()
    outcomes = Counter(json.loads(line)["outcome"] for line in lines)
    assert outcomes == {"made": 12, "skipped": 1, "failed": 1}


def test_a_quiet_run_prints_its_end_and_nothing_else(
    start: Start, tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", 3)
    program = start(
        *("image_pipeline", "run", "--quiet"),
        *(str(tmp_path / "src"), str(tmp_path / "dst")),
    )
    assert program.wait() == 0
    assert re.fullmatch(r"3 files in .* s: 3 made, .*\n", program.stdout)
    assert program.stderr == ""


def test_the_same_command_again_makes_only_what_has_changed(
    start: Start, tmp_path: Path
) -> None:
    photos = make_photos(tmp_path / "src", 6)
    command = (
        *("image_pipeline", "run"),
        *(str(tmp_path / "src"), str(tmp_path / "dst")),
        *("--workers", "1"),
    )
    assert start(*command).wait() == 0

    photos[0].write_bytes(photograph(9, 300, 200))
    again = start(*command)

    assert again.wait() == 0
    assert "1 made, 5 current" in again.stdout


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("order", [saboteur.HANG, saboteur.HANG_IN_C])
def test_threads_that_hang_are_replaced_and_left_behind(
    order: bytes, start: Start, tmp_path: Path
) -> None:
    """More images hang than there are threads, and the process ends."""
    photos = make_photos(tmp_path / "src", 12)
    for photo in photos[3:5]:
        photo.write_bytes(photo.read_bytes() + order)
    program = start(
        *("tests.image_pipeline.sabotaged", "run"),
        *(str(tmp_path / "src"), str(tmp_path / "dst")),
        *("--workers", "1", "--transport", "inproc", "--timeout", "1"),
    )

    assert program.wait(100) == 1
    assert "10 made, 0 current, 0 skipped, 2 failed" in program.stdout
    assert "failed: 2 files: took longer than 1 s" in program.stderr
    assert len(program.stderr.splitlines()) == 1
