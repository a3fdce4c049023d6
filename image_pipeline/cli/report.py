"""The report of a batch: one JSON object a line for each file."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from image_pipeline.outcome import FileRecord


class Report:
    """Writes records to a file, a line each, as they come.

    When that fails, `trouble` says why and nothing more is written: a batch
    must not end because of its report. Raises OSError when `path` cannot be
    opened.
    """

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        self._file = open(  # noqa: SIM115 - closed by `close`
            path, "w", encoding="ascii", opener=_opened
        )

    def write(self, record: FileRecord) -> None:
        """Write a line of JSON, in ASCII.

        Bytes of a name that are not UTF-8 become lone surrogates from U+DC80
        to U+DCFF, as everywhere in Python (PEP 383), so nothing is lost.
        """
        fields = asdict(record) | {"seconds": round(record.seconds, 6)}
        line = json.dumps(fields, default=os.fsdecode) + "\n"
        if not self.trouble:
            self._try(partial(self._file.write, line))

    def close(self) -> None:
        self._try(self._file.close)  # which closes even if it cannot flush

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except OSError as error:
            self.trouble = self.trouble or error.strerror or str(error)


def _opened(path: str, flags: int) -> int:
    """Open without waiting for a pipe's reader; make no file by a link."""
    if not os.path.exists(path):  # noqa: PTH110
        flags |= os.O_EXCL
    file = os.open(path, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(file, True)
    return file
