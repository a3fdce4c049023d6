"""The workers of one run as threads of this process.

They do the same as the processes of `crew`, on inproc endpoints of a shared
context. Pillow's decoders let go of the interpreter lock, so threads are as
fast. But no thread can be killed: one whose image outlives its time is given
up and replaced, and left behind when the run ends.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import zmq

from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.roll import Departure
from image_pipeline.delivery.tasks import Make, TaskSockets
from image_pipeline.imaging.thumbnail import make_thumbnails, prepare
from image_pipeline.supervision.processes import allow_files
from image_pipeline.worker import work

FAREWELL_S = 2.0  # for a worker to end by itself


@dataclass(slots=True)
class _Thread:
    name: str
    leave: threading.Event = field(default_factory=threading.Event)
    # The id of the image that it is at, and until when it may be. One value,
    # as another thread reads it.
    busy: tuple[int, float] | None = None
    _next: int = 0

    def note(self, report: pb.Report) -> None:
        self._next = report.id

    @contextmanager
    def alarm(self, seconds: float) -> Iterator[None]:
        self.busy = self._next, time.monotonic() + seconds
        try:
            yield
        finally:
            self.busy = None


class Threads:
    """`count` worker threads in this process, on the same context."""

    def __init__(self, count: int, make: Make = make_thumbnails) -> None:
        allow_files(count)
        self.count = count
        self._make = make
        self._alive: list[_Thread] = []
        self._started: list[threading.Thread] = []
        prepare()

    def work(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        tasks: str,
        results: str,
    ) -> None:
        """Let them begin."""
        self._context, self._tasks, self._results = context, tasks, results
        for _ in range(self.count):
            self._start()

    def _start(self) -> None:
        mine = _Thread(f"thread {len(self._started) + 1}")
        thread = threading.Thread(
            target=self._work,
            args=(mine,),
            daemon=True,  # one that hangs must not keep us here
        )
        self._alive.append(mine)
        self._started.append(thread)
        thread.start()

    def _work(self, mine: _Thread) -> None:
        with TaskSockets(
            self._context, self._tasks, self._results, stop=mine.leave
        ) as ends:
            work(
                self._make, ends, mine.name, alarm=mine.alarm, watch=mine.note
            )

    def reap(self) -> list[Departure]:
        """Return whose image has outlived its time, and replace them.

        Should such a thread come back, it leaves in good order.
        """
        gone = []
        now = time.monotonic()
        for thread in list(self._alive):
            busy = thread.busy
            if busy and now > busy[1]:
                self._alive.remove(thread)
                thread.leave.set()
                gone.append(Departure(thread.name, "hangs", True, busy[0]))
                self._start()
        return gone

    def close(self) -> bool:
        """Ask them all to end; tell whether they did."""
        for each in self._alive:
            each.leave.set()
        deadline = time.monotonic() + FAREWELL_S
        for thread in self._started:
            thread.join(max(0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._started)
