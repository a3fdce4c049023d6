"""`run` against the worst of days: killed, out of space, oddly named files.

All of it through the command line, with real processes and real files.
"""

import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from image_pipeline.demo.photographs import photograph
from image_pipeline.storage.store import PRIVATE
from tests.image_pipeline.pictures import (
    cut,
    cut_and_closed,
    needs_simplejpeg,
    opened,
    quarters,
    saved,
)
from tests.image_pipeline.stage import until
from tests.support import PATIENCE_S, ROOT, Program

pytestmark = pytest.mark.slow

Start = Callable[..., Program]
MOMENTS = 10
PHOTO = photograph(1, 320, 240)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "dst"


@pytest.fixture
def run(source: Path, target: Path, start: Start) -> Start:
    """Start `run` on the two folders, with further options."""

    def go(*options: str, workers: int = 2) -> Program:
        return start(
            "image_pipeline",
            "run",
            str(source),
            str(target),
            *("--workers", str(workers)),
            *options,
        )

    return go


@pytest.fixture
def quick(run: Start) -> Start:
    """The same with a thread for a worker, where workers do not matter.

    It takes a third of the time.
    """

    def go(*options: str) -> Program:
        return run("--transport", "inproc", *options, workers=1)

    return go


def fill(source: Path, count: int) -> None:
    photos = [photograph(seed, 400, 300) for seed in range(6)]
    for number in range(count):
        path = source / f"day-{number % 3}" / f"{number:03}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photos[number % 6])


def fill_with_work(source: Path, count: int) -> None:
    """The same with bigger images: it takes seconds, and little space."""
    first = source / "first.jpg"
    first.write_bytes(photograph(1, 1600, 1200))
    for number in range(1, count):
        path = source / f"day-{number % 3}" / f"{number:03}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.hardlink_to(first)


def thumbnails(target: Path) -> dict[str, bytes]:
    """Everything in the target that is not the pipeline's own."""
    return {
        str(path.relative_to(target)): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file() and PRIVATE not in path.parts
    }


def counts(program: Program) -> Counter[str]:
    """The five counts that a run printed at its end."""
    line = re.search(r"(\d+) files in .* s: (.*)", program.stdout)
    assert line, program.stdout + program.stderr
    found = Counter(
        {
            name: int(number)
            for number, name in re.findall(r"(\d+) (\w+)", line[2])
        }
    )
    assert found.total() == int(line[1])
    return +found


# -- killed and resumed -----------------------------------------------------


@pytest.mark.timeout(240)
def test_a_run_killed_at_any_moment_resumes_to_the_same_bytes(
    run: Start, source: Path, target: Path
) -> None:
    fill(source, 24)
    undisturbed = {}
    for quality in ("80", "60"):
        began = time.monotonic()
        assert run("--quality", quality).wait() == 0
        seconds = time.monotonic() - began
        undisturbed[quality] = thumbnails(target)
    assert undisturbed["80"] != undisturbed["60"]
    shutil.rmtree(target)

    rng = random.Random(20)
    for moment in range(MOMENTS):
        # In turns, so that it is also killed while it replaces thumbnails.
        quality = ("80", "60")[moment // 2 % 2]
        doomed = run("--quality", quality)
        try:
            doomed.process.wait(rng.uniform(0.1, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            doomed.signal(
                signal.SIGKILL
            )  # its workers must see to themselves
        doomed.process.wait(PATIENCE_S)
        for name, data in thumbnails(target).items():
            assert data in (
                undisturbed["80"][name],
                undisturbed["60"][name],
            ), f"{name} is not whole after kill {moment}"

    resumed = run()
    assert resumed.wait() == 0
    assert counts(resumed).keys() <= {"made", "current"}
    assert thumbnails(target) == undisturbed["80"]
    assert not list((target / PRIVATE).glob("*.tmp"))


def test_workers_of_a_killed_run_end_by_themselves(
    run: Start, source: Path, target: Path
) -> None:
    fill_with_work(source, 300)
    doomed = run()
    wait_for_thumbnails(target, doomed)
    workers = [os.pidfd_open(pid) for pid in children_of(doomed)]
    assert len(workers) == 2
    doomed.signal(signal.SIGKILL)
    for worker in workers:
        ended, _, _ = select.select([worker], [], [], PATIENCE_S)
        os.close(worker)
        assert ended


def children_of(program: Program) -> list[int]:
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def wait_for_thumbnails(target: Path, program: Program) -> None:
    """Wait until `program` is in the middle of its work."""
    wait_until(lambda: any(target.glob("day-*/*.jpg")), program)


def wait_until(done: Callable[[], bool], program: Program) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, program.stderr
        assert program.process.poll() is None, program.stderr
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_counts_everything_and_resumes(
    run: Start,
    source: Path,
    target: Path,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    fill_with_work(source, 400)
    report = tmp_path / "report"
    program = run("--report", str(report))
    wait_for_thumbnails(target, program)
    program.signal(number)

    assert program.wait() == 130
    found = counts(program)
    assert found.keys() == {"made", "unfinished"}
    assert len(thumbnails(target)) == found["made"]
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert Counter(line["outcome"] for line in lines) == found
    assert "Traceback" not in program.stderr

    # The others are all alike: a few of them are enough. (They are not
    # deleted: all are links to one file, which that would change.)
    begun = thumbnails(target).keys()
    paths = [str(each.relative_to(source)) for each in source.rglob("*.jpg")]
    left = [path for path in paths if path not in begun][:20]
    listed = tmp_path / "listed"
    listed.write_text("\n".join([*begun, *left]))

    resumed = run("--files-from", str(listed))
    assert resumed.wait() == 0
    # What was made just before the end may not have been counted any more.
    assert counts(resumed)["current"] >= found["made"]
    assert counts(resumed).total() == len(begun) + len(left)


@pytest.mark.parametrize("transport", ["tcp", "inproc"])
def test_no_image_is_blamed_for_the_time_in_which_the_run_was_stopped(
    run: Start, source: Path, target: Path, transport: str
) -> None:
    """The trap: after Ctrl-Z and `fg` every image has outlived its time."""
    fill_with_work(source, 120)
    program = run("--transport", transport, "--timeout", "3")
    wait_for_thumbnails(target, program)
    os.killpg(program.pid, signal.SIGSTOP)
    threading.Event().wait(5)
    os.killpg(program.pid, signal.SIGCONT)
    assert program.wait() == 0, program.stderr
    assert counts(program) == {"made": 120}


def test_a_second_ctrl_c_at_the_very_end_holds_nothing_up(
    run: Start, source: Path, target: Path
) -> None:
    """The trap: threads, or sockets, that it leaves no time to be closed."""
    fill_with_work(source, 100)
    program = run("--transport", "inproc", workers=8)
    wait_for_thumbnails(target, program)
    program.signal(signal.SIGINT)
    program.wait_for("unfinished")
    program.signal(signal.SIGINT)

    assert program.wait() == 130
    assert counts(program).total() == 100
    assert "Traceback" not in program.stderr, program.stderr


def test_ctrl_c_before_the_first_image_is_an_interruption_too(
    run: Start, source: Path
) -> None:
    """The trap: handlers that are set up after everything else."""
    fill_with_work(source, 200)
    program = run()
    wait_until(lambda: bool(children_of(program)), program)
    program.signal(signal.SIGINT)

    assert program.wait() == 130
    assert counts(program).total() == 200
    assert "Traceback" not in program.stderr


def test_two_runs_on_one_target_cannot_mix(
    run: Start, source: Path, target: Path
) -> None:
    fill_with_work(source, 400)
    first = run()
    wait_for_thumbnails(target, first)
    first.signal(signal.SIGSTOP)  # or it might end before the second begins
    second = run()
    assert second.wait() == 3
    assert "another run is writing to" in second.stderr
    first.signal(signal.SIGCONT)
    first.signal(signal.SIGINT)
    assert first.wait() == 130


# -- the target -------------------------------------------------------------


def test_a_full_disk_ends_the_run_with_one_sentence_and_it_resumes(
    run: Start,
    source: Path,
    target: Path,
    tmp_path: Path,
    small_disk: Callable[[str], None],
) -> None:
    fill(source, 60)
    small_disk("size=300k")
    report = tmp_path / "report"
    program = run("--report", str(report))

    assert program.wait() == 3
    assert program.stderr.count("No space left on device") == 1
    assert "Traceback" not in program.stderr
    found = counts(program)
    assert found.keys() == {"made", "unfinished"}
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert Counter(line["outcome"] for line in lines) == found
    for data in thumbnails(target).values():
        opened(data)  # each is whole

    small_disk("size=20m")
    resumed = run()
    assert resumed.wait() == 0
    assert counts(resumed)["current"] >= found["made"]
    assert len(thumbnails(target)) == 60


def test_a_read_only_target_is_refused_before_any_work(
    quick: Start, source: Path, small_disk: Callable[[str], None]
) -> None:
    fill(source, 3)
    small_disk("size=300k")
    small_disk("ro")
    program = quick()
    assert program.wait() == 3
    assert "Read-only file system" in program.stderr
    assert "Traceback" not in program.stderr
    assert "made" not in program.stdout


def test_a_target_removed_during_the_run_ends_it(
    run: Start, source: Path, target: Path
) -> None:
    fill_with_work(source, 400)
    program = run()
    wait_for_thumbnails(target, program)
    moved = target.with_name("moved")
    target.rename(moved)  # at once, unlike removing

    def is_removed() -> bool:  # the run may write while we delete
        shutil.rmtree(moved, ignore_errors=True)
        return not moved.exists()

    until(is_removed)
    assert program.wait() == 3
    assert "Traceback" not in program.stderr
    assert counts(program)["unfinished"] > 0


def test_a_target_inside_the_source_is_left_out(
    start: Start, source: Path
) -> None:
    fill(source, 6)
    inside = source / "thumbs"
    for outcome in ("made", "current"):
        program = start(
            "image_pipeline",
            *("run", str(source), str(inside)),
            *("--workers", "1", "--transport", "inproc", "--gallery"),
        )
        assert program.wait() == 0
        assert counts(program) == {outcome: 6}


@pytest.mark.parametrize("way", ["same", "parent"])
def test_a_target_that_would_harm_the_source_is_refused(
    start: Start, source: Path, way: str
) -> None:
    fill(source, 2)
    before = thumbnails(source)
    into = source if way == "same" else source.parent
    program = start("image_pipeline", "run", str(source), str(into))
    assert program.wait() == 2
    assert thumbnails(source) == before
    assert not (into / PRIVATE).exists()


# -- the source -------------------------------------------------------------

HOSTILE = [
    b"with space.jpg",
    b"new\nline.jpg",
    b"-rf.jpg",
    b"--help",
    b"%s %d.jpg",
    b"\x1b[2J\x07.jpg",
    b"caf\xe9.jpg",  # Latin-1
    b"y" * 251 + b".jpg",
    b"z" * 255,  # no room for a suffix
    b"$(reboot);`id`.jpg",
    b"<script>.jpg",
    "\u202egpj.exe".encode(),  # shown from right to left
    b"A.jpg",
    b"a.jpg",
    unicodedata.normalize("NFC", "\u00e9.jpg").encode(),
    unicodedata.normalize("NFD", "\u00e9.jpg").encode(),
]


@pytest.mark.parametrize("transport", ["tcp", "inproc"])
def test_hostile_names_come_out_exactly(
    run: Start, source: Path, target: Path, tmp_path: Path, transport: str
) -> None:
    for name in HOSTILE:
        (source / os.fsdecode(name)).write_bytes(PHOTO)
    bad = b"bad\n\x1b[31m\xff.jpg"
    (source / os.fsdecode(bad)).write_bytes(cut(PHOTO))
    report = tmp_path / "report"
    program = run(
        "--gallery", "--transport", transport, "--report", str(report)
    )

    assert program.wait() == 1
    assert counts(program) == {"made": len(HOSTILE), "failed": 1}
    written = {os.fsencode(name) for name in thumbnails(target)}
    written.remove(b"index.html")
    kept = {name for name in HOSTILE if name.endswith(b".jpg")}
    assert kept <= written
    assert len(written) == len(HOSTILE)
    for text in (program.stdout, program.stderr):
        assert "\x1b" not in text
        assert "\x07" not in text
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    told = {os.fsencode(line["source"]) for line in lines}
    assert told == {*HOSTILE, bad}


def test_two_files_for_one_thumbnail_cost_the_second_one_and_no_other(
    quick: Start, source: Path, target: Path
) -> None:
    for name in ("a.png", "a.png.jpg", "b.jpg"):
        (source / name).write_bytes(PHOTO)
    program = quick()
    assert program.wait() == 1
    assert "2 made, 0 current, 0 skipped, 1 failed" in program.stdout
    assert "a.png.jpg" in program.stderr
    assert thumbnails(target).keys() == {"a.png.jpg", "b.jpg"}


def test_a_text_does_not_stand_in_the_way_of_an_image(
    quick: Start, source: Path
) -> None:
    (source / "IMG_1").write_text("notes on IMG_1.jpg")
    (source / "IMG_1.jpg").write_bytes(PHOTO)
    program = quick()
    assert program.wait() == 0
    assert counts(program) == {"made": 1, "skipped": 1}


def test_every_kind_of_bad_file_has_its_outcome_and_its_reason(
    run: Start, source: Path, tmp_path: Path
) -> None:
    good = {
        "photo.jpg": PHOTO,
        "picture.webp": saved(quarters(), "WEBP"),
        "mislabelled.png": PHOTO,  # what is inside decides
        "no-suffix": PHOTO,
    }
    failed = {
        "empty.jpg": b"",
        "text.jpg": b"Dear diary",
        "iphone.heic": b"\0\0\0\x18ftypheic" + bytes(99),
        **{
            f"cut.{kind.lower()}": cut(saved(quarters(), kind))
            for kind in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP")
        },
    }
    skipped = {
        "notes.txt": b"Dear diary",
        "empty": b"",
        "film.mp4": b"\0" * 9,
    }
    for name, data in {**good, **failed, **skipped}.items():
        (source / name).write_bytes(data)
    (source / "dangling.jpg").symlink_to("nowhere")
    os.mkfifo(source / "pipe.jpg")
    report = tmp_path / "report"
    program = run("--report", str(report))

    assert program.wait() == 1
    records = {
        record["source"]: record
        for record in map(json.loads, report.read_text().splitlines())
    }
    wanted = {
        **dict.fromkeys(good, "made"),
        **dict.fromkeys([*failed, "dangling.jpg"], "failed"),
        **dict.fromkeys([*skipped, "pipe.jpg"], "skipped"),
    }
    assert {
        name: record["outcome"] for name, record in records.items()
    } == wanted
    for name, outcome in wanted.items():
        assert (outcome != "failed") or records[name]["reason"], name
    assert counts(program) == Counter(wanted.values())
    assert "Traceback" not in program.stderr


@needs_simplejpeg
def test_silent_damage_is_made_or_failed_as_strictness_asks(
    quick: Start, source: Path
) -> None:
    (source / "patched.jpg").write_bytes(cut_and_closed(PHOTO))
    (source / "sound.jpg").write_bytes(PHOTO)
    lenient = quick()
    assert lenient.wait() == 0
    assert counts(lenient) == {"made": 2}
    strict = quick("--strict")
    assert strict.wait() == 1
    assert counts(strict) == {"made": 1, "failed": 1}
    assert "patched.jpg" in strict.stderr


def test_a_failed_file_fails_again_and_is_mended_by_its_next_version(
    quick: Start, source: Path
) -> None:
    (source / "a.jpg").write_bytes(cut(PHOTO))
    (source / "b.jpg").write_bytes(PHOTO)
    for wanted in ({"made": 1, "failed": 1}, {"current": 1, "failed": 1}):
        program = quick()
        assert program.wait() == 1
        assert counts(program) == wanted
    (source / "a.jpg").write_bytes(PHOTO)
    mended = quick()
    assert mended.wait() == 0
    assert counts(mended) == {"made": 1, "current": 1}


def test_files_that_vanish_between_finding_and_reading_fail_by_name(
    quick: Start, source: Path, tmp_path: Path
) -> None:
    fill(source, 3)
    listing = tmp_path / "list"
    names = ["day-0/000.jpg", "gone.jpg", "../outside.jpg", "day-1"]
    listing.write_text("\n".join(names))
    program = quick("--files-from", str(listing))
    assert program.wait() == 1
    found = counts(program)
    assert found["made"] == 1
    assert found.total() == len(names)
    assert "gone.jpg" in program.stderr
    assert "outside.jpg" in program.stderr


def test_a_source_that_shrinks_away_during_the_run_loses_no_count(
    run: Start, source: Path, target: Path
) -> None:
    fill(source, 300)
    program = run()
    wait_for_thumbnails(target, program)
    shutil.rmtree(source / "day-2")
    assert program.wait() in (0, 1)
    found = counts(program)
    assert found.total() == 300
    assert found.keys() <= {"made", "failed"}
    assert "Traceback" not in program.stderr


def test_a_file_that_is_never_as_long_as_it_says_fails_at_once(
    quick: Start, source: Path
) -> None:
    """The trap: it would seem to change for as long as one reads it."""
    (source / "made-up.jpg").symlink_to("/proc/self/status")
    program = quick()
    assert program.wait() == 1
    assert "made-up.jpg: no image: its contents are" in program.stderr


def test_a_date_beyond_every_calendar_is_a_date_like_any_other(
    quick: Start, source: Path
) -> None:
    """The trap: 2**63 nanoseconds end in the year 2262."""
    for seconds in (-(2**31), 2**34 - 1):
        path = source / f"{seconds}.jpg"
        path.write_bytes(PHOTO)
        os.utime(path, (seconds, seconds))
    for outcome in ("made", "current"):
        program = quick()
        assert program.wait() == 0, program.stderr
        assert counts(program) == {outcome: 2}


def test_a_dry_run_says_what_would_happen_and_does_nothing(
    quick: Start, source: Path, target: Path
) -> None:
    fill(source, 3)
    program = quick("--dry-run")
    assert program.wait() == 0
    assert program.stdout.count(".jpg") >= 3
    assert not target.exists()


def test_several_sizes_and_formats_come_from_one_run(
    quick: Start, source: Path, target: Path
) -> None:
    fill(source, 3)
    program = quick("--size", "64", "--size", "120x40", "--format", "webp")
    assert program.wait() == 0
    assert counts(program) == {"made": 3}
    for box in ((64, 64), (120, 40)):
        for number in range(3):
            name = f"day-{number}/{number:03}.jpg.webp"
            path = target / f"{box[0]}x{box[1]}" / name
            image = opened(path.read_bytes())
            assert image.format == "WEBP"
            assert image.width <= box[0]
            assert image.height <= box[1]


# -- what it writes to besides ----------------------------------------------


def test_a_report_that_cannot_be_opened_is_wrong_usage(
    quick: Start, source: Path, target: Path
) -> None:
    fill(source, 2)
    program = quick("--report", "/nonexistent/report")
    assert program.wait() == 2
    assert "cannot write the report /nonexistent/report" in program.stderr
    assert thumbnails(target) == {}


def test_a_report_that_fills_its_disk_costs_no_thumbnail(
    quick: Start, source: Path
) -> None:
    fill(source, 60)
    program = quick("--report", "/dev/full")
    assert program.wait() == 3
    assert counts(program) == {"made": 60}
    assert "/dev/full is not complete: No space left" in program.stderr
    assert "Traceback" not in program.stderr


@pytest.mark.parametrize("reader", ["nobody", "who soon goes", "a full disk"])
def test_an_output_that_goes_away_costs_no_thumbnail(
    source: Path, target: Path, reader: str
) -> None:
    fill(source, 6)
    into = {
        "nobody": "| true",
        "who soon goes": "| head -c 1",
        "a full disk": "> /dev/full",
    }[reader]
    done = subprocess.run(
        [
            *("bash", "-c"),
            '"$0" -W error -m image_pipeline run "$1" "$2" --workers 1 '
            f'--transport inproc {into}; exit "${{PIPESTATUS[0]}}"',
            *(sys.executable, str(source), str(target)),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert len(thumbnails(target)) == 6


@pytest.mark.parametrize("what", ["page", "folder", "link", "pipe"])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_stands_where_the_gallery_goes_is_left_alone(
    quick: Start, source: Path, target: Path, what: str, dry: tuple[str, ...]
) -> None:
    fill(source, 2)
    target.mkdir()
    page = target / "index.html"
    match what:
        case "page":
            page.write_text("<!doctype html><title>My holidays</title>")
        case "folder":
            page.mkdir()
        case "link":
            page.symlink_to("elsewhere")
        case "pipe":
            os.mkfifo(page)
    before = page.lstat()

    program = quick("--gallery", *dry)
    after = page.lstat()

    assert program.wait() == 2
    assert f"{page} was not made by --gallery" in program.stderr
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert after.st_mtime_ns == before.st_mtime_ns
    assert [*target.iterdir()] == [page]


def test_a_gallery_of_ours_is_written_anew(
    quick: Start, source: Path, target: Path
) -> None:
    for count in (2, 3):
        fill(source, count)
        program = quick("--gallery")
        assert program.wait() == 0, program.stderr
        assert f"{count} images" in (target / "index.html").read_text()


def test_a_gallery_that_cannot_be_written_is_told(
    quick: Start, source: Path
) -> None:
    (source / "index.html").mkdir()  # it becomes a folder in the target too
    (source / "index.html" / "a.jpg").write_bytes(PHOTO)
    program = quick("--gallery")
    assert program.wait() == 3
    assert counts(program) == {"made": 1}
    assert "no gallery" in program.stderr
    assert "Traceback" not in program.stderr
