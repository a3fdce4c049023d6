"""Work is dealt out like cards, one task to each worker in turn.

Sockets: the ventilator's PUSH binds, each worker's PULL connects; results
go the same way, from many PUSH to the sink's PULL. Messages: one way, each
to exactly one worker. Why: the shortest way to parallel work. The dealer is
blind, though: to late workers, to slow ones and to dead ones. Sources:
Guide, chapter 1, "Divide and Conquer"; libzmq documentation, zmq_socket and
zmq_socket_monitor.
"""

import time
from collections import deque
from collections.abc import Container
from contextlib import suppress

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    Spawn,
    bind_anywhere,
    is_silent,
    kill,
    sockets,
    stop,
    watch,
    wiretap,
)


def bind_and_wait(
    ventilator: zmq.SyncSocket, endpoint: str, workers: int, timeout_s: float
) -> None:
    """Bind, and return once so many handshakes have succeeded.

    Raises TimeoutError. A worker that connects again counts twice, and over
    inproc there are no handshakes: where workers are meant, call the roll.
    """
    ready = ventilator.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    try:
        ventilator.bind(endpoint)
        deadline = time.monotonic() + timeout_s
        for missing in range(workers, 0, -1):
            left = max(0.0, deadline - time.monotonic())
            if not ready.poll(int(left * 1000)):
                raise TimeoutError(f"{missing} of {workers} are missing")
            recv_monitor_message(ready)
    finally:
        ventilator.disable_monitor()
        ready.close()


def roll_call(
    ventilator: zmq.SyncSocket,
    sink: zmq.SyncSocket,
    workers: int,
    timeout_s: float,
) -> set[bytes]:
    """Return the names of so many workers, asked for by an empty task.

    It goes the way that the work will go. Raises TimeoutError. Later a name
    may reach the sink again: a result without a task.
    """
    names = set[bytes]()
    deadline = time.monotonic() + timeout_s
    while len(names) < workers:
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{workers - len(names)} are missing")
        with suppress(zmq.Again):  # so far there is nobody to ask
            ventilator.send(b"", zmq.DONTWAIT)
        while sink.poll(20):
            _, name = sink.recv_multipart()
            names.add(name)
    return names


def work(
    context: zmq.SyncContext, tasks: str, results: str, name: str
) -> None:
    """Take a task, do it, send the result: a worker, until it is killed."""
    with context.socket(zmq.PULL) as source, context.socket(zmq.PUSH) as sink:
        source.rcvhwm = 1  # what waits here dies with this worker
        sink.connect(results)
        source.connect(tasks)
        while True:
            task_id, *_photograph = source.recv_multipart()
            sink.send_multipart([task_id, name.encode()])


def _take(worker: zmq.SyncSocket, count: int) -> list[int]:
    """Receive `count` tasks, and see that there are no more."""
    tasks = [int(worker.recv()) for _ in range(count)]
    assert is_silent(worker)
    return tasks


def test_tasks_are_dealt_round_robin(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """PUSH deals round robin: each task goes to exactly one worker."""
    with (
        sockets(context, *[zmq.PULL] * 3) as workers,
        context.socket(zmq.PUSH) as ventilator,
    ):
        for worker in workers:
            worker.connect(endpoint)
        bind_and_wait(ventilator, endpoint, 3, PATIENCE_S)
        for task in range(9):
            ventilator.send(b"%d" % task)
        hands = sorted(_take(worker, 3) for worker in workers)
    assert hands == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


@pytest.mark.parametrize(
    ("mark", "quick", "slow"), [(1000, 50, 50), (1, 98, 2)]
)
def test_push_is_blind_to_speed(
    context: zmq.SyncContext, mark: int, quick: int, slow: int
) -> None:
    """PUSH is blind to speed: only a low mark spares the slowest worker."""
    context.sndhwm = context.rcvhwm = mark
    opened = sockets(context, zmq.PUSH, zmq.PULL, zmq.PULL)
    with opened as (ventilator, idle, asleep):
        ventilator.bind("inproc://tasks")
        for worker in (idle, asleep):
            worker.connect("inproc://tasks")
        done = 0
        for task in range(100):
            ventilator.send(b"%d" % task)
            while idle.poll(0):
                idle.recv()
                done += 1
        assert done == quick
        _take(asleep, slow)


def test_a_late_worker_gets_nothing(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """The worker who joins a moment late finds that 1000 tasks are gone."""
    with (
        sockets(context, zmq.PUSH, zmq.PULL, zmq.PULL) as (
            ventilator,
            early,
            late,
        ),
        watch(late) as monitor,
    ):
        early.connect(endpoint)
        bind_and_wait(ventilator, endpoint, 1, PATIENCE_S)
        for task in range(1000):
            ventilator.send(b"%d" % task)
        late.connect(endpoint)
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        assert _take(early, 1000) == list(range(1000))
        assert _take(late, 0) == []


def test_ready_on_another_socket_is_no_barrier(
    context: zmq.SyncContext,
) -> None:
    """READY on another socket proves nothing: one may still get it all."""
    with (
        sockets(context, zmq.PUSH, zmq.PULL) as (ventilator, sink),
        wiretap(bind_anywhere(ventilator)) as slow_network,
        sockets(context, zmq.PULL, zmq.PULL) as workers,
        sockets(context, zmq.PUSH, zmq.PUSH) as reports,
    ):
        near = ventilator.get_string(zmq.LAST_ENDPOINT)
        results = bind_anywhere(sink)
        slow_network.open.clear()
        for place, worker, report in zip(
            (near, slow_network.endpoint), workers, reports, strict=True
        ):
            with watch(worker) as events:
                worker.connect(place)
                events.wait_for(zmq.EVENT_CONNECTED)
            report.connect(results)
            report.send(b"READY")
            assert sink.recv() == b"READY"
        for task in range(1000):
            ventilator.send(b"%d" % task)
        slow_network.open.set()
        assert _take(workers[0], 1000) == list(range(1000))
        assert _take(workers[1], 0) == []


def test_counting_handshakes_is_a_barrier(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """HANDSHAKE_SUCCEEDED, counted on the PUSH, deals 500 tasks to each."""
    with (
        sockets(context, zmq.PULL, zmq.PULL) as workers,
        context.socket(zmq.PUSH) as ventilator,
    ):
        for worker in workers:
            worker.connect(endpoint)
        bind_and_wait(ventilator, endpoint, 2, PATIENCE_S)
        for task in range(1000):
            ventilator.send(b"%d" % task)
        assert [len(_take(worker, 500)) for worker in workers] == [500, 500]


@pytest.mark.parametrize("transport", ["ipc", "inproc"])
def test_a_roll_call_counts_workers_and_a_barrier_handshakes(
    context: zmq.SyncContext,
    endpoint: str,
    in_thread: InThread,
    transport: str,
) -> None:
    """One worker may shake hands twice, over inproc never; names count."""
    tasks, results = endpoint.replace("ipc", transport), "inproc://results"
    opened = sockets(context, zmq.PUSH, zmq.PULL, zmq.PULL)
    with opened as (ventilator, sink, one):
        for _ in range(2):  # as a worker that was started again
            one.connect(tasks)
        wait_s = PATIENCE_S if transport == "ipc" else 0.05
        with suppress(TimeoutError):
            bind_and_wait(ventilator, tasks, 2, wait_s)
            assert transport == "ipc"
        one.close()
        sink.bind(results)
        in_thread(work, context, tasks, results, "ann")
        with pytest.raises(TimeoutError, match="are missing"):
            roll_call(ventilator, sink, 2, 0.2)  # ann answers, many times
        in_thread(work, context, tasks, results, "bob")
        names = roll_call(ventilator, sink, 2, PATIENCE_S)
    assert names == {b"ann", b"bob"}


@pytest.mark.parametrize("timeout_s", [0.05, -1.0], ids=["wait", "over"])
def test_the_barrier_gives_up(
    context: zmq.SyncContext, timeout_s: float
) -> None:
    """Waiting for workers that never come ends with an error."""
    with (
        context.socket(zmq.PUSH) as ventilator,
        pytest.raises(TimeoutError, match="2 of 2 are missing"),
    ):
        bind_and_wait(ventilator, "tcp://127.0.0.1:*", 2, timeout_s)


def test_a_busy_worker_keeps_few_tasks_waiting(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """With RCVHWM 1 a busy worker keeps few tasks from the others."""
    tasks, nobody = "inproc://tasks", "inproc://nobody"
    context.sndhwm = 1  # so that it is busy with its second result
    with context.socket(zmq.PUSH) as ventilator:
        ventilator.bind(tasks)
        in_thread(work, context, tasks, nobody, "ann")
        dealt = 0
        with pytest.raises(zmq.Again):
            while dealt < 100:
                ventilator.send(b"%d" % dealt)  # the first one waits for ann
                ventilator.sndtimeo = 200
                dealt += 1
    assert dealt <= 5  # two in the queue, and three taken


def _deal(
    ventilator: zmq.SyncSocket, live: zmq.SyncSocket, tasks: set[int]
) -> set[int]:
    """Deal tasks, then -1 until it comes; return what came to `live`."""
    photograph = bytes(65_536)  # too big to hide in a kernel's buffer
    done, left = set[int](), deque(tasks)
    while -1 not in done:
        task = left.popleft() if left else -1  # the dead may get one of these
        ventilator.send_multipart([b"%d" % task, photograph])
        while live.poll(50 if task < 0 else 0):
            done.add(int(live.recv_multipart()[0]))
    return done


@pytest.mark.parametrize(
    ("mark", "lost"), [(1000, {50}), (1, range(1, 26))], ids=["high", "low"]
)
def test_a_killed_worker_takes_its_tasks_with_it(
    context: zmq.SyncContext,
    endpoint: str,
    spawn: Spawn,
    mark: int,
    lost: Container[int],
) -> None:
    """A killed worker takes its tasks with it; ids tell what to repeat."""
    with sockets(context, zmq.PUSH, zmq.PULL) as (ventilator, live):
        ventilator.sndhwm = mark
        live.connect(endpoint)
        doomed = spawn(work, endpoint, f"{endpoint}-results", "doomed")
        bind_and_wait(ventilator, endpoint, 2, PATIENCE_S)
        stop(doomed)  # as if in a long task
        missing = {*range(100)} - _deal(ventilator, live, {*range(100)})
        assert len(missing) in lost
        kill(doomed)
        while missing:
            missing -= _deal(ventilator, live, missing)
