"""Who gets which image: even starts, late joiners, those who leave."""

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zmq

from image_pipeline.outcome import (
    FileRecord,
    Incomplete,
    Made,
    Outcome,
    Status,
)
from image_pipeline.transport.sockets import SHORT_BUFFER, SILENCE_MS
from tests.image_pipeline.stage import (
    by_hand,
    files_in,
    make_photos,
    make_thumbnails,
    outcomes,
)
from tests.support import PATIENCE_S

TASKS = 60
WORKERS = 4


def slowly(data: bytes, recipe: bytes) -> Made:
    time.sleep(0.02)  # stands for a bigger image
    return make_thumbnails(data, recipe)


def taken_by(worker: zmq.Socket[bytes], within_ms: int) -> int:
    """Count what comes to `worker`, until it is all or nothing comes."""
    count = 0
    while count < TASKS and worker.poll(within_ms):
        worker.recv()
        count += 1
    return count


def test_a_naive_start_gives_one_worker_everything(
    context: zmq.Context[Any],
) -> None:
    """The trap: PUSH fills the queue of the worker that comes first."""
    with context.socket(zmq.PUSH) as tasks:
        port = tasks.bind_to_random_port("tcp://127.0.0.1")
        tasks.linger = 0
        workers = [context.socket(zmq.PULL) for _ in range(WORKERS)]
        workers[0].connect(f"tcp://127.0.0.1:{port}")
        for _ in range(TASKS):
            tasks.send(b"a task")
        for late in workers[1:]:
            late.connect(f"tcp://127.0.0.1:{port}")
        counts = [taken_by(workers[0], 30_000)]
        counts += [taken_by(late, 300) for late in workers[1:]]
        for worker in workers:
            worker.close()

    assert counts == [TASKS, 0, 0, 0]


def test_an_even_start_gives_no_worker_more_than_its_share(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    """The cure: wait for N handshakes, and keep the queues short."""
    make_photos(tmp_path / "src", TASKS)
    with by_hand(context, tmp_path) as pipeline:
        for number in range(WORKERS):
            pipeline.add_worker(f"worker {number}", slowly)
        records = pipeline.deliver(
            files_in(tmp_path / "src"), workers=WORKERS
        )

    shares = Counter(record.worker for record in records.values())
    assert outcomes(records) == {Outcome.MADE: TASKS}
    assert len(shares) == WORKERS
    assert max(shares.values()) <= 2 * TASKS / WORKERS


def test_it_starts_with_those_that_came_and_says_so(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", 5)
    notes = []

    def watch(status: Status) -> None:
        notes.append(status.note)

    with by_hand(context, tmp_path, patience=1.0) as pipeline:
        pipeline.add_worker("the only one")
        records = pipeline.deliver(
            files_in(tmp_path / "src"), workers=3, watch=watch
        )

    assert outcomes(records) == {Outcome.MADE: 5}
    assert "started with 1 of 3 workers" in notes


@pytest.mark.timeout(30)
def test_a_thumbnail_that_no_sink_would_take_fails_with_a_reason(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    """The trap: libzmq hangs up on a peer that sends more than MAXMSGSIZE."""

    def hugely(data: bytes, recipe: bytes) -> Made:
        made = make_thumbnails(data, recipe)
        return Made([made.results[0].ljust(2**26 + 1)], 1, 1)

    make_photos(tmp_path / "src", 1)
    with by_hand(context, tmp_path) as pipeline:
        pipeline.add_worker("one", hugely)
        (record,) = pipeline.deliver(files_in(tmp_path / "src")).values()

    assert record.outcome is Outcome.FAILED
    assert "67108865 bytes are over the limit" in record.reason


def test_when_no_worker_comes_every_file_is_named_as_unfinished(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", 5)
    with by_hand(context, tmp_path, patience=0.5) as pipeline:
        with pytest.raises(Incomplete, match="no worker at tcp://"):
            pipeline.deliver(files_in(tmp_path / "src"))
        assert [each.outcome for each in pipeline.records] == [
            Outcome.UNFINISHED
        ] * 5


@pytest.mark.slow
def test_when_all_workers_leave_the_rest_is_unfinished_and_nothing_hangs(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", TASKS)
    leave = threading.Event()

    def watch(_: Status) -> None:
        if pipeline.records:
            leave.set()

    with by_hand(context, tmp_path, patience=1.0) as pipeline:
        pipeline.add_worker("leaver", slowly, leave)
        with pytest.raises(Incomplete, match="no worker at tcp://"):
            pipeline.deliver(files_in(tmp_path / "src"), watch=watch)
        ends = Counter(each.outcome for each in pipeline.records)

    assert set(ends) == {Outcome.MADE, Outcome.UNFINISHED}
    assert ends.total() == TASKS


@pytest.mark.slow
def test_a_worker_that_decodes_for_long_is_not_missed(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    """The trap: with a full queue libzmq answers no heartbeat, so the
    connection is lost while the worker is well, and busy.
    """
    busy = threading.Event()

    def at_length(data: bytes, recipe: bytes) -> Made:
        if not busy.is_set():
            busy.set()
            time.sleep(SILENCE_MS / 1000 + 4)
        return make_thumbnails(data, recipe)

    make_photos(tmp_path / "src", 20, bytes(4 * SHORT_BUFFER))
    with by_hand(context, tmp_path, patience=1.0) as pipeline:
        pipeline.add_worker("the only one", at_length)
        records = pipeline.deliver(files_in(tmp_path / "src"))
    assert outcomes(records) == {Outcome.MADE: 20}


@pytest.mark.slow
def test_a_late_worker_gets_work_and_one_that_leaves_loses_none(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", TASKS)
    leave = threading.Event()

    def watch(_: Status) -> None:
        if pipeline.records and not leave.is_set():
            pipeline.add_worker("late", slowly)
            leave.set()

    with by_hand(context, tmp_path) as pipeline:
        pipeline.add_worker("early", slowly, leave)
        records = pipeline.deliver(files_in(tmp_path / "src"), watch=watch)

    assert outcomes(records) == {Outcome.MADE: TASKS}
    assert {record.worker for record in records.values()} == {"early", "late"}


def test_a_stop_finishes_what_is_in_flight_and_sends_no_more(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", TASKS)
    stop = threading.Event()
    heard: list[FileRecord] = []

    def watch(_: Status) -> None:
        heard[:] = pipeline.records
        if heard:
            stop.set()

    with by_hand(context, tmp_path) as pipeline:
        pipeline.add_worker("worker", slowly)
        records = pipeline.deliver(
            files_in(tmp_path / "src"), stop=stop, watch=watch
        )

    ends = outcomes(records)
    assert ends[Outcome.MADE] >= 1
    assert ends[Outcome.UNFINISHED] >= TASKS // 2
    assert ends.total() == TASKS
    assert stop.wait(PATIENCE_S)
