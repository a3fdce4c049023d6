"""What a worker does with a task: make each file's results, and report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.handed_in import Make
from image_pipeline.outcome import CannotMake, Unfit

# Where a worker notes, for its supervisor, the file that it begins with and
# the seconds that it may take; (0, 0.0) when it is done.
Note = Callable[[int, float], None]

# A message from the ventilator, with its files; empty if it made no sense.
Task = tuple[pb.Task, Sequence[bytes]]


@dataclass
class TaskRunner:
    """Makes what is asked for, under the name of a worker.

    `_show` sees the report on each file when it is done.
    """

    _make: Make
    _name: str
    _note: Note = lambda *_: None
    _show: Callable[[pb.Report], None] = lambda _: None
    made: int = 0

    def ready(self) -> bytes:
        report = pb.Report(stage=pb.STAGE_READY, worker=self._name)
        return messages.to_sink(report)

    def leaving(self) -> bytes:
        report = pb.Report(stage=pb.STAGE_LEAVING, worker=self._name)
        return messages.to_sink(report)

    def read(self, frames: Sequence[bytes]) -> Task:
        header, *files = frames
        try:
            return messages.read_task(header, len(files)), files
        except messages.Malformed:
            return pb.Task(), []

    def started(self, task: Task) -> bytes:
        header, _ = task
        report = partial(pb.Report, stage=pb.STAGE_STARTED, worker=self._name)
        return messages.to_sink(*(report(id=each) for each in header.ids))

    def make(self, task: Task) -> list[bytes]:
        """Return a message for the sink: reports, then all results."""
        reports, results = [], []
        header, files = task
        for file_id, data in zip(header.ids, files, strict=True):
            report = pb.Report(id=file_id, worker=self._name)
            self._note(file_id, header.timeout_ms / 1000)
            results += self._attempt(data, header.recipe, report)
            self._note(0, 0.0)
            self._show(report)
            reports.append(report)
        return [messages.to_sink(*reports), *results]

    def _attempt(
        self, data: bytes, recipe: bytes, report: pb.Report
    ) -> list[bytes]:
        """Make the results of one file; write into `report` how it went."""
        began = time.monotonic()
        results: list[bytes] = []
        try:
            made = self._make(data, recipe)
            biggest = max(map(len, made.results), default=0)
            if biggest > messages.MAX_RESULT:
                raise CannotMake(
                    f"its result's {biggest} bytes are over the limit of "
                    f"{messages.MAX_RESULT}"
                )
        except CannotMake as error:
            unfit = isinstance(error, Unfit)
            report.stage = pb.STAGE_SKIPPED if unfit else pb.STAGE_FAILED
            report.reason = messages.text(error)
        except Exception as error:  # noqa: BLE001 - it is about this file
            report.stage = pb.STAGE_FAILED
            reason = f"{type(error).__name__}: {error}"
            report.reason = messages.text(reason)
        else:
            results = made.results
            report.stage, report.results = pb.STAGE_MADE, len(results)
            report.width, report.height = made.width, made.height
            if made.notes:
                report.notes.append(messages.text("; ".join(made.notes)))
            self.made += 1
        report.seconds = time.monotonic() - began
        return results
