"""Nothing is written over unless an earlier run is shown to have made it."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from image_pipeline.demo.photographs import photograph
from image_pipeline.outcome import CannotKeep
from image_pipeline.storage.journal import Source
from image_pipeline.storage.store import Store
from tests.image_pipeline.pictures import opened
from tests.support import Program

pytestmark = pytest.mark.slow

Start = Callable[..., Program]
PHOTO = photograph(1, 320, 240)
SOURCE = Source(b"a.jpg", 1000, 1, "recipe")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(PHOTO)
    return folder


@pytest.fixture
def run(start: Start, photos: Path, tmp_path: Path) -> Callable[..., Program]:
    def run(*options: str, source: Path | None = None) -> Program:
        return start(
            "image_pipeline",
            "run",
            str(source or photos),
            str(tmp_path / "thumbs"),
            *("--workers", "1", "--transport", "inproc", *options),
        )

    return run


def test_swapped_folders_are_refused_and_no_photograph_is_touched(
    start: Start,
    run: Callable[..., Program],
    photos: Path,
    tmp_path: Path,
) -> None:
    assert run().wait() == 0
    thumbs = str(tmp_path / "thumbs")
    link = tmp_path / "link"
    link.symlink_to(thumbs)
    for source in (thumbs, str(link)):
        for extra in ((), ("--dry-run",), ("--overwrite",)):
            program = start(
                "image_pipeline", "run", source, str(photos), *extra
            )
            assert program.wait() == 2
            assert "did you swap" in program.stderr
    program = start("image_pipeline", "ventilator", thumbs)
    assert program.wait() == 2
    assert "did you swap" in program.stderr
    assert (photos / "a.jpg").read_bytes() == PHOTO


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_a_file_of_the_users_in_the_target_stays(
    run: Callable[..., Program], tmp_path: Path, options: tuple[str, ...]
) -> None:
    mine = tmp_path / "thumbs" / "a.jpg"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    told = run("--dry-run", *options)
    assert told.wait() == 0
    assert "failed: a.jpg: a.jpg in the target was not made" in told.stdout
    program = run(*options)
    assert program.wait() == 1
    assert "--overwrite replaces it" in program.stderr
    assert mine.read_bytes() == b"mine"
    assert run("--overwrite").wait() == 0
    assert mine.read_bytes()[:2] == b"\xff\xd8"
    assert run("--force").wait() == 0  # from now on it is ours


def test_a_link_of_the_users_in_the_way_stays_a_link(
    run: Callable[..., Program], photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "thumbs").mkdir()
    (tmp_path / "thumbs" / "a.jpg").symlink_to(photos / "a.jpg")
    assert run().wait() == 1
    assert (tmp_path / "thumbs" / "a.jpg").is_symlink()
    assert (photos / "a.jpg").read_bytes() == PHOTO


def test_a_thumbnail_that_the_user_has_replaced_is_the_users(
    run: Callable[..., Program], tmp_path: Path
) -> None:
    assert run().wait() == 0
    (tmp_path / "thumbs" / "a.jpg").write_bytes(b"painted over")
    assert run("--force").wait() == 1
    assert (tmp_path / "thumbs" / "a.jpg").read_bytes() == b"painted over"


def test_our_thumbnail_follows_its_source_and_the_recipe(
    run: Callable[..., Program], photos: Path, tmp_path: Path
) -> None:
    thumbnail = tmp_path / "thumbs" / "a.jpg"
    assert run().wait() == 0
    before = thumbnail.read_bytes()
    (photos / "a.jpg").write_bytes(photograph(2, 320, 240))
    assert run().wait() == 0
    assert thumbnail.read_bytes() != before
    assert run("--size", "64").wait() == 0
    (photos / "a.jpg").write_bytes(b"<html>")
    program = run()
    assert program.wait() == 1
    assert not thumbnail.exists()  # no old picture under that name


def test_a_photograph_turned_with_its_old_size_and_time_is_made_again(
    run: Callable[..., Program], photos: Path
) -> None:
    assert run().wait() == 0
    photo = photos / "a.jpg"
    status = photo.stat()
    photo.write_bytes(PHOTO[:-40] + bytes(38) + PHOTO[-2:])
    os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))
    program = run()
    assert program.wait() == 0
    assert "1 made, 0 current" in program.stdout


def test_fill_cuts_to_the_box_and_makes_thumbnails_anew_when_it_changes(
    run: Callable[..., Program], tmp_path: Path
) -> None:
    thumbnail = tmp_path / "thumbs" / "a.jpg"
    for options, size, end in (
        (["--size", "100"], (75, 100), "1 made, 0 current"),
        (["--size", "100", "--fill"], (100, 100), "1 made, 0 current"),
        (["--size", "100", "--fill"], (100, 100), "0 made, 1 current"),
        (["--size", "100"], (75, 100), "1 made, 0 current"),
    ):
        program = run(*options)
        assert program.wait() == 0
        assert end in program.stdout
        assert opened(thumbnail.read_bytes()).size == size
    program = run("--size", "100x", "--fill")
    assert program.wait() == 2
    assert "needs both sides" in program.stderr


@pytest.mark.parametrize(
    ("source", "thumbnail"),
    [(0o600, 0o600), (0o640, 0o640), (0o777, 0o644), (0o400, 0o600)],
)
def test_a_thumbnail_has_no_more_permissions_than_its_source(
    run: Callable[..., Program],
    photos: Path,
    tmp_path: Path,
    source: int,
    thumbnail: int,
) -> None:
    (photos / "a.jpg").chmod(source)
    before = os.umask(0o022)
    try:
        assert run().wait() == 0
    finally:
        os.umask(before)
    made = tmp_path / "thumbs" / "a.jpg"
    assert stat.S_IMODE(made.stat().st_mode) == thumbnail
    lock = tmp_path / "thumbs" / ".image_pipeline" / "lock"
    assert not stat.S_IMODE(lock.stat().st_mode) & 0o111


def test_a_chmod_of_a_photograph_reaches_its_thumbnail(
    run: Callable[..., Program], photos: Path, tmp_path: Path
) -> None:
    assert run().wait() == 0
    (photos / "a.jpg").chmod(0o600)
    assert run().wait() == 0
    made = tmp_path / "thumbs" / "a.jpg"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_a_run_killed_between_writing_and_noting_still_owns_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "thumbs"
    with Store(target) as store:

        class Killed(BaseException):
            pass

        def killed(*_: object) -> None:
            raise Killed

        monkeypatch.setattr(store._journal, "remember", killed)
        with pytest.raises(Killed):
            store.keep(SOURCE, {b"a.jpg": b"half"})
    with Store(target) as store:
        store.keep(SOURCE, {b"a.jpg": b"new"})
        (target / "b.jpg").write_bytes(b"new")  # the same, but not ours
        with pytest.raises(CannotKeep, match="--overwrite"):
            store.keep(SOURCE, {b"b.jpg": b"other"})


def test_a_report_replaces_only_a_report(
    run: Callable[..., Program], photos: Path, tmp_path: Path
) -> None:
    for extra in ((), ("--dry-run",)):
        program = run("--report", str(photos / "a.jpg"), *extra)
        assert program.wait() == 2
        assert "is no report" in program.stderr
    assert (photos / "a.jpg").read_bytes() == PHOTO
    report = tmp_path / "report"
    for left in ("", '{"sou', '{"source": "x.jpg", "outc'):  # interrupted
        report.write_text(left)
        assert run("--report", str(report)).wait() == 0
        assert json.loads(report.read_text())["source"] == "a.jpg"


def test_prune_removes_our_thumbnails_of_what_is_gone_and_nothing_else(
    run: Callable[..., Program], photos: Path, tmp_path: Path
) -> None:
    thumbs = tmp_path / "thumbs"
    for name in ("gone/b.jpg", "c.png", "left out.jpg"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(PHOTO)
    assert run("--gallery").wait() == 0
    (photos / "gone" / "b.jpg").unlink()
    (photos / "c.png").unlink()
    (thumbs / "mine.jpg").write_bytes(PHOTO)
    told = run("--dry-run", "--prune")
    assert told.wait() == 0
    assert told.stdout.count("would be removed: ") == 2
    assert (thumbs / "gone" / "b.jpg").exists()
    (photos.parent / "list").write_bytes(b"a.jpg\n")
    program = run("--prune", "--files-from", str(photos.parent / "list"))
    assert program.wait() == 0
    assert "thumbnails of files that are gone: 2 removed" in program.stdout
    left = {each.name for each in thumbs.iterdir()} - {".image_pipeline"}
    assert left == {"a.jpg", "left out.jpg", "mine.jpg", "index.html"}


def test_pipes_in_source_and_target_end_in_a_sentence(
    run: Callable[..., Program], photos: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (photos / "b.jpg").symlink_to(tmp_path / "pipe")
    (tmp_path / "thumbs" / ".image_pipeline").mkdir(parents=True)
    os.mkfifo(tmp_path / "thumbs" / "a.jpg")
    program = run()
    assert program.wait() == 1
    assert "a.jpg in the target was not made" in program.stderr
    assert "0 made, 0 current, 1 skipped, 1 failed" in program.stdout
    journal = tmp_path / "thumbs" / ".image_pipeline" / "journal"
    journal.unlink()
    os.mkfifo(journal)
    program = run()
    assert program.wait() == 3
    assert "cannot write to" in program.stderr
