"""Who is working, who has gone, and when to act on it. Pure, like the ledger.

That a worker is gone is told twice, in any order: by its connection, which
does not know whose it was, and by its farewell or by the supervisor of its
process, who do. The two are matched here, so that one death is one loss.
"""

from dataclasses import dataclass, field

SETTLE_S = 0.1  # until a dead connection surely gets nothing more
EXPLAIN_S = 0.5  # for somebody to say whose connection it was


@dataclass(frozen=True, slots=True)
class Departure:
    """A worker that is gone; `worker` is empty where nobody knows which.

    `cause` is empty when it left in good order. `timed_out` says that its
    own timer ended it. `image` is the id of what it was at, where somebody
    knows that for certain, and else 0.
    """

    worker: str
    cause: str = ""
    timed_out: bool = False
    image: int = 0


@dataclass(slots=True)
class Roll:
    """The workers that have said they are ready, and the losses."""

    present: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    _explained: int = 0
    _unexplained_since: float | None = None
    _gone: list[tuple[float, Departure]] = field(default_factory=list)

    def come(self, worker: str) -> None:
        self.present.add(worker)
        self.left.discard(worker)

    def go(self, departure: Departure, now: float) -> None:
        """Somebody knows who has left, and how."""
        self.present.discard(departure.worker)
        self.left.add(departure.worker)
        self._explained += 1
        self._gone.append((now + SETTLE_S, departure))

    def due(self, disconnects: int, now: float) -> list[Departure]:
        """Return what to act on now; `disconnects` counts since the start."""
        due = [departure for moment, departure in self._gone if moment <= now]
        self._gone = [each for each in self._gone if each[0] > now]
        if disconnects <= self._explained:
            self._unexplained_since = None
        elif self._unexplained_since is None:
            self._unexplained_since = now
        elif now - self._unexplained_since >= EXPLAIN_S:
            self._explained = disconnects
            self._unexplained_since = None
            due.append(Departure("", "its connection was lost"))
        return due
