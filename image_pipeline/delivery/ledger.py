"""Which files are still owed, and until when each may be waited for.

Pure decisions, without socket, file or clock: every moment comes in as an
argument, in seconds on a monotonic clock. A file is a number from 1.

    unseen -> announced -> ready -> leased -> closed
                  ^          ^        |
                  |          +--------+  the lease has ended: send it again
                  +-- the sink was replaced: it knows of no file

PUSH tells nobody where a message went. So a file in flight is leased, as in
any task queue: to nobody in particular, for a short time, until a worker
says that it has started it; then to that worker, for as long as one image
may take. Three events send a file again:

    worker_gone    a supervisor has told of the death: that worker's leases
    somebody_gone  a connection was lost, and nobody knows whose it was: what
                   nobody had started; the leases of the others become short
    expire         the lease ran out

A second copy does no harm: the first result counts. Only a supervisor fails
a file for a crash, as it knows which image its process died of.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

WINDOW_FILES = 64  # in flight, for each worker
WINDOW_BYTES = 64 * 2**20  # in flight, for all of them
ANNOUNCED_AHEAD = 1024  # files that the sink keeps in mind for us
MAX_CRASHES = 3
MAX_UNANSWERED = 10
SHORT_LEASE_S = 2.0  # at least; also three times the slowest image so far
TIMEOUT_GRACE_S = 5.0  # for the worker's own timer to strike first
ANSWER_S = 10.0  # after this an announcement is taken for lost


@dataclass(slots=True)
class Lease:
    """One file in flight."""

    size: int
    sent: float
    ends: float
    worker: str = ""  # who has started it


@dataclass(slots=True)
class Attempts:
    """What an open file has been through."""

    sends: int = 0
    unanswered: int = 0  # its leases that ran out, with nobody lost
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that the ledger has given up."""

    number: int
    reason: str
    worker: str
    sends: int


class Ledger:
    """Every file from 1 to `files`, until each one is closed once."""

    def __init__(self, files: int, timeout: float, workers: int = 1) -> None:
        self.workers = workers  # kept up to date by the ventilator
        self.bytes_in_flight = 0
        self._files, self._timeout = files, timeout
        self._seen = self._closed = 0
        self._open: dict[int, Attempts] = {}
        self._unannounced: deque[int] = deque()
        self._announced: dict[int, float] = {}  # until when to wait
        self._ready: deque[int] = deque()
        self._leased: dict[int, Lease] = {}
        self._slowest = 0.0

    @property
    def done(self) -> bool:
        return self._closed == self._files

    @property
    def in_flight(self) -> int:
        return len(self._leased)

    def unfinished(self) -> Iterator[int]:
        yield from sorted(self._open)
        yield from range(self._seen + 1, self._files + 1)

    # -- to the sink -----------------------------------------------------

    def announce(self, most: int, now: float) -> list[int]:
        """Take up to `most` files to announce to the sink now."""
        while len(self._open) < ANNOUNCED_AHEAD and self._seen < self._files:
            self._seen += 1
            self._open[self._seen] = Attempts()
            self._unannounced.append(self._seen)
        numbers: list[int] = []
        while self._unannounced and len(numbers) < most:
            number = self._unannounced.popleft()
            if number in self._open:
                self._announced[number] = now + ANSWER_S
                numbers.append(number)
        return numbers

    def wanted(self, number: int) -> None:
        """The sink has no thumbnail of this file yet."""
        if self._announced.pop(number, None) is not None:
            self._ready.append(number)

    def sink_replaced(self) -> None:
        """The new one knows of no file."""
        self._ready.clear()
        self._announced.clear()
        self._leased.clear()
        self.bytes_in_flight = 0
        self._unannounced = deque(self._open)

    # -- to the workers --------------------------------------------------

    def take(self, company: int = 0) -> int | None:
        """Take the next file out of its queue; tell `sent` once it is.

        `company` is how many were taken already for the same message. What
        is sent again travels alone.
        """
        room = WINDOW_FILES * max(1, self.workers) - self.in_flight - company
        if room <= 0 or self.bytes_in_flight >= WINDOW_BYTES:
            return None
        while self._ready:
            attempts = self._open.get(self._ready[0])
            if attempts and attempts.sends and company:
                return None
            number = self._ready.popleft()
            if attempts:  # else it was closed while it waited
                return number
        return None

    def share(self, number: int) -> int:
        """How many files, this one first, may travel in one message.

        The fewer are left, the fewer go together, so that all workers end
        at about the same time.
        """
        if (attempts := self._open.get(number)) and attempts.sends:
            return 1
        left = self._files - self._closed - self.in_flight
        return max(1, left // (4 * max(1, self.workers)))

    def sent(self, number: int, size: int, now: float) -> None:
        if attempts := self._open.get(number):
            attempts.sends += 1
            self._leased[number] = Lease(size, now, now + self._short(number))
            self.bytes_in_flight += size

    def started(self, number: int, worker: str, now: float) -> None:
        if lease := self._leased.get(number):
            lease.worker = worker
            lease.ends = now + self._timeout + TIMEOUT_GRACE_S

    def close(self, number: int, now: float) -> Attempts | None:
        """The file has its outcome; None when it already had one."""
        if attempts := self._open.pop(number, None):
            self._announced.pop(number, None)
            if lease := self._end_lease(number):
                self._slowest = max(self._slowest, now - lease.sent)
            self._closed += 1
        return attempts

    # -- trouble ---------------------------------------------------------

    def worker_gone(self, worker: str, queue_too: bool = False) -> None:
        """What it has started is sent again.

        What waits in its queue follows when its connection is lost, not
        before: libzmq may still put something there. `queue_too` is for
        inproc, where no such loss is ever told.
        """
        for number, lease in list(self._leased.items()):
            if lease.worker == worker or (queue_too and not lease.worker):
                self._send_again(number)

    def somebody_gone(self, now: float) -> None:
        """What was in its queue is gone; what somebody has started may be."""
        for number, lease in list(self._leased.items()):
            if lease.worker:
                lease.ends = min(lease.ends, now + self._short(number))
            else:
                self._send_again(number)

    def crashed(self, number: int, cause: str, now: float) -> list[Failure]:
        """A worker has died of this file; the third such death fails it."""
        attempts = self._open.get(number)
        if not attempts:
            return []
        attempts.crashes += 1
        if attempts.crashes < MAX_CRASHES:
            return []
        reason = f"killed its worker {attempts.crashes} times: {cause}"
        return self.give_up(number, reason, now)

    def give_up(self, number: int, reason: str, now: float) -> list[Failure]:
        lease = self._leased.get(number)
        worker = lease.worker if lease else ""
        if attempts := self.close(number, now):
            return [Failure(number, reason, worker, attempts.sends)]
        return []

    def expire(self, now: float) -> list[Failure]:
        """Announce or send again the files whose lease has ended."""
        for number, ends in list(self._announced.items()):
            if now > ends:
                del self._announced[number]
                self._unannounced.append(number)
        failures = []
        for number, lease in list(self._leased.items()):
            if now <= lease.ends:
                continue
            attempts = self._open[number]
            attempts.unanswered += 1
            if attempts.unanswered < MAX_UNANSWERED:
                self._send_again(number)
            else:
                reason = f"sent {attempts.sends} times, and never answered"
                failures += self.give_up(number, reason, now)
        return failures

    def _short(self, number: int) -> float:
        patience = 1 + self._open[number].unanswered
        return max(SHORT_LEASE_S, 3 * self._slowest) * patience

    def _end_lease(self, number: int) -> Lease | None:
        if lease := self._leased.pop(number, None):
            self.bytes_in_flight -= lease.size
        return lease

    def _send_again(self, number: int) -> None:
        self._end_lease(number)
        self._ready.append(number)
