"""The workers of one run as threads of this process.

They do the same as the processes of `crew`, on inproc endpoints of a shared
context. Pillow's decoders let go of the interpreter lock, so threads are as
fast. But no thread can be killed: an image that never ends is given up by
the ventilator, and its thread is left behind when the run ends.
"""

import threading
import time

import zmq

from image_pipeline.pixels import make_thumbnails, prepare
from image_pipeline.roll import Departure
from image_pipeline.worker import Make, work

FAREWELL_S = 2.0  # for a worker to end by itself


class Threads:
    """`count` worker threads in this process, on the same context."""

    def __init__(self, count: int, make: Make = make_thumbnails) -> None:
        self.count = count
        self._make = make
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        prepare()

    def work(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        tasks: str,
        results: str,
    ) -> None:
        """Let them begin."""
        for number in range(1, self.count + 1):
            thread = threading.Thread(
                target=work,
                args=(self._make,),
                kwargs={
                    "context": context,
                    "tasks": tasks,
                    "results": results,
                    "name": f"thread {number}",
                    "stop": self._over,
                },
                daemon=True,  # one that hangs must not keep us here
            )
            self._threads.append(thread)
            thread.start()

    def reap(self) -> list[Departure]:
        return []

    def close(self) -> bool:
        """Ask them all to end; tell whether they did."""
        self._over.set()
        deadline = time.monotonic() + FAREWELL_S
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)
