"""The files that the sink expects; it refuses every other message.

A result counts only for an id that the ventilator has announced, and only
the first one. What is dropped is counted, and the reason is kept.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.handed_in import Store
from image_pipeline.outcome import CannotKeep, TargetError
from image_pipeline.transport.curve import Keys

MAX_REASONS = 10  # for dropped messages, told one by one
TOGETHER = 128  # receipts in one message; see `messages.MAX_TEXT`
MAX_WORKER_REPORTS = 4_096  # that wait for a ventilator


class Announced:
    """The files of a batch that the workers still owe.

    `on_end` is called when a batch has ended, `on_drop` with each new reason
    for which a message is dropped.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys | None = None,
        on_end: Callable[[], None] = lambda: None,
        on_drop: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.batches = self.made = self.dropped = 0
        self.receipts: list[pb.Report] = []
        self._store, self._keys = store, keys
        self._on_end, self._on_drop = on_end, on_drop
        self._reasons: set[str] = set()
        self._batch = 0
        self._highest = 0  # the last id that was announced
        self._owed: dict[int, pb.SourceFile] = {}

    def take(self, frames: Sequence[zmq.Frame]) -> None:
        """Act on a message; raises TargetError, with a receipt for it."""
        head, *rest = frames
        try:
            message = messages.read_to_sink(head.bytes, len(rest))
            if isinstance(message, pb.Plan):
                self._prepare(message, head)
            else:
                self._collect(message, iter(rest))
        except messages.Malformed as error:
            self._drop(str(error))

    def next_receipts(self) -> bytes:
        some = pb.Reports(reports=self.receipts[:TOGETHER])
        del self.receipts[:TOGETHER]
        return some.SerializeToString()

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        if reason not in self._reasons and len(self._reasons) < MAX_REASONS:
            self._reasons.add(reason)
            self._on_drop(reason)

    def _prepare(self, plan: pb.Plan, sender: zmq.Frame) -> None:
        """Note which files are coming, and say which need not come."""
        if self._keys and not self._keys.is_server(sender):
            raise messages.Malformed("a plan that is not the ventilator's")
        if plan.batch != self._batch:
            self._store.begin(plan.recipe)
            self._batch, self._highest = plan.batch, 0
            self._owed.clear()
            # The ventilator that waited for the others is gone.
            lasting, receipts = messages.ABOUT_A_WORKER, self.receipts
            self.receipts = [r for r in receipts if r.stage in lasting]
        for file in plan.files:
            stage = pb.STAGE_WANTED
            if self._store.is_current(file) and not plan.force:
                stage = pb.STAGE_CURRENT
            else:
                self._owed[file.id] = file
            self._highest = max(self._highest, file.id)
            self.receipts.append(pb.Report(id=file.id, stage=stage))
        for file_id in plan.withdrawn:
            if withdrawn := self._owed.pop(file_id, None):
                self._store.discard(withdrawn)
        if plan.last:
            self._batch = self._highest = 0
            self._owed.clear()
            self.batches += 1
            self._on_end()

    def _collect(
        self, message: pb.Reports, rest: Iterator[zmq.Frame]
    ) -> None:
        for report in message.reports:
            results = [each.bytes for each in islice(rest, report.results)]
            if report.stage in messages.ABOUT_A_WORKER:
                if len(self.receipts) < MAX_WORKER_REPORTS:
                    self.receipts.append(report)
            elif file := self._owed.get(report.id):
                if report.stage == pb.STAGE_MADE:
                    self._keep(file, report, results)
                elif report.stage in (pb.STAGE_FAILED, pb.STAGE_SKIPPED):
                    self._store.discard(file)
                if report.stage != pb.STAGE_STARTED:
                    del self._owed[report.id]
                self.receipts.append(report)
            elif not self._batch << 32 < report.id <= self._highest:
                self._drop("a report about a file that nobody announced")

    def _keep(
        self, file: pb.SourceFile, report: pb.Report, results: list[bytes]
    ) -> None:
        try:
            self._store.keep(file, results)
            self.made += 1
        except CannotKeep as error:
            report.stage = pb.STAGE_FAILED
            report.reason = messages.text(error)
        except TargetError as error:
            self.receipts.append(
                pb.Report(
                    stage=pb.STAGE_BROKEN,
                    id=messages.id_of(self._batch, 0),
                    reason=messages.text(error),
                )
            )
            raise
