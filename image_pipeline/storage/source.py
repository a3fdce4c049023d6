"""The files of a batch, as the ventilator sees them: names, then bytes.

A file may be deleted, grow or be replaced between being found and being
read. What is noted beside a thumbnail is the size and time of the very bytes
that it was made from, so both are compared again when the file is read.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_pipeline.imaging.formats import (
    HEAD_BYTES,
    HEIC_UNREAD,
    Kind,
    is_image_name,
    kind_of,
    no_image,
    sniff,
    sniff_unread,
    unread_here,
)
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.wire import encode
from image_pipeline.outcome import Changed, FileRecord, Outcome, Unreadable
from image_pipeline.storage.directory import Folders
from image_pipeline.storage.names import output_names

_FLAGS = os.O_RDONLY | os.O_NONBLOCK  # a pipe would block


def _state(status: os.stat_result) -> tuple[int, int]:
    """Return size and time of change, as 64 bits on the wire can hold it.

    The time is that of the contents mixed with that of the inode, which no
    tool can set back: some rotate a photograph and keep its size and time.
    So a chmod, or a copy of the whole folder, has its thumbnail made again.
    """
    changed = (status.st_mtime_ns << 1) ^ status.st_ctime_ns
    return status.st_size, changed % 2**63


@dataclass(slots=True)
class Files:
    """The files of a batch; number 1 is the first of `names`."""

    source: bytes  # the folder that the names are relative to
    names: Sequence[bytes]
    recipe: Recipe
    timeout: float = 60.0  # seconds for one image
    force: bool = False
    follow: bool = True  # links, also those of folders on the way
    _planned: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def instructions(self) -> bytes:
        """The recipe as it travels."""
        return encode(self.recipe)

    def name(self, number: int) -> bytes:
        return self.names[number - 1]

    def measure(self, number: int) -> tuple[int, int, int]:
        """Return size (bytes), time of change (ns) and mode; for planning.

        Raises Unreadable for what need not be sent to anybody.
        """
        with self._reached(number) as (path, folder):
            status = os.stat(path, dir_fd=folder, follow_symlinks=self.follow)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable(Outcome.SKIPPED, "it is not a regular file")
        size, most = status.st_size, self.recipe.max_bytes
        if size > most:
            reason = f"{Kind.TOO_BIG}: its {size} bytes are more than {most}"
            raise self.unfit(number, reason)
        self._planned[number] = _state(status)
        return *self._planned[number], stat.S_IMODE(status.st_mode)

    def read(self, number: int) -> bytes:
        """Return the file's bytes, as they were when it was measured.

        Raises Changed when they are not, and Unreadable.
        """
        planned = self._planned[number]
        flags = _FLAGS if self.follow else _FLAGS | os.O_NOFOLLOW
        with self._reached(number) as (path, folder):
            file = os.open(path, flags, dir_fd=folder)
            try:
                self._check_head(number, os.pread(file, HEAD_BYTES, 0))
                data = os.read(file, planned[0] + 1)
                status = os.fstat(file)
            finally:
                os.close(file)
        if _state(status) != planned:
            raise Changed
        if len(data) != planned[0]:  # as of what the kernel makes up in /proc
            raise self.unfit(number, "it is not as long as it says it is")
        return data

    @contextmanager
    def _reached(self, number: int) -> Iterator[tuple[bytes, int | None]]:
        """Yield a file's path, and the open folder where that begins.

        An OSError, also one in the `with`, becomes Unreadable.
        """
        name = self.name(number)
        try:
            if self.follow:
                yield os.path.join(self.source, name), None  # noqa: PTH118
                return
            folder, _, last = name.rpartition(b"/")
            # Not by its path: a folder may have become a link meanwhile.
            with Folders(Path(os.fsdecode(self.source))) as below:
                yield last, below.open(folder)
        except OSError as error:
            reason = f"it cannot be read: {error.strerror}"
            raise Unreadable(Outcome.FAILED, reason) from None

    def _check_head(self, number: int, head: bytes) -> None:
        """Let no file be read whole, and sent, that no worker can use."""
        name = sniff(head)
        if name in unread_here():
            raise Unreadable(Outcome.FAILED, HEIC_UNREAD)
        if name:
            return
        if head and (other := sniff_unread(head, self.name(number))):
            raise Unreadable(Outcome.FAILED, f"{Kind.NOT_READ}: {other}")
        raise self.unfit(number, no_image(head))

    def forget(self, number: int) -> None:
        self._planned.pop(number, None)

    def final(
        self, number: int, outcome: Outcome, reason: str, **made: Any
    ) -> FileRecord:
        """Return the final word on a file, and forget what was measured.

        `made` holds what only its maker knows: see FileRecord.
        """
        name = self.name(number)
        kept = outcome in (Outcome.MADE, Outcome.CURRENT)
        size, _ = self._planned.pop(number, (0, 0))
        return FileRecord(
            source=name,
            outcome=outcome,
            reason=reason,
            outputs=output_names(name, self.recipe) if kept else (),
            bytes=size,
            kind=kind_of(reason),
            **made,
        )

    def unfit(self, number: int, reason: str) -> Unreadable:
        """A file that is named like an image was meant to be one."""
        if is_image_name(self.name(number)):
            return Unreadable(Outcome.FAILED, reason)
        return Unreadable(Outcome.SKIPPED, reason)
