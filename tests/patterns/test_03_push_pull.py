"""Work is dealt out like cards, to whoever sits at the table.

Sockets: the ventilator's PUSH binds, each worker's PULL connects; results
go the same way, from many PUSH to the sink's PULL. Messages: one way, each
to exactly one worker. Why: the shortest way to parallel work. The dealer is
blind, though: to late workers, to slow ones and to dead ones. Sources:
Guide, chapter 1, "Divide and Conquer"; libzmq documentation, zmq_socket and
zmq_socket_monitor.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

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
    stop,
    watch,
    wiretap,
)
from tests.support import Program


def bind_and_wait(
    ventilator: zmq.SyncSocket, endpoint: str, workers: int, timeout_s: float
) -> None:
    """Bind, and return once so many handshakes have succeeded.

    Raises TimeoutError when some of them do not come in time. It counts
    handshakes: a worker that connects again counts twice. Over inproc there
    are none: let each worker send a message on the socket it works with.
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


def work(context: zmq.SyncContext, tasks: str, results: str) -> None:
    """Take a task, do it, send the result: a worker, until it is killed."""
    with context.socket(zmq.PULL) as source, context.socket(zmq.PUSH) as sink:
        source.rcvhwm = 1  # what waits here dies with this worker
        sink.connect(results)
        source.connect(tasks)
        while True:
            task_id, *_photograph = source.recv_multipart()
            sink.send(task_id)


def _take(worker: zmq.SyncSocket, count: int) -> list[int]:
    """Receive `count` tasks, and see that there are no more."""
    tasks = [int(worker.recv()) for _ in range(count)]
    assert is_silent(worker)
    return tasks


@dataclass
class Pipeline:
    """One ventilator, two worker processes, one sink."""

    ventilator: zmq.SyncSocket
    sink: zmq.SyncSocket
    workers: list[Program]
    done: set[int] = field(default_factory=set)

    def kill_a_worker(self) -> set[int]:
        """Deal 100 tasks, kill a worker that has begun none; what is lost?"""
        tasks = set(range(100))
        stop(self.workers[0])  # as if in a long task
        self.deal(tasks)
        kill(self.workers[0])
        return tasks - self.done_in_the_end()

    def deal(self, tasks: set[int]) -> None:
        photograph = bytes(65_536)  # too big to hide in a kernel's buffer
        for task in tasks:
            self.ventilator.send_multipart([b"%d" % task, photograph])
            while self.sink.poll(0):
                self.done.add(int(self.sink.recv_multipart()[0]))

    def done_in_the_end(self) -> set[int]:
        """What was done, once a marker has gone through a live worker."""
        marker = b"%d" % -time.monotonic_ns()
        while int(marker) not in self.done:
            self.ventilator.send(marker)  # the dead may get this one
            while self.sink.poll(50):
                self.done.add(int(self.sink.recv_multipart()[0]))
        return self.done


def test_tasks_are_dealt_round_robin(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """PUSH deals round robin: each task goes to exactly one worker."""
    with ExitStack() as stack:
        workers = [
            stack.enter_context(context.socket(zmq.PULL)) for _ in range(3)
        ]
        for worker in workers:
            worker.connect(endpoint)
        ventilator = stack.enter_context(context.socket(zmq.PUSH))
        bind_and_wait(ventilator, endpoint, 3, PATIENCE_S)
        for task in range(9):
            ventilator.send(b"%d" % task)
        hands = sorted(_take(worker, 3) for worker in workers)
    assert hands == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


def test_a_sink_hears_every_worker_in_turn(context: zmq.SyncContext) -> None:
    """PULL takes from its peers in turn, so no worker drowns the others."""
    with (
        context.socket(zmq.PULL) as sink,
        context.socket(zmq.PUSH) as chatty,
        context.socket(zmq.PUSH) as quiet,
    ):
        sink.bind("inproc://sink")
        for worker in (chatty, quiet):
            worker.connect("inproc://sink")
        for _ in range(100):
            chatty.send(b"chatty")
        for _ in range(3):
            quiet.send(b"quiet")
        first_six = Counter(sink.recv() for _ in range(6))
    assert first_six == {b"chatty": 3, b"quiet": 3}


def test_a_bound_push_without_workers_waits(context: zmq.SyncContext) -> None:
    """A PUSH that binds and has no worker blocks at the first task."""
    with context.socket(zmq.PUSH) as ventilator:
        bind_anywhere(ventilator)
        with pytest.raises(zmq.Again):
            ventilator.send(b"task", zmq.DONTWAIT)


def test_a_connecting_push_queues_for_the_absent(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """A PUSH that connects queues tasks for a worker who is not there yet."""
    with (
        context.socket(zmq.PUSH) as ventilator,
        context.socket(zmq.PULL) as worker,
    ):
        ventilator.connect(endpoint)
        for task in range(100):
            ventilator.send(b"%d" % task)
        worker.bind(endpoint)
        assert _take(worker, 100) == list(range(100))


def test_push_is_blind_to_speed(context: zmq.SyncContext) -> None:
    """PUSH is blind to speed: the slowest worker gets as much as the rest."""
    with (
        context.socket(zmq.PUSH) as ventilator,
        context.socket(zmq.PULL) as idle,
        context.socket(zmq.PULL) as asleep,
    ):
        ventilator.bind("inproc://tasks")
        for worker in (idle, asleep):
            worker.connect("inproc://tasks")
        for task in range(100):
            ventilator.send(b"%d" % task)
        _take(idle, 50)  # and now it has nothing to do
        _take(asleep, 50)


def test_a_low_high_water_mark_opens_the_eyes_of_push(
    context: zmq.SyncContext,
) -> None:
    """With a high-water mark of 1 the slow worker holds up two tasks."""
    with (
        context.socket(zmq.PUSH) as ventilator,
        context.socket(zmq.PULL) as idle,
        context.socket(zmq.PULL) as asleep,
    ):
        ventilator.sndhwm = 1
        ventilator.bind("inproc://tasks")
        for worker in (idle, asleep):
            worker.rcvhwm = 1
            worker.connect("inproc://tasks")
        done = 0
        for task in range(100):
            ventilator.send(b"%d" % task)
            while idle.poll(0):
                idle.recv()
                done += 1
        assert done == 98
        _take(asleep, 2)


def test_a_late_worker_gets_nothing(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """The worker who joins a moment late finds that 1000 tasks are gone."""
    with (
        context.socket(zmq.PUSH) as ventilator,
        context.socket(zmq.PULL) as early,
        context.socket(zmq.PULL) as late,
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
        for task in range(2):  # from now on it has its share
            ventilator.send(b"%d" % task)
        assert len(_take(early, 1)) == len(_take(late, 1)) == 1


def test_ready_on_another_socket_is_no_barrier(
    context: zmq.SyncContext,
) -> None:
    """READY on another socket proves nothing: one may still get it all."""
    with (
        context.socket(zmq.PUSH) as ventilator,
        context.socket(zmq.PULL) as readiness,
        wiretap(bind_anywhere(ventilator)) as slow_network,
        ExitStack() as stack,
    ):
        near = ventilator.get_string(zmq.LAST_ENDPOINT)
        results = bind_anywhere(readiness)
        slow_network.open.clear()
        workers = []
        for tasks in (near, slow_network.endpoint):
            worker = stack.enter_context(context.socket(zmq.PULL))
            events = stack.enter_context(watch(worker))
            worker.connect(tasks)
            events.wait_for(zmq.EVENT_CONNECTED)
            report = stack.enter_context(context.socket(zmq.PUSH))
            report.connect(results)
            report.send(b"READY")
            workers.append(worker)
        assert [readiness.recv() for _ in workers] == [b"READY", b"READY"]
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
        context.socket(zmq.PULL) as one,
        context.socket(zmq.PULL) as two,
        context.socket(zmq.PUSH) as ventilator,
    ):
        one.connect(endpoint)
        two.connect(endpoint)
        bind_and_wait(ventilator, endpoint, 2, PATIENCE_S)
        for task in range(1000):
            ventilator.send(b"%d" % task)
        assert len(_take(one, 500)) == len(_take(two, 500)) == 500


def test_a_worker_that_comes_twice_is_counted_twice(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """The barrier counts handshakes: one worker may stand for two."""

    with (
        context.socket(zmq.PUSH) as ventilator,
        context.socket(zmq.PULL) as worker,
    ):
        for _ in range(2):  # as a worker that has restarted
            worker.connect(endpoint)
        bind_and_wait(ventilator, endpoint, 2, PATIENCE_S)
        for task in range(10):
            ventilator.send(b"%d" % task)
        assert sorted(int(worker.recv()) for _ in range(10)) == [*range(10)]


def test_over_inproc_there_is_no_handshake_to_count(
    context: zmq.SyncContext,
) -> None:
    """Over inproc the barrier never opens, though the worker is there."""
    with (
        context.socket(zmq.PUSH) as ventilator,
        context.socket(zmq.PULL) as worker,
    ):
        worker.connect("inproc://tasks")
        with pytest.raises(TimeoutError, match="1 of 1 are missing"):
            bind_and_wait(ventilator, "inproc://tasks", 1, 0.05)
        ventilator.send(b"7")
        assert _take(worker, 1) == [7]


@pytest.mark.parametrize("timeout_s", [0.05, -1.0], ids=["wait", "over"])
def test_the_barrier_gives_up(
    context: zmq.SyncContext, timeout_s: float
) -> None:
    """Waiting for workers that never come ends with an error."""
    began = time.monotonic()
    with (
        context.socket(zmq.PUSH) as ventilator,
        pytest.raises(TimeoutError, match="3 of 3 are missing"),
    ):
        bind_and_wait(ventilator, "tcp://127.0.0.1:*", 3, timeout_s)
    assert time.monotonic() - began >= timeout_s - 0.01


def test_a_busy_worker_keeps_few_tasks_waiting(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """With RCVHWM 1 a busy worker keeps few tasks from the others."""
    context.sndhwm = 1  # so that one who waits for a full sink is busy
    with (
        context.socket(zmq.PUSH) as ventilator,
        context.socket(zmq.PULL) as sink,
    ):
        sink.rcvhwm = 1
        sink.bind("inproc://results")
        ventilator.bind("inproc://tasks")
        in_thread(work, context, "inproc://tasks", "inproc://results")
        ventilator.send(b"0")  # waits for the worker
        dealt = 1
        ventilator.sndtimeo = 300
        with pytest.raises(zmq.Again):
            while dealt < 100:
                ventilator.send(b"%d" % dealt)
                dealt += 1
        assert dealt <= 5  # two in each queue and one in its hands


@pytest.fixture
def pipeline(
    context: zmq.SyncContext, ipc_folder: Path, spawn: Spawn
) -> Iterator[Callable[[int], Pipeline]]:
    """A ventilator with the given high-water mark, a sink, two workers."""
    tasks, results = f"ipc://{ipc_folder}/tasks", f"ipc://{ipc_folder}/done"
    with (
        context.socket(zmq.PUSH) as ventilator,
        context.socket(zmq.PULL) as sink,
    ):

        def begin(mark: int) -> Pipeline:
            sink.bind(results)
            ventilator.sndhwm = mark
            workers = [spawn(work, tasks, results) for _ in range(2)]
            bind_and_wait(ventilator, tasks, 2, PATIENCE_S)
            return Pipeline(ventilator, sink, workers)

        yield begin


@pytest.mark.parametrize(
    ("mark", "least", "most"), [(1000, 50, 50), (1, 1, 25)]
)
def test_a_killed_worker_takes_its_tasks_with_it(
    pipeline: Callable[[int], Pipeline], mark: int, least: int, most: int
) -> None:
    """A killed worker takes its tasks with it; a low HWM makes them few."""
    lost = pipeline(mark).kill_a_worker()
    assert least <= len(lost) <= most  # and nobody was told


def test_what_has_no_result_is_sent_again(
    pipeline: Callable[[int], Pipeline],
) -> None:
    """Ids tell what is lost: send it again, and all the work gets done."""
    line = pipeline(1000)
    missing = line.kill_a_worker()
    assert len(missing) == 50
    deadline = time.monotonic() + PATIENCE_S
    while missing:
        assert time.monotonic() < deadline, missing
        line.deal(missing)  # the first may still go to the dead worker
        missing -= line.done_in_the_end()
