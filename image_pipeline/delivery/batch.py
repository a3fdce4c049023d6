"""One batch in progress: what to send next, and what has come back.

The ledger says what is next; files are read at the moment they are sent and
never kept. No socket is read or written here, except for the last word.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from threading import Event

import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.clock import Clock
from image_pipeline.delivery.handed_in import Source
from image_pipeline.delivery.ledger import Ledger
from image_pipeline.delivery.presence import PATIENCE_S, BatchPresence
from image_pipeline.delivery.receipts import Receipts
from image_pipeline.outcome import (
    Changed,
    FileRecord,
    Incomplete,
    Status,
    Unreadable,
)
from image_pipeline.transport.curve import Keys
from image_pipeline.transport.sockets import SHORT_BUFFER, Socket

TICK_MS = 100
START_TICK_MS = 10  # no message wakes us when a worker connects
PLAN_FILES = 128  # in one message
TOGETHER_BYTES = SHORT_BUFFER  # so many wait in no buffer unseen
DRAIN_S = 10.0  # for what is in flight, after an interruption


class Batch:
    """The files of `source`, until each one has its outcome.

    `record` hears each outcome once, `watch` ten times a second how far it
    is. It starts when so many `workers` are connected, or after `patience`
    seconds with fewer, and ends early when `stop` is set.
    """

    def __init__(
        self,
        source: Source,
        *,
        stop: Event,
        record: Callable[[FileRecord], None],
        watch: Callable[[Status], None] = lambda _: None,
        workers: int = 1,
        patience: float = PATIENCE_S,
        keys: Keys | None = None,
    ) -> None:
        self._source, self._stop, self._watch = source, stop, watch
        self._workers, self._patience = workers, patience
        self._keys = keys
        self._number = messages.new_batch()
        self._clock = Clock(time.monotonic())
        self._status = Status(len(source.names))
        self._ledger = Ledger(len(source.names), source.timeout)
        self._receipts = Receipts(
            self._number, source, self._ledger, self._status, record
        )
        self._task = pb.Task(
            recipe=source.instructions,
            timeout_ms=max(1, round(source.timeout * 1000)),
        )
        self._loaded: list[tuple[int, bytes]] = []
        self._looked = -inf
        self._drained: float | None = None  # when to wait no longer

    def _now(self) -> float:
        return self._clock.at(time.monotonic())

    @contextmanager
    def begin(self, tasks: Socket, plans: Socket) -> Iterator[None]:
        """Watch both peers; at the end tell the sink that it is over."""
        self._tasks, self._plans = tasks.peers, plans.peers
        self._sinks = self._disconnects = 0
        self._presence = BatchPresence(
            tasks,
            plans,
            self._workers,
            self._patience,
            self._source.timeout,
            self._now(),
        )
        why = "interrupted"
        try:
            yield
        except Incomplete as error:
            why = str(error)
            raise
        finally:
            self._receipts.end(why)
            last = self._plan()
            last.last = True
            last.withdrawn.extend(self._receipts.withdrawn)
            with suppress(zmq.Again):
                plans.send(_to_sink(last), zmq.NOBLOCK)
            self._watch(self._status)

    @property
    def tick_ms(self) -> int:
        return TICK_MS if self._presence.started else START_TICK_MS

    @property
    def over(self) -> bool:
        """All files are done; or it was stopped, and none is in flight."""
        if self._ledger.done or not self._stop.is_set():
            return self._ledger.done
        now = self._now()
        self._drained = self._drained or now + DRAIN_S
        return not self._ledger.in_flight or now > self._drained

    # -- what goes out ---------------------------------------------------

    def next_plan(self) -> bytes:
        """Tell the sink which files come next; empty when it knows."""
        withdrawn = self._receipts.withdrawn
        numbers = []
        if not self._stop.is_set():
            numbers = self._ledger.announce(PLAN_FILES, self._now())
        if not (numbers or withdrawn):
            return b""
        plan = self._plan()
        plan.withdrawn.extend(withdrawn)
        withdrawn.clear()
        for number in numbers:
            with self._settling(number):
                size, mtime_ns, mode = self._source.measure(number)
                plan.files.add(
                    id=messages.id_of(self._number, number),
                    name=self._source.names[number - 1],
                    size=size,
                    mtime_ns=mtime_ns,
                    mode=mode,
                )
        return _to_sink(plan)

    def _plan(self) -> pb.Plan:
        return pb.Plan(
            batch=self._number,
            recipe=self._task.recipe,
            force=self._source.force,
        )

    def next_task(self) -> list[bytes]:
        """Return header and files; the same again until it is `sent`.

        Empty before enough workers have come, and when all are busy.
        """
        if self._stop.is_set() or not self._presence.started:
            return []
        self._loaded = self._loaded or self._load()
        if not self._loaded:
            return []
        self._task.ids[:] = [
            messages.id_of(self._number, number) for number, _ in self._loaded
        ]
        files = [data for _, data in self._loaded]
        return [self._task.SerializeToString(), *files]

    def sent(self) -> None:
        now = self._now()
        for number, data in self._loaded:
            self._ledger.sent(number, len(data), now)
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
                    data = self._source.read(number)
                except Changed:  # as if it had been sent, and lost
                    self._source.measure(number)
                    self._ledger.sent(number, 0, self._now())
                    continue
                loaded.append((number, data))
                size += len(data)
        return loaded

    @contextmanager
    def _settling(self, number: int) -> Iterator[None]:
        """Give a file that turns out to be unreadable its outcome."""
        try:
            yield
        except Unreadable as error:
            now = self._now()
            self._receipts.close(number, error.outcome, str(error), now)
            file_id = messages.id_of(self._number, number)
            self._receipts.withdrawn.append(file_id)

    # -- what comes back -------------------------------------------------

    def take(self, frame: zmq.Frame) -> None:
        """Act on a message of receipts, if it is the sink's."""
        if self._keys and not self._keys.is_server(frame):
            return
        now = self._now()
        # First: a supervisor may report the same death, and it is one loss.
        self._tasks.look()
        self._check_losses(now)
        with suppress(messages.Malformed):
            for report in messages.read_receipts(frame.bytes):
                self._receipts.take(report, self._presence, now)

    def look(self) -> None:
        """Check, once a tick, the peers, the losses and the leases.

        Before the start at every message: the one that has come may be from
        the last worker that was missing. Raises Incomplete when a peer is
        missing for too long.
        """
        now = self._now()
        if self._presence.started and now - self._looked < TICK_MS / 1000:
            return
        self._looked = now
        self._presence.check(now)
        self._ledger.workers = self._presence.workers
        self._receipts.fail(self._ledger.expire(now))
        self._check_losses(now)
        if self._plans.handshakes > self._sinks:
            if self._sinks:
                self._ledger.sink_replaced()
                self._loaded = []
            self._sinks = self._plans.handshakes
        self._status.now, self._status.note = now, self._presence.note
        self._watch(self._status)

    def _check_losses(self, now: float) -> None:
        if self._tasks.disconnects > self._disconnects:
            self._disconnects = self._tasks.disconnects
            self._ledger.somebody_gone(now)
            self._status.workers.clear()  # those who live are heard again


def _to_sink(plan: pb.Plan) -> bytes:
    return pb.ToSink(plan=plan).SerializeToString()
