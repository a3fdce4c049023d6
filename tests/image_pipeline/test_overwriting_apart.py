"""Nothing is written over by `sink` alone, or by way of a Dask cluster."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from image_pipeline.demo.photographs import photograph
from tests.image_pipeline.stage import endpoints_of_our_own
from tests.support import Program

Start = Callable[..., Program]
PHOTO = photograph(1, 320, 240)
MINE = b"mine"


class Folders(NamedTuple):
    source: Path
    target: Path  # a link to a folder, which holds files of the user's
    elsewhere: Path  # where a link in the target leads


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    source, target = tmp_path / "photos", tmp_path / "thumbs"
    really, elsewhere = tmp_path / "really", tmp_path / "elsewhere"
    for folder in (source / "album", really, elsewhere):
        folder.mkdir(parents=True)
    for name in ("a.jpg", "linked.jpg", "made.jpg", "album/d.jpg"):
        (source / name).write_bytes(PHOTO)
    (source / "made.jpg").chmod(0o600)
    target.symlink_to(really)
    for mine in (really / "a.jpg", elsewhere / "d.jpg"):
        mine.write_bytes(MINE)
    (really / "linked.jpg").symlink_to(source / "linked.jpg")
    (really / "album").symlink_to(elsewhere)
    return Folders(source, target, elsewhere)


@pytest.fixture(params=["sink", "cluster"])
def deliver(
    request: pytest.FixtureRequest,
    start: Start,
    folders: Folders,
    tmp_path: Path,
) -> Callable[..., Program]:
    """Make the thumbnails; `options` are those of whatever writes them."""
    source, target = str(folders.source), str(folders.target)
    if request.param == "cluster":
        here = ("--host", "127.0.0.1")
        scheduler = start(
            "distributed.cli.dask_scheduler",
            *(*here, "--port", "0", "--dashboard-address", ":0"),
        )
        found = scheduler.wait_for_stderr(r"Scheduler at: +(tcp://\S+)")
        address = found.group(1)
        start(
            *("distributed.cli.dask_worker", address, *here),
            *("--nthreads", "1", "--no-nanny", "--no-dashboard"),
            *("--local-directory", str(tmp_path)),
        )

        def by_cluster(*options: str) -> Program:
            return start(
                *("image_pipeline", "run", source, target),
                *("--scheduler", address, *options),
            )

        return by_cluster

    def by_sink(*options: str) -> Program:
        tasks, results, receipts = endpoints_of_our_own()
        at = ("--results", results, "--receipts", receipts)
        sink = start(
            "image_pipeline", "sink", target, "--once", *at, *options
        )
        worker = start(
            *("image_pipeline", "worker", "--once", "--quiet"),
            *("--tasks", tasks, "--results", results),
        )
        ventilator = start(
            "image_pipeline", "ventilator", source, "--tasks", tasks, *at
        )
        assert ventilator.wait() is not None
        assert (sink.wait(), worker.wait()) == (0, 0)
        return ventilator

    return by_sink


@pytest.mark.slow
def test_what_is_not_ours_stays_and_the_rest_is_made(
    folders: Folders, deliver: Callable[..., Program]
) -> None:
    program = deliver()
    assert program.wait() == 1
    assert "1 made, 0 current, 0 skipped, 3 failed" in program.stdout
    for name in ("a.jpg", "linked.jpg"):
        assert f"{name} in the target was not made" in program.stderr
    made = folders.target / "made.jpg"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert (folders.target / "a.jpg").read_bytes() == MINE
    assert (folders.elsewhere / "d.jpg").read_bytes() == MINE
    assert [each.name for each in folders.elsewhere.iterdir()] == ["d.jpg"]
    link = folders.target / "linked.jpg"
    assert link.is_symlink()
    assert link.read_bytes() == PHOTO

    again = deliver()  # what is ours is known as ours
    assert again.wait() == 1
    assert "0 made, 1 current, 0 skipped, 3 failed" in again.stdout

    forced = deliver("--overwrite")  # which goes through no link
    assert forced.wait() == 1
    assert "2 made, 1 current, 0 skipped, 1 failed" in forced.stdout
    assert (folders.target / "a.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert not link.is_symlink()
    assert (folders.source / "linked.jpg").read_bytes() == PHOTO
    assert (folders.elsewhere / "d.jpg").read_bytes() == MINE


def test_a_dry_run_for_a_cluster_tells_of_it_and_touches_nothing(
    start: Start, folders: Folders
) -> None:
    program = start(
        *("image_pipeline", "run", str(folders.source)),
        *(str(folders.target), "--dry-run"),
        *("--scheduler", "tcp://127.0.0.1:1"),  # which nobody is asked for
    )
    assert program.wait() == 0
    for name in ("a.jpg", "linked.jpg", "album/d.jpg"):
        assert f"failed: {name}" in program.stdout
    assert "made.jpg -> made.jpg" in program.stdout
    assert "4 files: 1 would be tried" in program.stdout
    left = sorted(each.name for each in folders.target.iterdir())
    assert left == ["a.jpg", "album", "linked.jpg"]
