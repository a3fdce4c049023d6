"""How each file ended, how many ended how, and the report of it.

Every file that was found ends in exactly one outcome, so the five counts of
a tally add up to the files found. A report holds one JSON object a line.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum
from functools import partial
from pathlib import Path


class Outcome(StrEnum):
    MADE = "made"
    CURRENT = "current"  # made by an earlier run, and still right
    SKIPPED = "skipped"  # not an image
    FAILED = "failed"  # the reason says why
    UNFINISHED = "unfinished"  # the run ended before the file did


class ExitCode(IntEnum):
    ALL_WELL = 0
    SOME_FAILED = 1
    INCOMPLETE = 3  # no workers, disk full
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The final word on one file.

    Names are bytes, as the file system has them, relative to the source
    folder; `width` and `height` are the pixels of the source, `bytes` its
    size, `seconds` the time that a worker spent on it.
    """

    source: bytes
    outcome: Outcome
    reason: str = ""
    outputs: tuple[bytes, ...] = ()
    bytes: int = 0
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    worker: str = ""
    attempts: int = 0


@dataclass(slots=True)
class Tally:
    """The counts of the five outcomes."""

    counts: Counter[Outcome] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        self.counts[outcome] += 1

    def __getitem__(self, outcome: Outcome) -> int:
        return self.counts[outcome]

    @property
    def total(self) -> int:
        return self.counts.total()

    def __str__(self) -> str:
        return ", ".join(f"{self[each]} {each}" for each in Outcome)

    def exit_code(self, interrupted: bool = False) -> ExitCode:
        if self[Outcome.UNFINISHED]:
            return (
                ExitCode.INTERRUPTED if interrupted else ExitCode.INCOMPLETE
            )
        if self[Outcome.FAILED]:
            return ExitCode.SOME_FAILED
        return ExitCode.ALL_WELL


def to_json(record: FileRecord) -> str:
    """Write `record` as one line of JSON, in ASCII.

    Bytes of a name that are not UTF-8 become lone surrogates from U+DC80 to
    U+DCFF, as everywhere in Python (PEP 383), so nothing is lost.
    """
    fields = asdict(record)
    fields["source"] = os.fsdecode(record.source)
    fields["outputs"] = [os.fsdecode(name) for name in record.outputs]
    fields["seconds"] = round(record.seconds, 6)
    return json.dumps(fields)


class Report:
    """Writes records to a file, a line each, as they come.

    When that fails, `trouble` says why and nothing more is written: a batch
    must not end because of its report. Raises OSError when `path` cannot be
    opened.
    """

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        self._file = path.open("w", encoding="ascii")

    def write(self, record: FileRecord) -> None:
        self._try(partial(self._file.write, to_json(record) + "\n"))

    def close(self) -> None:
        self._try(self._file.flush)
        with suppress(OSError):  # closes even when it cannot flush
            self._file.close()

    def _try(self, step: Callable[[], object]) -> None:
        if self.trouble:
            return
        try:
            step()
        except OSError as error:
            self.trouble = error.strerror or str(error)
