"""How a batch and each of its files end, and what both are made of.

Every file that was found ends in exactly one outcome, so the five counts of
a tally add up to the files found.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


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
    kind: str = ""  # how the reason begins, where that says what a file is
    outputs: tuple[bytes, ...] = ()
    bytes: int = 0
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    worker: str = ""
    attempts: int = 0


class Tally(Counter[Outcome]):
    """The counts of the five outcomes."""

    def __str__(self) -> str:
        return ", ".join(f"{self[each]} {each}" for each in Outcome)

    def exit_code(self, interrupted: bool = False) -> ExitCode:
        if self[Outcome.UNFINISHED]:
            incomplete = not interrupted
            return ExitCode.INCOMPLETE if incomplete else ExitCode.INTERRUPTED
        failed = self[Outcome.FAILED]
        return ExitCode.SOME_FAILED if failed else ExitCode.ALL_WELL


@dataclass(slots=True)
class Status:
    """What there is to see of a batch in progress."""

    total: int
    # At which file each worker is, and since when.
    workers: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    now: float = 0.0  # on the same clock
    note: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """What a worker has made of one file, as bytes to be stored.

    `width` and `height` are those of an image; `notes` says what was odd.
    """

    results: list[bytes]
    width: int = 0
    height: int = 0
    notes: list[str] = field(default_factory=list)


class Incomplete(Exception):
    """The batch cannot be finished; the text says why."""


class CannotMake(Exception):
    """Nothing can be made of this file; the text says why."""


class Unfit(CannotMake):
    """The file is not of the kind that something is made of."""


class Unreadable(Exception):
    """The file ends here; `outcome` and the text say how."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


class Changed(Exception):
    """The file is not the one that was planned any more."""


class CannotKeep(Exception):
    """This one result cannot be stored; the text says why."""


class TargetError(Exception):
    """Nothing more can be written to the target; the text says why."""
