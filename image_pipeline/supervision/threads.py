"""Workers as threads of this process.

They do what the processes do, on inproc endpoints of a shared context.
Pillow's decoders let go of the interpreter lock, so threads are as fast. But
no thread can be killed: one whose file outlives its time is given up and
replaced, and left behind when the run ends.
"""

import threading
import time
from contextlib import suppress

import zmq

from image_pipeline.delivery.handed_in import Make, load
from image_pipeline.delivery.presence import Until
from image_pipeline.delivery.tasks import TaskRunner
from image_pipeline.supervision.supervisor import Supervisor
from image_pipeline.supervision.watched import Exit, Noted, Work, Worker
from image_pipeline.transport.sockets import Context
from image_pipeline.worker import work as run_worker


class Threads(Supervisor):
    """Worker threads, which call `make`, a "module:function"."""

    def __init__(self, count: int, make: str) -> None:
        self._make = load(make)
        super().__init__(count, "thread")

    def _start(self, name: str) -> Worker:
        return _Thread(name, self._make)


class _Thread(Worker):
    def __init__(self, name: str, make: Make) -> None:
        super().__init__(name)
        self._make = make
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._at = Noted()  # one value, as another thread reads it

    def begin(self, context: Context, work: Work) -> None:
        # A daemon, as one that hangs must not keep us here.
        self._thread = threading.Thread(
            target=self._run, args=(context, work), daemon=True
        )
        self._thread.start()

    def _run(self, context: Context, work: Work) -> None:
        runner = TaskRunner(self._make, self.name, self._note)
        endpoints = work.tasks, work.results
        with suppress(zmq.Again):  # there is no sink any more
            run_worker(context, endpoints, runner, Until(self._stop))

    def _note(self, file_id: int, seconds: float) -> None:
        self._at = Noted(file_id, time.monotonic(), seconds)

    def read_note(self) -> Noted:
        return self._at

    def exit(self) -> Exit | None:
        if not self._thread or self._thread.is_alive():
            return None
        return Exit("an error in its thread", failed=True)

    def leave(self) -> None:
        self._stop.set()

    kill = leave  # it can only be asked, and one that hangs never leaves

    def close(self, deadline: float) -> bool:
        if self._thread:
            self._thread.join(max(0, deadline - time.monotonic()))
        return not (self._thread and self._thread.is_alive())
