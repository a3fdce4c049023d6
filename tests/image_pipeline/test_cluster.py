"""The same thumbnails from a Dask cluster, whose workers may be killed."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event
from typing import NamedTuple
from urllib.request import urlopen

import pytest

from image_pipeline.demo.photographs import photograph
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.thumbnail import make_thumbnails, prepare
from image_pipeline.outcome import FileRecord, Incomplete, Outcome
from image_pipeline.storage.source import Files
from image_pipeline.storage.store import Store
from tests.support import PATIENCE_S, Program

pytestmark = pytest.mark.slow

Start = Callable[..., Program]
PHOTOGRAPHS = 24


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in range(PHOTOGRAPHS):
        data = photograph(seed, width=640, height=480)
        (folder / f"{seed:02}.jpg").write_bytes(data)
    return folder


class Scheduler(NamedTuple):
    program: Program
    address: str


@pytest.fixture(scope="module")
def shared() -> Iterator[Scheduler]:
    """One for all tests that leave it alive, since it starts in seconds."""
    with ExitStack() as stack:

        def start(*argv: str) -> Program:
            return stack.enter_context(closing(Program(*argv)))

        made = start_scheduler(start, "--dashboard")
        made.program.wait_for_stderr("dashboard at:")
        yield made


@pytest.fixture
def scheduler(shared: Scheduler) -> str:
    """It has forgotten the workers of the test before."""
    deadline = time.monotonic() + PATIENCE_S
    while len(re.findall("Register worker", shared.program.stderr)) > len(
        re.findall("Remove worker", shared.program.stderr)
    ):
        assert time.monotonic() < deadline, shared.program.stderr
        time.sleep(0.01)
    return shared.address


def start_scheduler(
    start: Start, dashboard: str = "--no-dashboard"
) -> Scheduler:
    program = start(
        "distributed.cli.dask_scheduler",
        *("--host", "127.0.0.1", "--port", "0", dashboard),
        # Without a dashboard it takes a port for HTTP all the same.
        *("--dashboard-address", "127.0.0.1:0"),
    )
    found = program.wait_for_stderr(r"Scheduler at: +(tcp://\S+)")
    return Scheduler(program, found.group(1))


def start_worker(start: Start, scheduler: str, tmp_path: Path) -> Program:
    return start(
        "distributed.cli.dask_worker",
        scheduler,
        *("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny"),
        *("--no-dashboard", "--local-directory", str(tmp_path)),
    )


def make_all(
    scheduler: str,
    folder: Path,
    store: Store,
    heard: Callable[[list[FileRecord]], None] = lambda _: None,
    workers: int = 1,
) -> list[FileRecord]:
    """Make thumbnails of `folder`; `heard` sees each record arrive."""
    from image_pipeline.cluster import cluster  # it takes a second

    names = sorted(path.name.encode() for path in folder.iterdir())
    records: list[FileRecord] = []

    def record(each: FileRecord) -> None:
        records.append(each)
        heard(records)

    files = Files(os.fsencode(folder), names, Recipe(), timeout=30)
    try:
        with cluster(store, scheduler, timeout=30) as dask:
            dask.client.wait_for_workers(workers, timeout=30)
            dask.deliver(files, stop=Event(), record=record)
    finally:
        # Whatever happened, each file has one outcome.
        assert sorted(each.source for each in records) == names
    return records


def test_a_worker_killed_in_the_middle_costs_no_image(
    start: Start, scheduler: str, photographs: Path, tmp_path: Path
) -> None:
    victim = start_worker(start, scheduler, tmp_path)
    start_worker(start, scheduler, tmp_path)

    def kill_at_a_third(records: list[FileRecord]) -> None:
        if len(records) == PHOTOGRAPHS // 3:
            victim.process.kill()

    with Store(tmp_path / "thumbs") as store:
        records = make_all(
            scheduler, photographs, store, kill_at_a_third, workers=2
        )
    assert not [each for each in records if each.outcome is not Outcome.MADE]
    prepare()
    for path in photographs.iterdir():
        here = make_thumbnails(path.read_bytes(), Recipe()).thumbnails[0]
        assert (tmp_path / "thumbs" / path.name).read_bytes() == here


def test_the_dashboard_shows_its_page_and_not_an_excuse(
    shared: Scheduler,
) -> None:
    """Without bokeh it answers as well, and says that bokeh is missing."""
    page = re.search(r"dashboard at: +(http://\S+)", shared.program.stderr)
    assert page, shared.program.stderr
    with urlopen(page[1], timeout=30) as answer:  # noqa: S310
        html = answer.read().decode()
    assert "Dask Diagnostic UI" in html
    assert "bokeh>=" not in html


def test_run_takes_a_scheduler_and_makes_the_same_files_as_our_workers(
    start: Start, scheduler: str, photographs: Path, tmp_path: Path
) -> None:
    start_worker(start, scheduler, tmp_path)
    (photographs / "cut.jpg").write_bytes(photograph(1)[:9999])
    (photographs / "notes.txt").write_bytes(b"not an image at all")
    said = []
    for folder, *options in (
        ("dask", "--scheduler", scheduler),
        ("dask", "--scheduler", scheduler),
        ("zmq", "--workers", "1"),
        ("zmq", "--workers", "1"),
    ):
        program = start(
            *("image_pipeline", "run", str(photographs)),
            *(str(tmp_path / folder), *options),
        )
        counts = program.wait_for(r"s: (.* made, .*)").group(1)
        said.append((program.wait(), counts))

    assert said[0] == said[2], "the first run makes, on either engine"
    assert said[1] == said[3], "the second finds all current"
    assert f"{PHOTOGRAPHS} made" in said[0][1]
    assert f"{PHOTOGRAPHS} current" in said[1][1]
    ours, theirs = tmp_path / "zmq", tmp_path / "dask"
    for path in ours.glob("*.jpg"):
        assert (theirs / path.name).read_bytes() == path.read_bytes()


def test_a_cluster_without_scheduler_or_worker_is_named_as_such(
    scheduler: str, tmp_path: Path
) -> None:
    from image_pipeline.cluster import cluster

    with Store(tmp_path) as store:
        for endpoint, reason in (
            (scheduler, "no worker"),
            ("tcp://127.0.0.1:1", "no Dask scheduler answers"),
        ):
            with (
                pytest.raises(Incomplete, match=reason),
                cluster(store, endpoint, timeout=1),
            ):
                pass


def test_a_scheduler_that_dies_leaves_files_unfinished_and_nobody_hanging(
    start: Start, photographs: Path, tmp_path: Path
) -> None:
    scheduler = start_scheduler(start)
    start_worker(start, scheduler.address, tmp_path)
    seen: list[FileRecord] = []

    def kill_at_three(records: list[FileRecord]) -> None:
        seen[:] = records
        if len(records) == 3:
            scheduler.program.process.kill()

    with (
        Store(tmp_path / "thumbs") as store,
        pytest.raises(Incomplete, match="the Dask scheduler has gone"),
    ):
        make_all(scheduler.address, photographs, store, kill_at_three)
    assert {each.outcome for each in seen} == {
        Outcome.MADE,
        Outcome.UNFINISHED,
    }
