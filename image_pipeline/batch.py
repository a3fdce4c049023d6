"""One batch on its way: what the ventilator does with its sockets.

The loop is always the same: tell the sink what comes next, send what it
wants while there is room, listen. The ledger says what is next; files are
read at the moment they are sent and never kept.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event

import zmq

from image_pipeline import wire
from image_pipeline.files import Changed, Files, Unreadable
from image_pipeline.ledger import TIMEOUT_GRACE_S, Ledger
from image_pipeline.links import SMALL_BUFFER
from image_pipeline.names import output_names
from image_pipeline.outcomes import FileRecord, Outcome
from image_pipeline.roll import Departure, Roll
from image_pipeline.ventilator import Ventilator
from proto import messages_pb2 as pb

TICK_MS = 100
PLAN_FILES = 128  # in one message
TOGETHER_BYTES = SMALL_BUFFER  # a message as big as this hides nowhere
BURST = 64  # messages taken before something is sent again
DRAIN_S = 10.0  # for what is in flight, after an interruption
_OUTCOMES = {
    pb.STAGE_MADE: Outcome.MADE,
    pb.STAGE_CURRENT: Outcome.CURRENT,
    pb.STAGE_FAILED: Outcome.FAILED,
}


class Incomplete(Exception):
    """The batch cannot be finished; the text says why."""


@dataclass(slots=True)
class Status:
    """What there is to see of a batch in progress."""

    total: int
    # At which file each worker is, and since when.
    workers: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    note: str = ""


def deliver(
    ventilator: Ventilator,
    files: Files,
    *,
    workers: int,
    stop: Event,
    record: Callable[[FileRecord], None],
    watch: Callable[[Status], None] = lambda _: None,
    reap: Callable[[], list[Departure]] = list,
) -> None:
    """Bring every file to its outcome; `record` hears each one once.

    Starts when `workers` workers are connected. Raises Incomplete when the
    batch cannot be finished. Also then, and when `stop` is set, every file
    has been recorded, as unfinished if need be. About ten times a second it
    calls `watch`, and asks `reap` which workers have died.
    """
    batch = _Batch(ventilator, files, stop, record, watch, reap)
    why = "interrupted"
    try:
        batch.wait_for(workers)
        batch.deliver()
    except Incomplete as error:
        why = str(error)
        raise
    finally:
        batch.end(why)


class _Batch:
    """One batch on its way through the sockets of a ventilator."""

    def __init__(
        self,
        ends: Ventilator,
        files: Files,
        stop: Event,
        record: Callable[[FileRecord], None],
        watch: Callable[[Status], None],
        reap: Callable[[], list[Departure]],
    ) -> None:
        self._ends = ends
        self._files = files
        self._stop = stop
        self._record = record
        self._watch = watch
        self._reap = reap
        self._number = wire.new_batch()
        self._ledger = Ledger(
            len(files.names),
            files.timeout,
            backups=not _is_inproc(ends.tasks_endpoint),
        )
        self._roll = Roll()
        self._status = Status(len(files.names))
        self._loaded: list[tuple[int, bytes]] = []
        self._task = pb.Task(
            recipe=wire.recipe_to_wire(files.recipe),
            timeout_ms=max(1, round(files.timeout * 1000)),
        )
        self._started = False
        self._sinks = ends.sink.ever
        now = time.monotonic()
        self._heard = self._looked = self._absent_since = now
        self._poller = zmq.Poller()
        for socket in (
            ends.receipts,
            ends.workers.monitor,
            ends.sink.monitor,
        ):
            self._poller.register(socket, zmq.POLLIN)

    # -- the start -------------------------------------------------------

    def wait_for(self, workers: int) -> None:
        """Wait, within patience, until so many workers are connected."""
        deadline = time.monotonic() + self._ends.patience
        while self._present() < workers and not self._stop.is_set():
            if time.monotonic() >= deadline:
                came = self._present()
                if not came:
                    raise Incomplete(self._nobody())
                self._status.note = (
                    f"started with {came} of {workers} workers"
                )
                break
            self._listen()
        self._started = True
        self._absent_since = time.monotonic()

    def _present(self) -> int:
        if _is_inproc(self._ends.tasks_endpoint):
            return len(self._roll.present)
        return self._ends.workers.connected

    def _nobody(self) -> str:
        refusal = self._ends.workers.refusal
        why = f"; one was refused: {refusal}" if refusal else ""
        return (
            f"no worker at {self._ends.tasks_endpoint} for "
            f"{self._ends.patience:g} s{why}"
        )

    # -- the batch -------------------------------------------------------

    def deliver(self) -> None:
        """Send until every file is closed, or until `stop` is set."""
        while not self._ledger.done and not self._stop.is_set():
            self._plan()
            self._send()
            self._listen()
        deadline = time.monotonic() + DRAIN_S
        while self._ledger.flying and time.monotonic() < deadline:
            self._listen()

    def _plan(self) -> None:
        """Tell the sink which files come next."""
        while self._ends.plans.poll(0, zmq.POLLOUT):
            numbers = self._ledger.plan(PLAN_FILES, time.monotonic())
            if not numbers:
                return
            plan = self._new_plan()
            for number in numbers:
                with self._settling(number):
                    size, mtime_ns = self._files.measure(number)
                    plan.files.add(
                        id=wire.id_of(self._number, number),
                        name=self._files.name(number),
                        size=size,
                        mtime_ns=mtime_ns,
                    )
            self._tell(plan)

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

    def _send(self) -> None:
        """Send images until the window or the sockets are full."""
        while loaded := self._loaded or self._load():
            self._loaded = loaded
            self._task.ids[:] = [
                wire.id_of(self._number, number) for number, _ in loaded
            ]
            images = [image for _, image in loaded]
            try:
                self._ends.tasks.send_multipart(
                    [self._task.SerializeToString(), *images],
                    zmq.NOBLOCK,
                    copy=False,
                )
            except zmq.Again:
                return
            now, alone = time.monotonic(), len(loaded) == 1
            for number, image in loaded:
                self._ledger.sent(number, len(image), now, alone)
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
                most = self._ledger.together(number)
            with self._settling(number):
                try:
                    image = self._files.read(number)
                except Changed:
                    self._ledger.changed(number)
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
            self._close(number, error.outcome, str(error))

    # -- what comes back -------------------------------------------------

    def _listen(self) -> None:
        """Wait for news, at most a tick, and act on it."""
        if self._loaded:
            self._poller.register(self._ends.tasks, zmq.POLLOUT)
        ready = dict(self._poller.poll(TICK_MS))
        if self._loaded:
            self._poller.unregister(self._ends.tasks)
        if self._ends.receipts in ready:
            self._hear()
        now = time.monotonic()
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
                with suppress(wire.Malformed):
                    for report in wire.read_receipts(frame.bytes):
                        self._take(report)

    def _take(self, report: pb.Report) -> None:
        now = self._heard = time.monotonic()
        match report.stage:
            case pb.STAGE_READY:
                self._roll.come(report.worker)
            case pb.STAGE_LEAVING:
                self._roll.go(Departure(report.worker), now)
            case pb.STAGE_BROKEN:
                if report.id == wire.id_of(self._number, 0):
                    raise Incomplete(report.reason)
            case _:
                number = wire.number_of(self._number, report.id)
                if number and number <= self._status.total:
                    self._take_of_file(number, report, now)

    def _take_of_file(
        self, number: int, report: pb.Report, now: float
    ) -> None:
        worker = report.worker
        match report.stage:
            case pb.STAGE_WANTED:
                self._ledger.wanted(number)
            case pb.STAGE_STARTED:
                self._ledger.started(number, worker, now)
                self._status.workers[worker] = self._files.name(number), now
            case pb.STAGE_NOT_AN_IMAGE:
                how = self._files.no_image(number, report.reason)
                self._close(number, how.outcome, str(how), report)
            case stage:
                reason = report.reason or "; ".join(report.notes)
                self._close(number, _OUTCOMES[stage], reason, report)

    def _close(
        self,
        number: int,
        outcome: Outcome,
        reason: str,
        report: pb.Report | None = None,
    ) -> None:
        now = time.monotonic()
        report = report or pb.Report()
        if report.worker in self._status.workers:
            self._status.workers[report.worker] = b"", now
        if entry := self._ledger.close(number, now):
            self._write_down(number, outcome, reason, report, entry.sends)

    def _write_down(
        self,
        number: int,
        outcome: Outcome,
        reason: str,
        report: pb.Report,
        attempts: int,
    ) -> None:
        name, recipe = self._files.name(number), self._files.recipe
        has_outputs = outcome in (Outcome.MADE, Outcome.CURRENT)
        self._record(
            FileRecord(
                source=name,
                outcome=outcome,
                reason=reason,
                outputs=output_names(name, recipe) if has_outputs else (),
                bytes=self._files.size(number),
                width=report.width,
                height=report.height,
                seconds=report.seconds,
                worker=report.worker,
                attempts=attempts,
            )
        )
        self._files.forget(number)

    # -- trouble ---------------------------------------------------------

    def _look(self, now: float) -> None:
        """See who is there, who was lost, and what takes too long."""
        ends = self._ends
        ends.workers.look()
        ends.sink.look()
        self._ledger.workers = self._present()
        for departure in self._reap():
            self._roll.go(departure, now)
        failures = self._ledger.overdue(now)
        for gone in self._roll.due(ends.workers.lost, now):
            if gone.worker:
                self._status.workers.pop(gone.worker, None)
            else:  # those who live are heard of again soon
                self._status.workers.clear()
            at = wire.number_of(self._number, gone.image)
            failures += self._ledger.lost(gone, now, at)
        for failure in failures:
            self._write_down(
                failure.number,
                Outcome.FAILED,
                failure.reason,
                pb.Report(worker=failure.worker),
                failure.sends,
            )
        if failures:
            plan = self._new_plan()
            plan.withdrawn.extend(
                wire.id_of(self._number, failure.number)
                for failure in failures
            )
            self._tell(plan)
        if ends.sink.ever > self._sinks:
            if self._sinks:
                self._ledger.sink_lost()
                self._loaded = []
            self._sinks = ends.sink.ever
        self._lose_patience(now)
        self._watch(self._status)

    def _lose_patience(self, now: float) -> None:
        """Raise Incomplete when somebody is missing for too long."""
        ends, patience = self._ends, self._ends.patience
        if why := ends.sink.refusal:
            raise Incomplete(f"the sink refuses us: {why}")
        if self._present():
            self._absent_since = now
        elif self._started and now - self._absent_since > patience:
            raise Incomplete(self._nobody())
        silence = now - self._heard
        missing = not ends.sink.connected and not _is_inproc(
            ends.results_endpoint
        )
        if missing and silence > patience:
            raise Incomplete(
                f"no sink at {ends.results_endpoint} for {patience:g} s"
            )
        if silence > self._files.timeout + TIMEOUT_GRACE_S + patience:
            raise Incomplete(f"nothing was heard for {silence:.0f} s")

    # -- the end ---------------------------------------------------------

    def end(self, why: str) -> None:
        """Write down what is unfinished, and tell the sink that we go."""
        for number in self._ledger.unfinished():
            self._write_down(number, Outcome.UNFINISHED, why, pb.Report(), 0)
        plan = self._new_plan()
        plan.last = True
        self._tell(plan)
        self._watch(self._status)


def _is_inproc(endpoint: str) -> bool:
    return endpoint.startswith("inproc:")
