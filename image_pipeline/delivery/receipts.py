"""Receipts: the first final report on a file becomes its outcome."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.handed_in import Source
from image_pipeline.delivery.ledger import Failure, Ledger
from image_pipeline.delivery.presence import BatchPresence
from image_pipeline.outcome import FileRecord, Incomplete, Outcome, Status

_OUTCOMES = {
    pb.STAGE_MADE: Outcome.MADE,
    pb.STAGE_CURRENT: Outcome.CURRENT,
    pb.STAGE_FAILED: Outcome.FAILED,
}


@dataclass
class Receipts:
    """Enters the reports that the sink passes on where they belong.

    `_record` hears the final word on each file; `withdrawn` collects the
    ids of those that the sink need not expect any more.
    """

    _batch: int
    _source: Source
    _ledger: Ledger
    _status: Status
    _presence: BatchPresence
    _record: Callable[[FileRecord], None]
    withdrawn: list[int] = field(default_factory=list)

    def take(self, report: pb.Report, now: float) -> None:
        """Raises Incomplete when the sink can store nothing more."""
        self._presence.heard = now
        here = self._presence.here
        number = report.id - messages.id_of(self._batch, 0)
        match report.stage:
            case pb.STAGE_READY:
                here[report.worker] = True
            case pb.STAGE_LEAVING | pb.STAGE_CRASHED | pb.STAGE_TIMED_OUT:
                here[report.worker] = False
                self._worker_gone(number, report, now)
            case pb.STAGE_BROKEN:
                if number == 0:
                    raise Incomplete(report.reason)
            case pb.STAGE_STARTED if here.get(report.worker) is False:
                pass  # too late: the file is on its way to another worker
            case _ if 0 < number <= self._status.total:
                self._take_of_file(number, report, now)

    def _worker_gone(
        self, number: int, report: pb.Report, now: float
    ) -> None:
        # Where it was at no file of ours, the ledger knows no such number.
        if report.stage == pb.STAGE_CRASHED:
            self.fail(self._ledger.crashed(number, report.reason, now))
        elif report.stage == pb.STAGE_TIMED_OUT:
            self.fail(self._ledger.give_up(number, report.reason, now))
        self._status.workers.pop(report.worker, None)
        self._ledger.worker_gone(report.worker, self._presence.is_inproc)

    def _take_of_file(
        self, number: int, report: pb.Report, now: float
    ) -> None:
        match report.stage:
            case pb.STAGE_WANTED:
                self._ledger.wanted(number)
            case pb.STAGE_STARTED:
                self._ledger.started(number, report.worker, now)
                name = self._source.names[number - 1]
                self._status.workers[report.worker] = name, now
            case pb.STAGE_SKIPPED:
                how = self._source.unfit(number, report.reason)
                self.close(number, how.outcome, str(how), now, report)
            case stage:
                reason = report.reason or "; ".join(report.notes)
                self.close(number, _OUTCOMES[stage], reason, now, report)

    def close(
        self,
        number: int,
        outcome: Outcome,
        reason: str,
        now: float,
        report: pb.Report | None = None,
    ) -> None:
        """The file has this outcome, unless it already had one.

        Without a report of it the sink is to be told.
        """
        if not report:
            report = pb.Report(id=messages.id_of(self._batch, number))
            self.withdrawn.append(report.id)
        if report.worker in self._status.workers:
            self._status.workers[report.worker] = b"", now
        if attempts := self._ledger.close(number, now):
            made = ("width", "height", "seconds", "worker")
            facts = {name: getattr(report, name) for name in made}
            facts["attempts"] = attempts.sends
            final = self._source.final(number, outcome, reason, **facts)
            self._record(final)

    def fail(self, failures: Iterable[Failure]) -> None:
        """Give files that the ledger has closed their outcome."""
        for failure in failures:
            number, reason = failure.number, failure.reason
            self.withdrawn.append(messages.id_of(self._batch, number))
            facts = {"worker": failure.worker, "attempts": failure.sends}
            final = self._source.final(
                number, Outcome.FAILED, reason, **facts
            )
            self._record(final)

    def end(self, why: str) -> None:
        """Close every open file as unfinished."""
        for number in self._ledger.unfinished():
            self._record(self._source.final(number, Outcome.UNFINISHED, why))
