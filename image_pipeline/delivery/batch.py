"""One batch in progress: what to send next, and what has come back.

The ledger says what is next; files are read at the moment they are sent and
never kept. No socket is read or written here, except for the last word.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass
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


@dataclass
class Batch:
    """The files of `source`, until each one has its outcome.

    `record` hears each outcome once, `watch` ten times a second how far it
    is. It starts when so many `workers` are connected, or after `patience`
    seconds with fewer, and ends early when `stop` is set.
    """

    source: Source
    _: KW_ONLY
    stop: Event
    record: Callable[[FileRecord], None]
    watch: Callable[[Status], None] = lambda _: None
    workers: int = 1
    patience: float = PATIENCE_S
    keys: Keys | None = None

    def __post_init__(self) -> None:
        self._number = messages.new_batch()
        self._clock = Clock(time.monotonic())
        self._status = Status(len(self.source.names))
        self._ledger = Ledger(self._status.total, self.source.timeout)
        self._task = pb.Task(
            recipe=self.source.instructions,
            timeout_ms=max(1, round(self.source.timeout * 1000)),
        )
        self._loaded: dict[int, bytes] = {}
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
            self.workers,
            self.patience,
            self.source.timeout,
            self._now(),
        )
        self._receipts = Receipts(
            self._number,
            self.source,
            self._ledger,
            self._status,
            self._presence,
            self.record,
        )
        why = "interrupted"
        try:
            yield
        except Incomplete as error:
            why = str(error)
            raise
        finally:
            self._receipts.end(why)
            last = self._to_sink()
            last.plan.last = True
            with suppress(zmq.Again):
                plans.send(last.SerializeToString(), zmq.NOBLOCK)
            self.watch(self._status)

    @property
    def tick_ms(self) -> int:
        return TICK_MS if self._presence.started else START_TICK_MS

    @property
    def over(self) -> bool:
        """All files are done; or it was stopped, and none is in flight."""
        if self._ledger.done or not self.stop.is_set():
            return self._ledger.done
        now = self._now()
        self._drained = self._drained or now + DRAIN_S
        return not self._ledger.in_flight or now > self._drained

    # -- what goes out ---------------------------------------------------

    def next_plan(self) -> bytes:
        """Tell the sink which files come next; empty when it knows."""
        numbers = []
        if not self.stop.is_set():
            numbers = self._ledger.announce(PLAN_FILES, self._now())
        if not (numbers or self._receipts.withdrawn):
            return b""
        message = self._to_sink()
        for number in numbers:
            with self._settling(number):
                size, mtime_ns, mode = self.source.measure(number)
                message.plan.files.add(
                    id=messages.id_of(self._number, number),
                    name=self.source.names[number - 1],
                    size=size,
                    mtime_ns=mtime_ns,
                    mode=mode,
                )
        return message.SerializeToString()

    def _to_sink(self) -> pb.ToSink:
        """Begin a plan, with what is withdrawn by now."""
        plan = pb.Plan(
            batch=self._number,
            recipe=self._task.recipe,
            force=self.source.force,
            withdrawn=self._receipts.withdrawn,
        )
        self._receipts.withdrawn.clear()
        return pb.ToSink(plan=plan)

    def next_task(self) -> list[bytes]:
        """Return header and files; the same again until it is `sent`.

        Empty before enough workers have come, and when all are busy.
        """
        if self.stop.is_set() or not self._presence.started:
            return []
        self._loaded = self._loaded or self._load()
        if not self._loaded:
            return []
        self._task.ids[:] = [
            messages.id_of(self._number, number) for number in self._loaded
        ]
        return [self._task.SerializeToString(), *self._loaded.values()]

    def sent(self) -> None:
        now = self._now()
        for number, data in self._loaded.items():
            self._ledger.sent(number, len(data), now)
        self._loaded = {}

    def _load(self) -> dict[int, bytes]:
        """Read the next file, and more if they are small."""
        loaded: dict[int, bytes] = {}
        most, size = 1, 0
        while len(loaded) < most and size < TOGETHER_BYTES:
            number = self._ledger.take(len(loaded))
            if not number:
                break
            if not loaded:
                most = self._ledger.share(number)
            with self._settling(number):
                try:
                    data = self.source.read(number)
                except Changed:  # as if it had been sent, and lost
                    self.source.measure(number)
                    self._ledger.sent(number, 0, self._now())
                    continue
                loaded[number] = data
                size += len(data)
        return loaded

    @contextmanager
    def _settling(self, number: int) -> Iterator[None]:
        """Give a file that turns out to be unreadable its outcome."""
        try:
            yield
        except Unreadable as error:
            why, now = str(error), self._now()
            self._receipts.close(number, error.outcome, why, now)

    # -- what comes back -------------------------------------------------

    def take(self, frame: zmq.Frame) -> None:
        """Act on a message of receipts, if it is the sink's."""
        if self.keys and not self.keys.is_server(frame):
            return
        now = self._now()
        # First: a supervisor may report the same death, and it is one loss.
        self._check_losses(now)
        with suppress(messages.Malformed):
            for report in messages.read_receipts(frame.bytes):
                self._receipts.take(report, now)

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
        before, self._sinks = self._sinks, self._plans.handshakes
        if 0 < before < self._sinks:
            self._ledger.sink_replaced()
            self._loaded = {}
        self._status.now, self._status.note = now, self._presence.note
        self.watch(self._status)

    def _check_losses(self, now: float) -> None:
        self._tasks.look()
        if self._tasks.disconnects > self._disconnects:
            self._disconnects = self._tasks.disconnects
            self._ledger.somebody_gone(now)
            self._status.workers.clear()  # those who live are heard again
