"""A word count over text files: other bytes through the same pipeline."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_pipeline import messages_pb2 as pb
from image_pipeline.outcome import FileRecord, Made, Outcome, Unreadable


def count(data: bytes, _instructions: bytes) -> Made:  # in a worker
    if data == b"poison":
        os.kill(os.getpid(), signal.SIGSEGV)
    return Made([b"%d" % len(data.decode().split())])


@dataclass
class Texts:  # for the ventilator
    folder: Path
    names: list[bytes]
    instructions: bytes = b""
    timeout: float = 5.0
    force: bool = False

    def measure(self, number: int) -> tuple[int, int, int]:
        return len(self.read(number)), 0, 0

    def read(self, number: int) -> bytes:
        return (self.folder / self.names[number - 1].decode()).read_bytes()

    def unfit(self, _number: int, reason: str) -> Unreadable:
        return Unreadable(Outcome.SKIPPED, reason)

    def final(
        self, number: int, outcome: Outcome, reason: str, **made: Any
    ) -> FileRecord:
        return FileRecord(self.names[number - 1], outcome, reason, **made)


@dataclass
class Counts:  # for the sink
    folder: Path

    def begin(self, _instructions: bytes) -> None:
        self.folder.mkdir(exist_ok=True)

    def is_current(self, file: pb.SourceFile) -> bool:
        return self._path(file).exists()  # made by an earlier run

    def keep(self, file: pb.SourceFile, results: list[bytes]) -> None:
        self._path(file).write_bytes(results[0])

    def discard(self, file: pb.SourceFile) -> None:
        self._path(file).unlink(missing_ok=True)

    def _path(self, file: pb.SourceFile) -> Path:
        return self.folder / Path(file.name.decode()).name  # and no other
