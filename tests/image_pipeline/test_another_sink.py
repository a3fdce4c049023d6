"""A sink that is killed in the middle, and another that takes its place."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from image_pipeline.batch import deliver
from image_pipeline.outcomes import FileRecord, Outcome, Tally
from image_pipeline.pixels import Made, make_thumbnails
from image_pipeline.recipe import Recipe
from image_pipeline.status import Status
from image_pipeline.ventilator import Ventilator
from image_pipeline.worker import work
from tests.image_pipeline.stage import (
    endpoints_of_our_own,
    files_in,
    make_photos,
)
from tests.support import PATIENCE_S, Program

IMAGES = 80
FIRST = 20  # images that are made before the sink is killed


@pytest.mark.timeout(120)
def test_a_sink_that_is_killed_and_replaced_loses_no_image(
    start: Callable[..., Program],
    new_context: Callable[[], zmq.Context[Any]],
    tmp_path: Path,
) -> None:
    """What it had written stays, and what it had only heard is sent again."""
    names = make_photos(tmp_path / "src", IMAGES)
    tasks, results, receipts = endpoints_of_our_own()
    replaced, over = threading.Event(), threading.Event()
    made: list[bytes] = []

    def make(data: bytes, recipe: Recipe) -> Made:
        if len(made) >= FIRST:
            replaced.wait(PATIENCE_S)
        made.append(data)
        return make_thumbnails(data, recipe)

    def new_sink() -> Program:
        return start(
            *("image_pipeline", "sink", str(tmp_path / "dst"), "--once"),
            *("--results", results, "--receipts", receipts),
        )

    records: list[FileRecord] = []
    sinks = [new_sink()]

    def watch(_: Status) -> None:
        if records and len(sinks) == 1:
            sinks[0].signal(signal.SIGKILL)
            sinks[0].process.wait(PATIENCE_S)
            sinks.append(new_sink())
            replaced.set()

    context = new_context()
    worker = threading.Thread(
        target=work,
        args=(make,),
        kwargs={
            "context": context,
            "tasks": tasks,
            "results": results,
            "name": "worker",
            "stop": over,
        },
        daemon=True,
    )
    with Ventilator(
        context=context, tasks=tasks, results=results, receipts=receipts
    ) as ventilator:
        worker.start()
        deliver(
            ventilator,
            files_in(tmp_path / "src"),
            workers=1,
            stop=threading.Event(),
            record=records.append,
            watch=watch,
        )
    over.set()
    worker.join(PATIENCE_S)

    tally = Tally()
    for record in records:
        tally.add(record.outcome)
    assert sorted(record.source for record in records) == names
    assert tally[Outcome.MADE] + tally[Outcome.CURRENT] == IMAGES
    assert sinks[1].wait() == 0
    assert sinks[1].stderr == ""
    written = {
        os.fsencode(path.name) for path in (tmp_path / "dst").iterdir()
    }
    assert written == {*names, b".image_pipeline"}
    assert len(made) >= IMAGES
