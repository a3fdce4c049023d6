"""Receipts: what comes back about each file becomes its outcome, once."""

from collections.abc import Callable, Iterable

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.ledger import Failure, Ledger
from image_pipeline.delivery.presence import Attendance
from image_pipeline.delivery.roll import Roll
from image_pipeline.outcome import FileRecord, Outcome
from image_pipeline.status import Incomplete, Status
from image_pipeline.storage.source import Files

_OUTCOMES = {
    pb.STAGE_MADE: Outcome.MADE,
    pb.STAGE_CURRENT: Outcome.CURRENT,
    pb.STAGE_FAILED: Outcome.FAILED,
}


class Receipts:
    """Enters into ledger, roll and status what the sink tells.

    `record` hears the final word on each file.
    """

    def __init__(
        self,
        batch: int,
        files: Files,
        *,
        ledger: Ledger,
        roll: Roll,
        attendance: Attendance,
        status: Status,
        record: Callable[[FileRecord], None],
        now: Callable[[], float],
    ) -> None:
        self._batch = batch
        self._files = files
        self._ledger = ledger
        self._roll = roll
        self._attendance = attendance
        self._status = status
        self._record = record
        self._now = now

    def take(self, report: pb.Report) -> None:
        """Raises Incomplete when the sink can write nothing more."""
        now = self._now()
        self._attendance.hear(now)
        match report.stage:
            case pb.STAGE_READY:
                self._roll.come(report.worker)
            case pb.STAGE_LEAVING:
                self._roll.present.discard(report.worker)
                self._roll.left.add(report.worker)
                self._ledger.worker_gone(report.worker)
            case pb.STAGE_BROKEN:
                if report.id == messages.id_of(self._batch, 0):
                    raise Incomplete(report.reason)
            case _:
                number = messages.number_of(self._batch, report.id)
                if number and number <= self._status.total:
                    self._take_of_file(number, report, now)

    def _take_of_file(
        self, number: int, report: pb.Report, now: float
    ) -> None:
        worker = report.worker
        match report.stage:
            case pb.STAGE_WANTED:
                self._ledger.wanted(number)
            case pb.STAGE_STARTED if worker in self._roll.left:
                pass  # late news: the file is on its way to another one
            case pb.STAGE_STARTED:
                self._ledger.started(number, worker, now)
                self._status.workers[worker] = self._files.name(number), now
            case pb.STAGE_NOT_AN_IMAGE:
                how = self._files.no_image(number, report.reason)
                self.close(number, how.outcome, str(how), report)
            case stage:
                reason = report.reason or "; ".join(report.notes)
                self.close(number, _OUTCOMES[stage], reason, report)

    def close(
        self,
        number: int,
        outcome: Outcome,
        reason: str,
        report: pb.Report | None = None,
    ) -> None:
        """The file has this outcome, unless it already had one."""
        now = self._now()
        report = report or pb.Report()
        if report.worker in self._status.workers:
            self._status.workers[report.worker] = b"", now
        if entry := self._ledger.close(number, now):
            self._record(
                self._files.final(
                    number,
                    outcome,
                    reason,
                    width=report.width,
                    height=report.height,
                    seconds=report.seconds,
                    worker=report.worker,
                    attempts=entry.sends,
                )
            )

    def give_up(self, failures: Iterable[Failure]) -> None:
        """The ledger has closed these already."""
        for failure in failures:
            self._record(
                self._files.final(
                    failure.number,
                    Outcome.FAILED,
                    failure.reason,
                    worker=failure.worker,
                    attempts=failure.sends,
                )
            )

    def end(self, why: str) -> None:
        """Whatever is not closed yet is unfinished."""
        for number in self._ledger.unfinished():
            self._record(self._files.final(number, Outcome.UNFINISHED, why))
