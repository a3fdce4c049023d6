"""What earlier runs have finished, so that the same command resumes.

One line for each file: a digest of its name, a digest of what its thumbnails
were made from, and the size of each thumbnail. The last line for a name
counts. A line that a killed run left half written is no line; a second run
cannot disturb it, as the target is locked.
"""

import errno
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was when it was read: what a thumbnail is made from."""

    name: bytes
    size: int  # bytes
    mtime_ns: int
    fingerprint: str  # of the recipe

    @property
    def state(self) -> bytes:
        words = f"{self.size} {self.mtime_ns} {self.fingerprint}"
        return _digest(words.encode())


class Journal:
    """The finished files of a target folder, kept in one file.

    Close it, or use `with`. Raises OSError as files do.
    """

    def __init__(self, path: Path, writable: bool = True) -> None:
        self._finished: dict[bytes, tuple[bytes, tuple[int, ...]]] = {}
        flags = os.O_RDONLY
        if writable:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        # Never through a link, which anybody may have put there.
        descriptor = os.open(
            path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
        )
        self._file = os.fdopen(descriptor, "r+b" if writable else "rb", 0)
        *lines, rest = self._file.readall().split(b"\n")
        for line in lines:
            self._read(line)
        if rest and writable:  # it is cut off, and what follows is not
            self._write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def sizes(self, source: Source) -> tuple[int, ...] | None:
        """Return the sizes of its thumbnails, if they are finished."""
        state, sizes = self._finished.get(_digest(source.name), (b"", ()))
        return sizes if state == source.state else None

    def forget(self, source: Source) -> None:
        """Write down that its thumbnails are about to be replaced.

        Without this, a run killed between writing a thumbnail and noting it
        could leave a new thumbnail beside the note of an old one.
        """
        name = _digest(source.name)
        if self._finished.pop(name, None):
            self._append(name, b"", ())

    def remember(self, source: Source, sizes: Sequence[int]) -> None:
        name = _digest(source.name)
        self._finished[name] = (source.state, tuple(sizes))
        self._append(name, source.state, sizes)

    def _append(
        self, name: bytes, state: bytes, sizes: Sequence[int]
    ) -> None:
        words = [name.hex(), state.hex() or "-", *map(str, sizes)]
        line = (" ".join(words) + "\n").encode()
        self._write(line)

    def _write(self, line: bytes) -> None:
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _read(self, line: bytes) -> None:
        try:
            name, state, *sizes = line.decode("ascii").split(" ")
            key = bytes.fromhex(name)
            if state == "-":
                self._finished.pop(key, None)
            else:
                made = (bytes.fromhex(state), tuple(map(int, sizes)))
                self._finished[key] = made
        except ValueError:
            return  # damaged: its file will be made again


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
