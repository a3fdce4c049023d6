"""What is told late, twice or of another batch changes nothing."""

import time
from types import SimpleNamespace
from typing import Any

from image_pipeline import wire
from image_pipeline.files import Files
from image_pipeline.ledger import Ledger
from image_pipeline.outcomes import FileRecord, Outcome
from image_pipeline.receipts import Receipts
from image_pipeline.recipe import Recipe
from image_pipeline.roll import Departure, Roll
from image_pipeline.status import Status
from proto import messages_pb2 as pb

BATCH = 7
PRESENT: Any = SimpleNamespace(hear=lambda _: None)


def sent(records: list[FileRecord]) -> tuple[Receipts, Ledger, Roll]:
    """A batch of one file, which is on its way to a worker."""
    ledger, roll = Ledger(1, 60), Roll()
    ledger.plan(1, 0)
    ledger.wanted(1)
    assert ledger.take() == 1
    ledger.sent(1, 1, 0)
    receipts = Receipts(
        BATCH,
        Files(b"src", [b"a.jpg"], Recipe()),
        ledger=ledger,
        roll=roll,
        attendance=PRESENT,
        status=Status(1),
        record=records.append,
        now=time.monotonic,
    )
    return receipts, ledger, roll


def report(stage: pb.Stage, worker: str, batch: int = BATCH) -> pb.Report:
    return pb.Report(id=wire.id_of(batch, 1), stage=stage, worker=worker)


def test_late_news_of_a_dead_worker_do_not_hide_who_holds_the_file() -> None:
    """The trap: B dies before it begins, and the file is taken for A's."""
    receipts, ledger, roll = sent([])
    roll.go(Departure("A", "signal 9"), 0)

    receipts.take(report(pb.STAGE_STARTED, "A"))
    ledger.lost(Departure("B", "signal 9"), 1)

    assert ledger.take() == 1


def test_only_the_first_result_of_a_file_counts() -> None:
    records: list[FileRecord] = []
    receipts, _, _ = sent(records)
    for stage in (pb.STAGE_MADE, pb.STAGE_FAILED, pb.STAGE_MADE):
        receipts.take(report(stage, "A"))
    assert [record.outcome for record in records] == [Outcome.MADE]


def test_what_is_told_of_another_batch_counts_for_nothing() -> None:
    records: list[FileRecord] = []
    receipts, ledger, _ = sent(records)
    receipts.take(report(pb.STAGE_MADE, "A", BATCH + 1))
    assert records == []
    assert ledger.flying == 1
