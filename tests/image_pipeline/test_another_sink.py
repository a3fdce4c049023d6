"""A sink that is killed in the middle, and another that takes its place."""

import os
import queue
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.announced import Announced
from image_pipeline.delivery.batch import Batch
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.wire import encode
from image_pipeline.outcome import FileRecord, Made, Outcome, Status, Tally
from image_pipeline.sink import collect
from image_pipeline.storage.store import Store
from image_pipeline.storage.thumbnails import Thumbnails
from image_pipeline.transport.sockets import bound
from image_pipeline.ventilator import ventilate
from tests.image_pipeline.stage import (
    endpoints_of_our_own,
    files_in,
    make_photos,
    make_thumbnails,
    work,
)
from tests.support import PATIENCE_S, Program

pytestmark = pytest.mark.slow

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

    def make(data: bytes, recipe: bytes) -> Made:
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
    worker.start()
    batch = Batch(
        files_in(tmp_path / "src"),
        stop=threading.Event(),
        record=records.append,
        watch=watch,
    )
    ventilate(context, (tasks, results, receipts), batch)
    over.set()
    worker.join(PATIENCE_S)

    tally = Tally(record.outcome for record in records)
    assert sorted(record.source for record in records) == names
    assert tally[Outcome.MADE] + tally[Outcome.CURRENT] == IMAGES
    assert sinks[1].wait() == 0
    assert sinks[1].stderr == ""
    written = {
        os.fsencode(path.name) for path in (tmp_path / "dst").iterdir()
    }
    assert written == {*names, b".image_pipeline"}
    assert len(made) >= IMAGES


def test_receipts_that_gather_are_never_too_much_for_the_ventilator(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    """The trap: libzmq hangs up on a message that is too long."""
    number, failures = 1, 4_000
    ids = [messages.id_of(number, each) for each in range(1, failures + 1)]
    plan = pb.Plan(
        batch=number,
        recipe=encode(Recipe()),
        files=[pb.SourceFile(id=each, name=b"a.jpg") for each in ids],
    )
    story = "x" * messages.MAX_TEXT
    reports = [
        pb.Report(stage=pb.STAGE_FAILED, id=each, reason=story)
        for each in ids
    ]
    with (
        bound(context, zmq.PULL, "tcp://127.0.0.1:*") as ventilator,
        context.socket(zmq.PUSH) as worker,
        Store(tmp_path / "dst") as store,
    ):
        over = threading.Event()
        results: queue.SimpleQueue[str] = queue.SimpleQueue()
        serving = threading.Thread(
            target=collect,
            args=(
                context,
                ("inproc://results", ventilator.endpoint),
                Announced(Thumbnails(store)),
                over,
            ),
            kwargs={"on_bound": results.put},
        )
        serving.start()
        worker.connect(results.get(timeout=PATIENCE_S))
        worker.send(pb.ToSink(plan=plan).SerializeToString())
        for first in range(0, failures, 100):
            some = pb.Reports(reports=reports[first : first + 100])
            worker.send(pb.ToSink(reports=some).SerializeToString())
        heard = 0
        while heard < 2 * failures and ventilator.poll(10_000):
            heard += len(messages.read_receipts(ventilator.recv()))
        over.set()
        serving.join(PATIENCE_S)
    assert heard == 2 * failures  # each was wanted, and then failed
