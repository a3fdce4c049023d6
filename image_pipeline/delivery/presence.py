"""Peers that are missing for too long: every wait has an end.

Both classes read what the monitors of their sockets have counted, and the
ventilator's also who has said READY, as on inproc monitors say nothing.
"""

import time
from dataclasses import dataclass, field
from threading import Event

import zmq

from image_pipeline.delivery.clock import Clock
from image_pipeline.delivery.ledger import TIMEOUT_GRACE_S
from image_pipeline.outcome import Incomplete
from image_pipeline.transport.endpoints import is_inproc
from image_pipeline.transport.sockets import SHORT_QUEUE, Socket

PATIENCE_S = 30.0  # for a peer to come, or to come back
TICK_MS = 50  # how often an idle worker looks whether to stop
ALONE_S = 2.0  # a worker for one batch leaves this long after the ventilator
NOBODY_S = 60.0  # without ventilator or sink, and the batch is lost


@dataclass
class BatchPresence:
    """The workers and the sink of one batch, as the ventilator sees them.

    `here` tells of each worker whether it is there, from what was reported
    last; `heard` is when the sink has sent something.
    """

    _tasks: Socket
    _plans: Socket
    _wanted: int
    _patience: float
    _timeout: float  # seconds that one file may take
    _began: float
    started: bool = False  # enough workers have come
    note: str = ""
    here: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.is_inproc = is_inproc(self._tasks.endpoint)
        self.heard = self._absent_since = self._began

    @property
    def workers(self) -> int:
        """How many workers are there now."""
        if self.is_inproc:
            return sum(self.here.values())
        return self._tasks.peers.connected

    def check(self, now: float) -> None:
        """Start when enough have come; Incomplete if all stay away."""
        self._tasks.peers.look()
        self._plans.peers.look()
        if why := self._plans.peers.refusal:
            raise Incomplete(f"the sink refuses us: {why}")
        workers = self.workers
        if workers:
            self._absent_since = now
        elif now - self._absent_since > self._patience_for_workers:
            raise Incomplete(self._nobody())
        if not self.started and (
            workers >= self._wanted or now - self._began > self._patience
        ):
            self.started = True
            if workers < self._wanted:
                some = f"{workers} of {self._wanted}"
                self.note = f"started with {some} workers"
        self._check_sink(now)

    def _check_sink(self, now: float) -> None:
        silence = now - self.heard
        endpoint = self._plans.endpoint
        missing = not (self._plans.peers.connected or is_inproc(endpoint))
        patience = f"{self._patience:g} s"
        if missing and silence > self._patience:
            raise Incomplete(f"no sink at {endpoint} for {patience}")
        if silence > self._timeout + TIMEOUT_GRACE_S + self._patience:
            raise Incomplete(f"nothing was heard for {silence:.0f} s")

    @property
    def _patience_for_workers(self) -> float:
        """Longer for one that has not said that it leaves.

        While it decodes and its queue is full, libzmq answers no heartbeat
        for it. So its connection is lost until it has done that file.
        """
        if any(self.here.values()):
            return max(self._patience, self._timeout + TIMEOUT_GRACE_S)
        return self._patience

    def _nobody(self) -> str:
        refusal = self._tasks.peers.refusal
        why = f"; one was refused: {refusal}" if refusal else ""
        at = self._tasks.endpoint
        return f"no worker at {at} for {self._patience_for_workers:g} s{why}"


@dataclass(frozen=True, slots=True)
class Until:
    """When a worker is to leave: at `stop`, or `once` a batch has ended.

    `met` says that the worker which it replaces has met the ventilator;
    `patience` is for a ventilator or a sink that does not come.
    """

    stop: Event
    once: bool = False
    met: bool = False
    patience: float = NOBODY_S


class WorkerPresence:
    """The ventilator and the sink, as a worker sees them."""

    def __init__(self, tasks: Socket, results: Socket, until: Until) -> None:
        self._peers = {"ventilator": tasks.peers, "sink": results.peers}
        self._until, self._stop = until, until.stop
        self._held = SHORT_QUEUE  # tasks that wait here, to be done yet
        self._clock = Clock(time.monotonic())
        self._met = dict.fromkeys(self._peers, time.monotonic())

    def waits_for(self, socket: Socket, flag: int) -> bool:
        """Wait for a message, or for room; False when it is time to leave.

        Raises Refused if we are shut out, and with `once` Incomplete when
        somebody is missing for too long.
        """
        while not socket.poll(0 if self._stop.is_set() else TICK_MS, flag):
            if self._stop.is_set() or self._is_over():
                return False
        if self._stop.is_set() and flag == zmq.POLLIN:
            self._held -= 1
        return self._held >= 0

    def _is_over(self) -> bool:
        now = self._clock.at(time.monotonic())
        for who, peers in self._peers.items():
            peers.check(who)
            if peers.connected:
                self._met[who] = now
            patience = self._until.patience
            if self._until.once and now - self._met[who] > patience:
                raise Incomplete(f"there was no {who} for {patience:g} s")
        met = self._until.met or self._peers["ventilator"].handshakes > 0
        alone = now - self._met["ventilator"]
        return self._until.once and met and alone > ALONE_S
