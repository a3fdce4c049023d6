"""A worker alone, without those whom it works for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.wire import encode
from image_pipeline.outcome import Incomplete, Made
from image_pipeline.transport.sockets import SHORT_BUFFER
from tests.image_pipeline.saboteur import WAIT
from tests.image_pipeline.stage import PHOTO, endpoints_of_our_own, work
from tests.support import PATIENCE_S, Program

MANY = 300  # more tasks than fit into the queues on their way


def send_task(ventilator: zmq.Socket[Any], *images: bytes) -> None:
    task = pb.Task(
        ids=[
            messages.id_of(1, number) for number in range(1, len(images) + 1)
        ],
        recipe=encode(Recipe()),
        timeout_ms=60_000,
    )
    assert ventilator.poll(int(PATIENCE_S * 1000), zmq.POLLOUT)
    ventilator.send_multipart([task.SerializeToString(), *images])


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_ventilator_that_is_killed_takes_no_busy_worker_with_it(
    context: zmq.Context[Any], start: Callable[..., Program]
) -> None:
    """The trap: a full PULL with heartbeats, and libzmq aborts."""
    tasks, results, _ = endpoints_of_our_own()
    with context.socket(zmq.PUSH) as ventilator:
        ventilator.linger, ventilator.sndbuf = 0, SHORT_BUFFER
        ventilator.bind(tasks)
        program = start(
            *("tests.image_pipeline.sabotaged", "worker", "--once"),
            *("--tasks", tasks, "--results", results),
        )
        send_task(ventilator, *[PHOTO + WAIT] * 20)  # busy for 4 seconds
        for _ in range(MANY):
            send_task(ventilator, PHOTO)
        program.wait_for("^file ")
    assert program.wait() == 0
    assert program.stderr == ""


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("missing", ["sink", "ventilator"])
def test_a_worker_for_one_batch_waits_for_nobody_without_end(
    context: zmq.Context[Any], missing: str
) -> None:
    """The trap: it has more to tell than fits into a queue for nobody."""
    tasks, results, _ = endpoints_of_our_own()

    def serve() -> None:
        work(
            lambda image, _: Made([image], 1, 1),
            context=context,
            tasks=tasks,
            results=results,
            name="worker",
            stop=Event(),
            once=True,
            patience=1.0,
        )

    with context.socket(zmq.PUSH) as ventilator, ThreadPoolExecutor() as pool:
        ventilator.linger = 0
        working = pool.submit(serve)
        if missing == "sink":
            ventilator.bind(tasks)
            for _ in range(MANY):
                send_task(ventilator, PHOTO)
        with pytest.raises(Incomplete, match=f"no {missing} for 1 s"):
            working.result(PATIENCE_S)
