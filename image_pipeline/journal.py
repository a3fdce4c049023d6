"""What earlier runs have finished, so that the same command resumes.

One line for each file: a digest of its name, a digest of what its thumbnails
were made from, and the size of each thumbnail. The last line for a name
counts. A line that a killed run left half written is no line; a second run
cannot disturb it, as the target is locked.
"""

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
        self._file: int | None = None
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        for line in lines[:-1]:  # what follows the last newline is cut off
            self._read(line)
        if writable:
            self._file = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            )
            if lines[-1]:
                os.write(self._file, b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

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
        if self._file is None:
            raise ValueError("this journal was opened for reading only")
        os.write(self._file, line)

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
