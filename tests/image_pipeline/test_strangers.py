"""Strangers at each socket that is bound: nothing they send counts."""

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.wire import encode
from image_pipeline.outcome import Made, Outcome
from image_pipeline.transport.sockets import bound
from tests.image_pipeline.stage import (
    GREETING,
    PHOTO,
    ManualPipeline,
    by_hand,
    files_in,
    make_photos,
    make_thumbnails,
    outcomes,
    until,
)
from tests.support import PATIENCE_S

KNOCKS = {
    "nothing": b"",
    "http": b"GET / HTTP/1.1\r\n\r\n" + bytes(500),
    "a greeting": GREETING,
    "a greeting and nonsense": GREETING + b"\x04\x05hello",
    "a greeting and too much": GREETING + b"\x06" + b"\x7f" * 100,
}
BATCH = 4711  # a guess; the real number is one of four thousand million


def to_sink(**body: Any) -> bytes:
    return pb.ToSink(**body).SerializeToString()


def told(report: pb.Report) -> bytes:
    return to_sink(reports=pb.Reports(reports=[report]))


def garbage() -> list[list[bytes]]:
    """Messages that no honest peer sends."""
    rng = random.Random(5)
    some_id = messages.id_of(BATCH, 1)
    made = pb.Report(
        id=some_id, stage=pb.STAGE_MADE, worker="stranger", results=1
    )
    nobody = pb.Report(id=5, stage=pb.STAGE_MADE, results=1)
    unknown = pb.Report(id=some_id)
    return [
        [b""],
        [b"", b"", b""],
        *([rng.randbytes(size)] for size in (1, 3, 9, 100, 5_000)),
        [rng.randbytes(2**20)],
        [told(made), PHOTO],
        [told(made)],
        [told(made)] + [PHOTO] * 50,
        [told(nobody), PHOTO],
        [told(unknown)],
        [pb.Reports(reports=[made, nobody]).SerializeToString()],
        [pb.Reports(reports=[made]).SerializeToString()],
        [
            pb.Reports(
                reports=[
                    pb.Report(
                        id=messages.id_of(BATCH, 0),
                        stage=pb.STAGE_BROKEN,
                        reason="give up",
                    )
                ]
            ).SerializeToString()
        ],
    ]


@contextmanager
def pushing(
    context: zmq.Context[Any], endpoint: str, messages: list[list[bytes]]
) -> Iterator[None]:
    with context.socket(zmq.PUSH) as stranger:
        stranger.linger = 0
        stranger.sndtimeo = 10_000
        stranger.connect(endpoint)
        for message in messages:
            stranger.send_multipart(message)
        yield


def deliver_all(
    pipeline: ManualPipeline,
    tmp_path: Path,
    count: int = 20,
    on_bound: Callable[[str], None] = lambda _: None,
) -> None:
    make_photos(tmp_path / "src", count)
    pipeline.add_worker("honest")
    records = pipeline.deliver(files_in(tmp_path / "src"), on_bound)
    assert outcomes(records) == {Outcome.MADE: count}
    assert {each.worker for each in records.values()} == {"honest"}
    written = {path.name for path in (tmp_path / "dst").iterdir()}
    assert written == {*records, ".image_pipeline"}


def test_garbage_and_forged_results_at_the_sink_count_for_nothing(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    with by_hand(context, tmp_path) as pipeline:
        rubbish = garbage()
        with pushing(context, pipeline.results, rubbish):
            deliver_all(pipeline, tmp_path)
        assert pipeline.sink.dropped == len(rubbish)


def test_garbage_and_forged_receipts_at_the_ventilator_count_for_nothing(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    with by_hand(context, tmp_path) as pipeline:
        endpoint = pipeline.receipts
        with pushing(context, endpoint, garbage()):
            deliver_all(pipeline, tmp_path)


def test_what_is_no_zeromq_at_all_is_hung_up_on(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    with by_hand(context, tmp_path) as pipeline:

        def knock_at_both(tasks: str) -> None:
            for endpoint in (tasks, pipeline.results):
                knock(endpoint, b"GET / HTTP/1.1\r\n\r\n" + bytes(5_000))

        deliver_all(pipeline, tmp_path, on_bound=knock_at_both)


def knock(endpoint: str, words: bytes) -> None:
    """Connect, say `words`, and stay until the other side hangs up."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    with (
        suppress(ConnectionError),
        socket.create_connection((host, int(port)), 10) as stranger,
    ):
        stranger.sendall(words)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(4096):
            pass


@pytest.mark.parametrize("words", KNOCKS.values(), ids=KNOCKS.keys())
def test_who_makes_no_handshake_is_neither_a_peer_nor_the_loss_of_one(
    context: zmq.Context[Any], words: bytes
) -> None:
    """The trap: the monitor tells of each end, not of whose it was."""
    with bound(context, zmq.PUSH, "tcp://127.0.0.1:*") as tasks:
        endpoint, workers = tasks.endpoint, tasks.peers

        def counts(ever: int, lost: int) -> None:
            def reached() -> bool:
                workers.look()
                return (workers.handshakes, workers.disconnects) >= (
                    ever,
                    lost,
                )

            until(reached)
            assert (workers.handshakes, workers.disconnects) == (ever, lost)
            assert workers.connected == ever - lost

        with context.socket(zmq.PULL) as first:
            first.connect(endpoint)
            counts(1, 0)
            for _ in range(3):
                knock(endpoint, words)
            with context.socket(zmq.PULL) as second:
                second.connect(endpoint)
                counts(2, 0)
            counts(2, 1)
        counts(2, 2)


@pytest.mark.slow
def test_a_scanner_at_the_door_fails_no_image_that_takes_its_time(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    """The trap: three connections end while one image is in flight."""
    make_photos(tmp_path / "src", 1)
    scanned = threading.Event()

    def slowly(data: bytes, recipe: bytes) -> Made:
        scanned.wait(PATIENCE_S)
        return make_thumbnails(data, recipe)

    with by_hand(context, tmp_path, patience=2.0) as pipeline:

        def scan() -> None:
            until(lambda: "honest" in at_work)
            for _ in range(4):
                knock(pipeline.tasks, KNOCKS["http"])
                # Longer than it takes to act on a loss, and on an absence.
                threading.Event().wait(1.0)
            scanned.set()

        at_work: dict[str, Any] = {}
        pipeline.add_worker("honest", slowly)
        pipeline.start(scan)
        records = pipeline.deliver(
            files_in(tmp_path / "src"),
            watch=lambda status: at_work.update(status.workers),
        )
    assert outcomes(records) == {Outcome.MADE: 1}
    assert records["000.jpg"].worker == "honest"


@pytest.mark.slow
def test_who_takes_tasks_and_does_nothing_cannot_keep_them(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    with (
        by_hand(context, tmp_path) as pipeline,
        context.socket(zmq.PULL) as thief,
    ):
        thief.connect(pipeline.tasks)
        deliver_all(pipeline, tmp_path, 4)


def test_no_plan_leads_the_sink_out_of_its_folder(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    """The trap: join the target and a name, and `../` has left it."""
    outside = tmp_path / "dst" / "../../outside.jpg"
    assert not outside.resolve().is_relative_to(tmp_path / "dst")

    names = [b"../../outside.jpg", b"/tmp/outside.jpg", b"a/../../b", b"a\0b"]
    recipe = encode(Recipe())
    plans = [
        pb.Plan(
            batch=BATCH,
            recipe=recipe,
            files=[pb.SourceFile(id=messages.id_of(BATCH, 1), name=name)],
        )
        for name in names
    ]
    made = pb.Report(
        id=messages.id_of(BATCH, 1), stage=pb.STAGE_MADE, results=1
    )
    attack = [
        message
        for plan in plans
        for message in ([to_sink(plan=plan)], [told(made), PHOTO])
    ]
    with (
        by_hand(context, tmp_path) as pipeline,
        pushing(context, pipeline.results, attack),
    ):
        until(lambda: pipeline.sink.dropped == len(attack))
    assert [path.name for path in (tmp_path / "dst").iterdir()] == [
        ".image_pipeline"
    ]


def test_nothing_is_written_through_a_link_that_leaves_the_target(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "src" / "day").mkdir(parents=True)
    (tmp_path / "src" / "day" / "a.jpg").write_bytes(PHOTO)
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst" / "day").symlink_to(elsewhere)
    with by_hand(context, tmp_path) as pipeline:
        pipeline.add_worker("honest")
        files = files_in(tmp_path / "src")
        files.names = [b"day/a.jpg"]
        records = pipeline.deliver(files)
    assert records["day/a.jpg"].outcome is Outcome.FAILED
    assert not list(elsewhere.iterdir())
