"""Watches workers: ends those that hang, replaces them, and reports it.

    PUSH connect "results" -> Reports  CRASHED and TIMED_OUT, to the sink

A decoder that crashes, or is killed because it took all the memory, takes
its process with it and nothing else. The worker cannot report this itself:
its message may die with it, before libzmq has put it on the wire. So it notes
its current file where the supervisor, which outlives it, can read it.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Event

import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.clock import Clock
from image_pipeline.outcome import Incomplete
from image_pipeline.supervision.process import allow_files
from image_pipeline.supervision.watched import Exit, Work, Worker
from image_pipeline.transport.curve import Keys
from image_pipeline.transport.sockets import Context, Socket, connected

TICK_MS = 50
STOPPED_S = 5.0  # a process that is stopped (SIGSTOP) for so long is replaced
FAREWELL_S = 2.0  # for an idle worker to end by itself
MAX_FAILED_STARTS = 3  # one after another


class Supervisor(ABC):
    """`count` workers, from now until `close`; call `look` often.

    With `once`, one that leaves in good order is not replaced.
    """

    _sink: Socket

    def __init__(self, count: int, name: str, once: bool = False) -> None:
        allow_files(count)
        self.count = count
        self.alive: list[Worker] = []
        self._name, self._once = name, once
        self.started = self._failed_starts = 0
        self._abandoned: list[Worker] = []
        self._clock = Clock(time.monotonic())
        self._work: Work | None = None  # of those that replace others
        self._leaving_since: float | None = None
        for _ in range(count):
            self._add()

    @abstractmethod
    def _start(self, name: str) -> Worker: ...

    def _add(self) -> None:
        self.started += 1
        worker = self._start(f"{self._name} {self.started}")
        worker.awake = self._clock.at(time.monotonic())
        self.alive.append(worker)
        if self._work:
            worker.begin(self._sink.context, self._work)

    @contextmanager
    def working(
        self,
        context: Context,
        tasks: str,
        results: str,
        keys: Keys | None = None,
    ) -> Iterator[None]:
        """Let the workers connect; meanwhile `look` reports to the sink."""
        with connected(context, zmq.PUSH, results, keys) as self._sink:
            work = Work(tasks, results, keys, self._once)
            for worker in self.alive:
                worker.begin(context, work)
            self._work = replace(work, replaces=True)
            yield

    def serve(self, stop: Event) -> None:
        """Look until all have left, which `stop` asks them to."""
        while self.alive:
            poller = zmq.Poller()
            for worker in self.alive:
                if worker.descriptor >= 0:
                    poller.register(worker.descriptor, zmq.POLLIN)
            poller.poll(TICK_MS)
            self.look()
            if stop.is_set():
                self._leave()

    def _leave(self) -> None:
        """An idle worker that does not leave is killed, a busy one not."""
        now = time.monotonic()
        self._leaving_since = self._leaving_since or now
        for worker in self.alive:
            worker.leave()
            since = max(self._leaving_since, worker.noted_since)
            if not worker.noted.file_id and now - since > FAREWELL_S:
                worker.kill()

    def look(self) -> None:
        """Raises Incomplete when replacing them is hopeless."""
        now = self._clock.at(time.monotonic())
        for worker in list(self.alive):
            ended = worker.exit()  # first: after it there is no new note
            noted = worker.read_note()
            if noted != worker.noted:
                worker.noted, worker.noted_since = noted, now
            if ended:
                self._ended(worker, ended)
            elif noted.file_id and now - worker.noted_since > noted.seconds:
                reason = f"took longer than {noted.seconds:g} s"
                self._replace(worker, pb.STAGE_TIMED_OUT, reason)
            else:
                self._end_if_stopped(worker, now)

    def _ended(self, worker: Worker, ended: Exit) -> None:
        if ended.gives_up:
            raise Incomplete(ended.words)
        never_worked = ended.failed and not worker.noted.began
        self._failed_starts = self._failed_starts + 1 if never_worked else 0
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise Incomplete(
                f"workers end at once, with {ended.cause}: "
                f"{ended.words or 'they say nothing'}"
            )
        self._replace(worker, pb.STAGE_CRASHED, ended.cause)

    def _replace(self, worker: Worker, stage: pb.Stage, reason: str) -> None:
        self.alive.remove(worker)
        worker.kill()
        if not worker.close(time.monotonic()):
            self._abandoned.append(worker)
        if reason:  # else it has said so itself
            report = pb.Report(
                stage=stage,
                id=worker.noted.file_id,
                worker=worker.name,
                reason=reason,
            )
            with suppress(zmq.Again):
                self._sink.send(messages.to_sink(report), zmq.NOBLOCK)
        if (reason or not self._once) and not self._leaving_since:
            self._add()

    def _end_if_stopped(self, worker: Worker, now: float) -> None:
        """Kill a process that is stopped: it would hold its file for ever.

        Not at once: after Ctrl-Z and `fg` we may be awake before it is.
        """
        if not worker.is_stopped():
            worker.awake = now
        elif now - worker.awake > STOPPED_S:
            worker.kill()

    def close(self) -> bool:
        """End them all; tell whether they did.

        They are killed where that is possible: they hold nothing that
        anybody awaits.
        """
        workers = self.alive + self._abandoned
        for worker in workers:
            worker.kill()
        deadline = time.monotonic() + FAREWELL_S
        self.alive, self._abandoned = [], []
        self._abandoned = [
            worker for worker in workers if not worker.close(deadline)
        ]
        return not self._abandoned
