"""One batch on its way: what to send next, and what comes back.

The ledger says what is next; files are read at the moment they are sent and
never kept.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from types import TracebackType
from typing import Self

import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.clock import Clock
from image_pipeline.delivery.ledger import Ledger
from image_pipeline.delivery.presence import Attendance
from image_pipeline.delivery.receipts import Receipts
from image_pipeline.delivery.roll import Departure, Roll
from image_pipeline.delivery.sockets import VentilatorSockets
from image_pipeline.outcome import FileRecord
from image_pipeline.status import Incomplete, Status
from image_pipeline.storage.source import Changed, Files, Unreadable
from image_pipeline.transport.sockets import SMALL_BUFFER

TICK_MS = 100
PLAN_FILES = 128  # in one message
TOGETHER_BYTES = SMALL_BUFFER  # a message as big as this hides nowhere
BURST = 64  # messages taken before something is sent again
DRAIN_S = 10.0  # for what is in flight, after an interruption


class Batch:
    """One batch on its way through the sockets of a ventilator."""

    def __init__(
        self,
        ends: VentilatorSockets,
        files: Files,
        stop: Event,
        record: Callable[[FileRecord], None],
        watch: Callable[[Status], None],
        reap: Callable[[], list[Departure]],
    ) -> None:
        self._ends = ends
        self._files = files
        self._stop = stop
        self._watch = watch
        self._reap = reap
        self._number = messages.new_batch()
        self._ledger = Ledger(
            len(files.names),
            files.timeout,
        )
        self._roll = Roll()
        self._clock = Clock(time.monotonic())
        self._status = Status(len(files.names))
        self._loaded: list[tuple[int, bytes]] = []
        self._task = pb.Task(
            recipe=messages.recipe_to_wire(files.recipe),
            timeout_ms=max(1, round(files.timeout * 1000)),
        )
        self._attendance = Attendance(
            ends, self._roll, files.timeout, self._now
        )
        self._receipts = Receipts(
            self._number,
            files,
            ledger=self._ledger,
            roll=self._roll,
            attendance=self._attendance,
            status=self._status,
            record=record,
            now=self._now,
        )
        self._sinks = ends.sink.ever
        self._lost = ends.workers.lost
        self._looked = self._now()
        self._poller = zmq.Poller()
        for socket in (
            ends.receipts,
            ends.workers.monitor,
            ends.sink.monitor,
        ):
            self._poller.register(socket, zmq.POLLIN)

    def _now(self) -> float:
        return self._clock.at(time.monotonic())

    # -- the start -------------------------------------------------------

    def wait_for(self, workers: int) -> None:
        """Wait, within patience, until so many workers are connected."""
        deadline = self._now() + self._ends.patience
        while self._attendance.workers < workers and not self._stop.is_set():
            if self._now() >= deadline:
                break
            self.listen()
        if not self._stop.is_set():
            self._status.note = self._attendance.start(workers)

    # -- what goes out ---------------------------------------------------

    @property
    def done(self) -> bool:
        return self._ledger.done

    def plans(self) -> Iterator[bytes]:
        """Tell the sink which files come next, while it takes in more."""
        while self._ends.plans.poll(0, zmq.POLLOUT):
            numbers = self._ledger.announce(PLAN_FILES, self._now())
            if not numbers:
                return
            plan = self._new_plan()
            for number in numbers:
                with self._settling(number):
                    size, mtime_ns = self._files.measure(number)
                    plan.files.add(
                        id=messages.id_of(self._number, number),
                        name=self._files.name(number),
                        size=size,
                        mtime_ns=mtime_ns,
                    )
            yield pb.ToSink(plan=plan).SerializeToString()

    def _new_plan(self) -> pb.Plan:
        return pb.Plan(
            batch=self._number,
            recipe=self._task.recipe,
            force=self._files.force,
        )

    def _tell(self, plan: pb.Plan) -> None:
        message = pb.ToSink(plan=plan).SerializeToString()
        with suppress(zmq.Again):  # then it is planned again when overdue
            self._ends.plans.send(message, zmq.NOBLOCK)

    def next_task(self) -> list[bytes]:
        """Return header and images; the same again until it is `sent`."""
        self._loaded = self._loaded or self._load()
        if not self._loaded:
            return []
        self._task.ids[:] = [
            messages.id_of(self._number, number) for number, _ in self._loaded
        ]
        images = [image for _, image in self._loaded]
        return [self._task.SerializeToString(), *images]

    def sent(self) -> None:
        now = self._now()
        for number, image in self._loaded:
            self._ledger.sent(number, len(image), now)
        self._loaded = []

    def _load(self) -> list[tuple[int, bytes]]:
        """Read the next file, and more if they are small."""
        loaded: list[tuple[int, bytes]] = []
        most, size = 1, 0
        while len(loaded) < most and size < TOGETHER_BYTES:
            number = self._ledger.take(len(loaded))
            if not number:
                break
            if not loaded:
                most = self._ledger.share(number)
            with self._settling(number):
                try:
                    image = self._files.read(number)
                except Changed:  # as if it had been sent, and lost
                    self._files.measure(number)
                    self._ledger.sent(number, 0, self._now())
                    continue
                loaded.append((number, image))
                size += len(image)
        return loaded

    @contextmanager
    def _settling(self, number: int) -> Iterator[None]:
        """A file that turns out to be unreadable has its outcome."""
        try:
            yield
        except Unreadable as error:
            self._receipts.close(number, error.outcome, str(error))

    # -- what comes back -------------------------------------------------

    def listen(self) -> None:
        """Wait for news, at most a tick, and act on it."""
        if self._loaded:
            self._poller.register(self._ends.tasks, zmq.POLLOUT)
        ready = dict(self._poller.poll(TICK_MS))
        if self._loaded:
            self._poller.unregister(self._ends.tasks)
        if self._ends.receipts in ready:
            self._hear()
        now = self._now()
        news = ready.keys() - {self._ends.receipts, self._ends.tasks}
        if news or now - self._looked >= TICK_MS / 1000:
            self._looked = now
            self._look(now)

    def _hear(self) -> None:
        with suppress(zmq.Again):
            for _ in range(BURST):
                frame = self._ends.receipts.recv(zmq.NOBLOCK, copy=False)
                if not self._ends.is_sink(frame):
                    continue
                with suppress(messages.Malformed):
                    for report in messages.read_receipts(frame.bytes):
                        self._receipts.take(report)

    # -- trouble ---------------------------------------------------------

    def _look(self, now: float) -> None:
        """See who is there, who was lost, and what takes too long."""
        ends = self._ends
        ends.workers.look()
        ends.sink.look()
        self._ledger.workers = self._attendance.workers
        failures = self._ledger.expire(now)
        for gone in self._reap():
            self._roll.left.add(gone.worker)
            self._roll.present.discard(gone.worker)
            self._status.workers.pop(gone.worker, None)
            self._ledger.worker_gone(gone.worker)
            at = messages.number_of(self._number, gone.image)
            if at and gone.timed_out and not self._clock.just_woke:
                failures += self._ledger.give_up(
                    at, f"took longer than {self._files.timeout:g} s", now
                )
            elif at and gone.cause:
                failures += self._ledger.crashed(at, gone.cause, now)
        if ends.workers.lost > self._lost:
            self._lost = ends.workers.lost
            self._ledger.somebody_gone(now)
            self._status.workers.clear()  # those who live are heard again
        if failures:
            self._receipts.give_up(failures)
            plan = self._new_plan()
            plan.withdrawn.extend(
                messages.id_of(self._number, failure.number)
                for failure in failures
            )
            self._tell(plan)
        if ends.sink.ever > self._sinks:
            if self._sinks:
                self._ledger.sink_replaced()
                self._loaded = []
            self._sinks = ends.sink.ever
        self._attendance.check(now)
        self._status.now = now
        self._watch(self._status)

    # -- the end ---------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write down what is unfinished, and tell the sink that we go."""
        try:
            if not error:
                self._drain()
        finally:
            why = str(error) if kind is Incomplete else "interrupted"
            self._receipts.end(why)
            plan = self._new_plan()
            plan.last = True
            self._tell(plan)
            self._watch(self._status)

    def _drain(self) -> None:
        """Wait for what is in flight when nothing more is sent."""
        self._loaded = []
        deadline = self._now() + DRAIN_S
        while self._ledger.in_flight and self._now() < deadline:
            self.listen()
