"""One run of the image pipeline as a show: events out, commands in.

    python -m slides.live.pipeline tcp|inproc [COUNT]

Beside what every show tells (see play.py):

    begin    transport
    sent     number, again     the ventilator has read it, for its PUSH
    started  number, worker    the worker's own report of it
    made     number, worker, again    its receipt is there
    kill     worker, pid       SIGKILL was sent
    refused  worker, why

It watches the run where it is handed things in: the source is asked for a
file each time that one is sent, and `watch` and `record` hear the rest.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any

from image_pipeline import messages_pb2 as pb
from image_pipeline.demo.photographs import photograph
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.wire import encode
from image_pipeline.outcome import (
    FileRecord,
    Incomplete,
    Outcome,
    Status,
    Unreadable,
)
from image_pipeline.run import run
from image_pipeline.supervision.processes import Processes
from image_pipeline.supervision.threads import Threads
from image_pipeline.transport.endpoints import Transport
from slides.live.play import Play

COUNT = 45
WORKERS = 3
MAKE = "slides.live.paced:make"


@dataclass
class OnePhotograph:
    """A source whose files are all the same one; it counts what is read."""

    count: int
    tell: Callable[..., None]
    timeout: float = 30.0
    force: bool = True
    instructions: bytes = encode(Recipe())
    data: bytes = field(default_factory=partial(photograph, 1))
    reads: Counter[int] = field(default_factory=Counter)

    @property
    def names(self) -> Sequence[bytes]:
        return [b"%d" % number for number in range(1, self.count + 1)]

    def measure(self, number: int) -> tuple[int, int, int]:  # noqa: ARG002
        return len(self.data), 1, 0

    def read(self, number: int) -> bytes:
        self.reads[number] += 1
        self.tell("sent", number=number, again=self.reads[number] > 1)
        return self.data

    def unfit(self, number: int, reason: str) -> Unreadable:  # noqa: ARG002
        return Unreadable(Outcome.FAILED, reason)

    def final(
        self, number: int, outcome: Outcome, reason: str, **made: Any
    ) -> FileRecord:
        return FileRecord(self.names[number - 1], outcome, reason, **made)


class Nowhere:
    """A store that keeps nothing: the show is about the way there."""

    def begin(self, instructions: bytes) -> None: ...

    def is_current(self, file: pb.SourceFile) -> bool:  # noqa: ARG002
        return False

    def keep(self, file: pb.SourceFile, results: list[bytes]) -> None: ...

    def discard(self, file: pb.SourceFile) -> None: ...


class PipelineShow(Play):
    """A run, and everything about it that is told."""

    def __init__(self, transport: Transport, count: int) -> None:
        super().__init__()
        self._transport, self._count = transport, count
        self._workers: Processes | Threads | None = None
        self._crew: dict[str, int] = {}
        self._told: set[tuple[int, str]] = set()  # started, by whom
        self._made: list[bool] = []  # of each file: whether sent again

    def play(self) -> None:
        self.tell("begin", total=self._count, transport=self._transport.value)
        source = OnePhotograph(self._count, self.tell)
        inproc = self._transport is Transport.INPROC
        self._workers = (Threads if inproc else Processes)(WORKERS, MAKE)
        with closing(self._workers), suppress(Incomplete):
            run(
                source,
                Nowhere(),
                self._workers,
                self._transport,
                stop=Event(),
                record=self._record,
                watch=self._watch,
            )
        counts = {"made": len(self._made), "again": sum(self._made)}
        self.tell("over", **counts, lost=self._count - len(self._made))

    def click(self, verb: str, name: str) -> None:
        if verb != "kill" or name not in self._crew:
            return
        if not isinstance(self._workers, Processes):
            why = "a thread cannot be killed"
            self.tell("refused", worker=name, why=why)
        elif pid := self._workers.pids.get(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.tell("kill", worker=name, pid=pid)

    def end(self) -> None:
        if isinstance(self._workers, Processes):
            for pid in self._workers.pids.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _watch(self, status: Status) -> None:
        workers = self._workers
        if isinstance(workers, Processes):
            crew = workers.pids
        else:
            crew = {each.name: 0 for each in workers.alive} if workers else {}
        if crew != self._crew and crew:
            self._crew = crew
            self.tell("crew", workers=crew)
        for worker, (name, _) in status.workers.items():
            if name:
                self._started(int(name), worker)

    def _started(self, number: int, worker: str) -> None:
        if (number, worker) not in self._told:
            self._told.add((number, worker))
            self.tell("started", number=number, worker=worker)

    def _record(self, record: FileRecord) -> None:
        if record.outcome is Outcome.MADE:
            number, again = int(record.source), record.attempts > 1
            self._made.append(again)
            self._started(number, record.worker)  # no tick has seen it
            more = {"worker": record.worker, "again": again}
            self.tell("made", number=number, **more)


if __name__ == "__main__":
    PipelineShow(
        Transport(sys.argv[1]),
        int(sys.argv[2]) if len(sys.argv) > 2 else COUNT,
    ).run()
