"""The messaging half knows no images: it counts words as well."""

import os
import signal
from collections import Counter
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from image_pipeline.outcome import FileRecord, Outcome, Status
from image_pipeline.run import run
from image_pipeline.supervision.processes import Processes
from tests.image_pipeline import word_count

TEXTS = 300
WORDS = 5_000
MAKE = f"{word_count.__name__}:count"


class Count:
    """One run; kills a worker with SIGKILL once some files are done."""

    def __init__(
        self, source: Path, target: Path, kill: bool = False
    ) -> None:
        names = sorted(os.fsencode(each.name) for each in source.iterdir())
        self.records: dict[str, FileRecord] = {}
        self.to_kill = kill
        self.workers = Processes(2, MAKE)
        with closing(self.workers):
            run(
                word_count.Texts(source, names),
                word_count.Counts(target),
                self.workers,
                stop=Event(),
                record=self.record,
                watch=self.watch,
            )
        self.tally = Counter(each.outcome for each in self.records.values())

    def record(self, record: FileRecord) -> None:
        self.records[os.fsdecode(record.source)] = record

    def watch(self, _: Status) -> None:
        pids = [*self.workers.pids.values()]
        if self.to_kill and pids and len(self.records) >= TEXTS // 10:
            os.kill(pids[0], signal.SIGKILL)
            self.to_kill = False


@pytest.mark.slow
def test_words_are_counted_through_a_kill_a_poison_file_and_a_resume(
    tmp_path: Path,
) -> None:
    source, target = tmp_path / "texts", tmp_path / "counts"
    source.mkdir()
    for number in range(TEXTS):
        text = "word " * (WORDS + number)
        (source / f"{number:03}.txt").write_text(text)
    (source / "poison.txt").write_bytes(b"poison")
    (source / "latin.txt").write_bytes(b"caf\xe9")

    first = Count(source, target, kill=True)
    assert not first.to_kill
    assert first.tally == {Outcome.MADE: TEXTS, Outcome.FAILED: 2}
    assert "SIGSEGV" in first.records["poison.txt"].reason
    assert "can't decode" in first.records["latin.txt"].reason
    for number in range(TEXTS):
        count = (target / f"{number:03}.txt").read_text()
        assert int(count) == WORDS + number

    (target / "007.txt").unlink()
    (source / "poison.txt").write_text("cured")
    second = Count(source, target)
    assert second.tally == {
        Outcome.CURRENT: TEXTS - 1,
        Outcome.MADE: 2,
        Outcome.FAILED: 1,
    }


def test_that_is_all_one_has_to_write() -> None:
    source = Path(word_count.__file__).read_text()
    assert len(source.splitlines()) <= 60
