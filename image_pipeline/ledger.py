"""What is still owed: which file goes where next, and when one is given up.

Pure decisions, without socket, file or clock: every moment comes in as an
argument, in seconds on a monotonic clock. A file is a number from 1.

    unseen -> PLANNED -> READY -> FLYING -> closed
                ^          ^        |
                |          +--------+  lost, or overdue: send it again
                +-- the sink was lost: it has forgotten what was planned

PUSH/PULL tells nobody where a message went, so what a dead worker held is
known only roughly. Sending too much again is harmless, since a thumbnail is
renamed into place and the first result of a file counts. Blaming a file is
not, so that follows one strict rule: a file is failed by its third death,
if that one is certain to be its own doing. A file that was only near when
two workers died waits for the end of the batch and is then sent alone, which
makes it certain.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from image_pipeline.roll import Departure

FLYING_PER_WORKER = 64  # files; enough to hide the way there and back
FLYING_BYTES = 64 * 2**20  # of images sent and not yet answered
PLANNED_AHEAD = 1024  # files that the sink keeps in mind for us
DEADLY = 3  # deaths that fail a file
SUSPECT = 2  # deaths nearby after which a file is sent alone
OVERDUE_S = 2.0  # no backup is sent sooner than this
SENDS = 10  # backups included, with longer and longer waits between
TIMEOUT_GRACE_S = 5.0  # for the worker's own timer to strike first
ANSWER_S = 10.0  # after this a plan is taken for lost
QUICK_READS = 3  # of a file that changes, before it is given time
READS = 10


class State(Enum):
    PLANNED = auto()
    READY = auto()
    FLYING = auto()


@dataclass(slots=True)
class Entry:
    """One file that has been planned and is not closed yet."""

    state: State = State.PLANNED
    since: float = 0.0  # when it came to this state
    size: int = 0
    reads: int = 0  # that were in vain, as it had changed
    sends: int = 0
    deaths: int = 0  # of workers, while it was in flight
    suspected: int = 0  # those of them that may be another file's doing
    alone: bool = False  # in its message
    worker: str = ""  # who said last that it had started
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that the ledger has given up."""

    number: int
    reason: str
    worker: str
    sends: int


class Ledger:
    """Every file from 1 to `files`, until each one is closed once.

    `backups` is for workers that may be slow or cut off by themselves. For
    threads of one process a second one at the same image is no help, and
    an image that hangs would take all of them.
    """

    def __init__(
        self,
        files: int,
        timeout: float,
        workers: int = 1,
        backups: bool = True,
    ) -> None:
        self.workers = workers  # kept up to date by the ventilator
        self.timeout = timeout
        self.backups = backups
        self._files = files
        self._seen = 0
        self._closed = 0
        self._open: dict[int, Entry] = {}
        self._again: deque[int] = deque()  # to be planned once more
        self._ready: deque[int] = deque()
        self._parked: deque[int] = deque()  # to be sent alone, at the end
        self._flying: dict[int, Entry] = {}
        self.flying_bytes = 0  # of images sent and not yet answered
        self._slowest = 0.0

    @property
    def done(self) -> bool:
        return self._closed == self._files

    @property
    def flying(self) -> int:
        return len(self._flying)

    def unfinished(self) -> Iterator[int]:
        yield from sorted(self._open)
        yield from range(self._seen + 1, self._files + 1)

    # -- planning --------------------------------------------------------

    def plan(self, most: int, now: float) -> list[int]:
        """Take up to `most` files that the sink is to be told of now."""
        room = PLANNED_AHEAD - (len(self._open) - len(self._again))
        most = min(most, max(0, room))
        numbers: list[int] = []
        while len(numbers) < most and self._again:
            number = self._again.popleft()
            entry = self._open.get(number)
            if entry and entry.state is State.PLANNED:
                numbers.append(number)
        fresh = min(most - len(numbers), self._files - self._seen)
        for _ in range(fresh):
            self._seen += 1
            self._open[self._seen] = Entry()
            numbers.append(self._seen)
        for number in numbers:
            self._open[number].since = now
        return numbers

    def changed(self, number: int, now: float) -> None:
        """What was taken is not the file that was planned any more."""
        if entry := self._open.get(number):
            entry.state, entry.since = State.PLANNED, now
            entry.reads += 1
            if entry.reads < QUICK_READS:  # else `overdue` does it
                self._again.append(number)

    def wanted(self, number: int) -> None:
        """The sink has no thumbnail of this file yet."""
        entry = self._open.get(number)
        if entry and entry.state is State.PLANNED:
            self._queue(number, entry)

    def sink_lost(self) -> None:
        """Whoever the sink is now, it knows of no file."""
        self._ready.clear()
        self._parked.clear()
        self._flying.clear()
        self.flying_bytes = 0
        self._again.clear()
        for number, entry in self._open.items():
            entry.state = State.PLANNED
            self._again.append(number)

    # -- sending ---------------------------------------------------------

    def take(self, company: int = 0) -> int | None:
        """Take the file that may be sent now, if any may, out of its queue.

        Tell `sent` once it is on its way. `company` is how many were taken
        already for the same message.
        """
        if self._flies_alone():
            return None
        if self._ready:
            if not self._has_room(company):
                return None
            queue = self._ready
        elif self._seen == self._files and not self._flying and not company:
            queue = self._parked
        else:
            return None
        while queue:
            entry = self._open.get(queue[0])
            if entry and entry.suspected and company:
                return None  # next time; it travels by itself
            number = queue.popleft()
            if entry:  # else it was closed while it waited
                return number
        return None

    def together(self, number: int) -> int:
        """How many files, this one first, may travel in one message.

        The fewer are left, the fewer go together, so that all workers end
        at about the same time.
        """
        entry = self._open.get(number)
        if entry and entry.suspected:
            return 1
        left = self._files - self._closed - len(self._flying)
        return max(1, left // (4 * max(1, self.workers)))

    def _flies_alone(self) -> bool:
        return len(self._flying) == 1 and any(
            entry.suspected >= SUSPECT for entry in self._flying.values()
        )

    def _has_room(self, company: int) -> bool:
        return (
            len(self._flying) + company
            < FLYING_PER_WORKER * max(1, self.workers)
            and self.flying_bytes < FLYING_BYTES
        )

    def sent(
        self, number: int, size: int, now: float, alone: bool = True
    ) -> None:
        """What was taken is on its way, `size` bytes long.

        `alone` tells whether nothing else is in the same message.
        """
        entry = self._open.get(number)
        if not entry or entry.state is not State.READY:
            return  # an answer to an earlier sending has come meanwhile
        entry.state, entry.since = State.FLYING, now
        entry.size = size
        entry.sends += 1
        entry.alone = alone
        entry.worker = ""
        self._flying[number] = entry
        self.flying_bytes += size

    def started(self, number: int, worker: str, now: float) -> None:
        if entry := self._flying.get(number):
            entry.worker, entry.started = worker, now

    def close(self, number: int, now: float) -> Entry | None:
        """The file has its outcome; None when it already had one."""
        entry = self._open.pop(number, None)
        if not entry:
            return None
        if entry.state is State.FLYING:
            self._slowest = max(self._slowest, now - entry.since)
            self._land(number, entry)
        self._closed += 1
        return entry

    # -- trouble ---------------------------------------------------------

    def lost(
        self, gone: Departure, now: float, at: int | None = None
    ) -> list[Failure]:
        """A worker is gone: send again what it may have held.

        `at` is the file that it was at, where that is certain.
        """
        worker = gone.worker or None
        held = [
            number
            for number, entry in self._flying.items()
            if worker is None or entry.worker in ("", worker) or number == at
        ]
        # Once it is known what the dead worker was at, the rest of what may
        # have been in its queue is innocent.
        known = at is not None or (
            worker is not None
            and any(self._flying[each].worker == worker for each in held)
        )
        last = len(held) == len(self._flying) == 1
        failures = []
        for number in held:
            entry = self._flying[number]
            own = number == at or (
                at is None and known and entry.worker == worker
            )
            suspect = own or not known
            certain = suspect and (last or (own and (at or entry.alone)))
            if gone.cause and suspect:
                entry.deaths += 1
                entry.suspected += not certain
            late = entry.worker and now - entry.started >= self.timeout
            if certain and (gone.timed_out or (worker is None and late)):
                failures.append(self._give_up(number, self._too_long(), now))
            elif certain and entry.deaths >= DEADLY:
                reason = (
                    f"killed its worker {entry.deaths} times: {gone.cause}"
                )
                failures.append(self._give_up(number, reason, now))
            else:
                self._land(number, entry)
                self._queue(number, entry)
        return failures

    def overdue(self, now: float) -> list[Failure]:
        """Send again what takes suspiciously long; give up what never ends.

        This finds what no lost connection tells of: a thread that cannot be
        killed, a message that a broken connection swallowed, somebody who
        takes tasks and does nothing.
        """
        failures = []
        for number, entry in list(self._flying.items()):
            limit = self.timeout + TIMEOUT_GRACE_S
            too_long = bool(entry.worker) and now - entry.started > limit
            if too_long and entry.alone:
                reason = self._too_long()
            elif self._may_go_on(entry, now, too_long):
                continue
            elif entry.sends >= SENDS:
                reason = f"sent {entry.sends} times, and never answered"
            else:
                entry.suspected += not entry.alone and too_long
                self._land(number, entry)
                self._queue(number, entry)
                continue
            failures.append(self._give_up(number, reason, now))
        for number, entry in list(self._open.items()):
            if (
                entry.state is not State.PLANNED
                or now - entry.since <= ANSWER_S
                or number in self._again
            ):
                continue
            if entry.reads < READS:
                self._again.append(number)
            else:
                reason = "it changes while it is read"
                failures.append(self._give_up(number, reason, now))
        return failures

    def _may_go_on(self, entry: Entry, now: float, too_long: bool) -> bool:
        if entry.worker and not self.backups and not too_long:
            return True
        patience = max(OVERDUE_S, 3 * self._slowest) * entry.sends
        return now - entry.since <= patience

    def _too_long(self) -> str:
        return f"took longer than {self.timeout:g} s"

    def _give_up(self, number: int, reason: str, now: float) -> Failure:
        entry = self._open[number]
        self.close(number, now)
        return Failure(number, reason, entry.worker, entry.sends)

    def _land(self, number: int, entry: Entry) -> None:
        del self._flying[number]
        self.flying_bytes -= entry.size

    def _queue(self, number: int, entry: Entry) -> None:
        entry.state = State.READY
        parked = entry.suspected >= SUSPECT
        (self._parked if parked else self._ready).append(number)
