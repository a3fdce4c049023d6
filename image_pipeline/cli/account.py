"""The account of a batch: the counts, the report, what the display shows."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from image_pipeline.cli.report import Report
from image_pipeline.outcome import FileRecord, Outcome, Tally
from image_pipeline.storage.names import shown
from image_pipeline.transport.events import Events

MAX_PRINTED = 10  # reasons that are printed; a report holds all of them
MAX_REASONS = 1_000  # that are counted one by one


@dataclass(slots=True)
class Account:
    """Counts every record once; `sheet` holds those that a gallery shows."""

    total: int
    report: Report | None = None
    sheet: list[FileRecord] | None = None
    events: Events = field(default_factory=Events)
    tally: Tally = field(default_factory=Tally)
    reasons: dict[str, list[bytes]] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    pixels: int = 0
    done_by: Counter[str] = field(default_factory=Counter)

    def record(self, record: FileRecord) -> None:
        self.tally[record.outcome] += 1
        self.pixels += record.width * record.height
        self.done_by[record.worker] += 1
        more = {"source": shown(record.source), "worker": record.worker}
        self.events.tell(f"pipeline.{record.outcome}", **more)
        if self.report:
            self.report.write(record)
        has_failed = record.outcome is Outcome.FAILED
        if self.sheet is not None and (record.outputs or has_failed):
            self.sheet.append(record)
        if has_failed and (
            record.reason in self.reasons or len(self.reasons) < MAX_REASONS
        ):
            self.reasons.setdefault(record.reason, []).append(record.source)

    def failures(self) -> Iterator[str]:
        """Yield a line for each reason, the most frequent one first."""
        untold = self.tally[Outcome.FAILED]
        by_count = sorted(self.reasons.items(), key=lambda one: -len(one[1]))
        for reason, names in by_count[:MAX_PRINTED]:
            untold -= len(names)
            if len(names) == 1:
                yield f"failed: {shown(names[0])}: {reason}"
            else:
                some = ", ".join(map(shown, names[:3]))
                more = ", ..." if len(names) > 3 else ""
                yield f"failed: {len(names)} files: {reason} ({some}{more})"
        if untold:
            yield f"and {untold} more failed; --report FILE lists them all"

    def cut_off(self) -> None:
        """Count a file whose recording was interrupted as unfinished."""
        if missing := self.total - self.tally.total():
            self.tally[Outcome.UNFINISHED] += missing
            if self.report:
                self.report.trouble = "interrupted while it was written"

    def summary(self) -> str:
        """Return how it ended: every file found is in one of the counts."""
        if self.tally.total() != self.total:
            raise AssertionError(
                f"{self.total} files were found, but {self.tally} ended"
            )
        seconds = time.monotonic() - self.began
        return f"{self.total} files in {seconds:.1f} s: {self.tally}"
